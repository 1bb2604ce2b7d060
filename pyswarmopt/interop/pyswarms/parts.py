"""Parts of pyswarms' swarms that `pyswarmopt` does not have: its neighbours and its walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.arrays import Ints
from pyswarmopt.base.state import State
from pyswarmopt.parts import boundary
from pyswarmopt.parts.boundary import Box
from pyswarmopt.parts.topology import ByInformants


@dataclass(frozen=True)
class Nearest(ByInformants):
    """The informant is the best of the k nearest particles, of which the particle itself is one.

    Attributes:
        k: how many.
        p: of the distance, the p-norm.
        static: keep the first neighbours.
    """

    k: int
    p: int
    static: bool

    def informants(self, state: State, generator: torch.Generator) -> Ints:
        near = state.memory.get("links")
        if near is None:
            x = state.positions
            mode = "donot_use_mm_for_euclid_dist"  # which rounds
            apart = torch.cdist(x, x, p=self.p, compute_mode=mode).fill_diagonal_(-1.0)
            near = apart.topk(self.k, largest=False).indices
        if self.static:
            state.memory["links"] = near
        rows: Ints = near.numpy()
        return rows[np.arange(len(rows)), state.best_costs[rows].argmin(axis=1)]


def _reflected(x: Tensor, before: Tensor, box: Box, generator: torch.Generator) -> Tensor:
    """Mirrored at the walls as often as needed."""
    width = box.high - box.low
    period = torch.where(width > 0, 2 * width, 1.0)
    return box.low + width - (torch.remainder(x - box.low, period) - width).abs()


# (x, x before the move, box, generator) -> where a coordinate goes that is outside
PLACES: dict[str, Callable[[Tensor, Tensor, Box, torch.Generator], Tensor]] = {
    "periodic": lambda x, before, box, generator: boundary.periodic(x, x, box, generator)[0],
    "nearest": lambda x, before, box, generator: x,  # cut to the box like all of them
    "reflective": _reflected,
    "intermediate": lambda x, before, box, generator: (before + x.clamp(box.low, box.high)) / 2,
    "random": lambda x, before, box, generator: box.sample(len(x), generator),
}
# (v, move that was made) -> its velocity
VELOCITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "unmodified": lambda v, moved: v,
    "adjust": lambda v, moved: moved,
    "invert": lambda v, moved: -0.5 * v,
    "zero": lambda v, moved: torch.zeros_like(v),
}


@dataclass(frozen=True)
class Walls:
    """A boundary by pyswarms' names: `bh_strategy` and `vh_strategy` of the coordinates outside.

    Raises:
        ValueError: another name.
    """

    bh_strategy: str
    vh_strategy: str

    def __post_init__(self) -> None:
        for name, names in (("bh_strategy", PLACES), ("vh_strategy", VELOCITIES)):
            if getattr(self, name) not in names:
                raise ValueError(f"{name}={getattr(self, name)!r}: use {', '.join(names)}")

    def __call__(
        self, x: Tensor, v: Tensor, box: Box, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        outside, before = (x < box.low) | (x > box.high), x - v
        place = PLACES[self.bh_strategy](x, before, box, generator).clamp(box.low, box.high)
        velocity = VELOCITIES[self.vh_strategy](v, place - before)
        return torch.where(outside, place, x), torch.where(outside, velocity, v)
