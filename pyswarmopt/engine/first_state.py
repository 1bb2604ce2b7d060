"""The first state of a swarm, from its user's arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Array, DType
from pyswarmopt.base.inputs import take_over
from pyswarmopt.base.state import State
from pyswarmopt.base.storage import empty
from pyswarmopt.parts.boundary import Box, make_box
from pyswarmopt.parts.restart import RestartSwarm

Rows = Array | None  # (n, D), for `base.inputs.matrix`


def box_of(
    recipe: Recipe,
    bounds: Any,
    dim: int | None,
    positions: Rows,
    dtype: DType,
    device: Any,
) -> tuple[Box | None, int]:
    """The box (None without bounds), and D."""
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
    recipe: Recipe, x: Array, box: Box | None, generator: np.random.Generator, positions: Rows,
    velocities: Rows, maximize: bool,
) -> State:  # fmt: skip
    """The state whose starting positions are written into x, (N, D): the given ones first, then the
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
    return State.start(x, v, maximize)
