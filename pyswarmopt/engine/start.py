"""The first state of a swarm, from what the user gives."""

from __future__ import annotations

from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.inputs import take_over
from pyswarmopt.base.state import State
from pyswarmopt.base.storage import empty
from pyswarmopt.parts.boundary import Box, make_box
from pyswarmopt.parts.bounds import WIDTHS
from pyswarmopt.parts.restart import RestartSwarm
from pyswarmopt.parts.stopping import extent

Rows = Tensor | npt.NDArray[Any] | None  # (n, D), as `base.inputs.matrix` gives them


def usable(device: torch.device | str | None) -> torch.device:
    """The device, by default the CPU, if this machine has it."""
    chosen = "cpu" if device is None else device
    try:
        torch.ones(1, device=chosen).cpu()
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={str(chosen)!r} cannot be used: {reason}") from error
    return torch.device(chosen)


def generator_of(seed: int | None) -> torch.Generator:
    """A generator of a swarm's own; None takes a seed from the operating system.

    Raises:
        ValueError: a seed of more than 63 bits.
    """
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    elif seed < 2**63:
        generator.manual_seed(seed)
    else:
        raise ValueError(f"seed={seed}: a swarm takes one below 2**63")
    return generator


def dtype_of(dtype: torch.dtype | None, positions: Rows) -> torch.dtype:
    """The dtype of a swarm: the one given, that of floating-point tensors, else float64."""
    if dtype is None:
        floating = isinstance(positions, Tensor) and positions.dtype.is_floating_point
        return cast(torch.dtype, positions.dtype) if floating else torch.float64  # type: ignore[union-attr]
    if not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype}: positions need a floating dtype")
    return dtype


def box_of(
    recipe: Recipe,
    bounds: Any,
    dim: int | None,
    positions: Rows,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Box | None, int]:
    """The box, if there are bounds, and D."""
    if positions is not None:
        if dim not in (None, positions.shape[1]):
            raise ValueError(f"dim={dim}, but the positions have {positions.shape[1]} coordinates")
        dim = positions.shape[1]
    if bounds is not None:
        box = make_box(bounds, dim, dtype, device)
        return box, len(box.low)
    if any(isinstance(policy, RestartSwarm) for policy in recipe.restart):
        raise ValueError(
            f"recipe {recipe.name!r} restarts the swarm anywhere in the bounds: give bounds"
        )
    if dim is None:
        raise ValueError("a swarm needs to know where to start: give bounds or positions")
    return None, dim


def first_state(
    recipe: Recipe, x: Tensor, box: Box | None, generator: torch.Generator, positions: Rows,
    velocities: Rows, maximize: bool,
) -> State:  # fmt: skip
    """The state at x, (N, D), where the starting positions go: those given first, then the
    recipe's.
    """
    rows = 0 if positions is None else len(positions)
    if rows > len(x):
        raise ValueError(
            f"population={len(x)} for {rows} starting positions; it must be at least {rows}"
        )
    if positions is not None:
        take_over("positions", positions, x[:rows])
    if len(x) > rows:
        recipe.populate(x[:rows] if rows else None, x[rows:], box, generator)
    v = empty(tuple(x.shape), x.dtype, x.device)
    if velocities is None:
        recipe.launch(x, v, box, generator)
    else:
        take_over("velocities", velocities, v)
    state = State.start(x, v, maximize)
    if box is None:
        _check_extent(state)
    return state


def _check_extent(state: State) -> None:
    """Refuse starting positions between which velocities would overflow; with bounds `make_box`
    sees to it.
    """
    dtype, apart = state.positions.dtype, extent(state)
    if not WIDTHS * apart <= torch.finfo(dtype).max:
        name = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"positions lie {apart:.3g} apart: velocities would be more than {name} holds; scale "
            "them"
        )
