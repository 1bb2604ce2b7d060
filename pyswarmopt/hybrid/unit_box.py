"""The user's box as the unit box of those coordinates that are free to move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats


@dataclass(frozen=True, eq=False)
class UnitBox:
    """The unit box of the coordinates whose bounds differ.

    Example:
        >>> box = UnitBox(np.array([-5.0, 3.0, 0.0]), np.array([5.0, 3.0, 1.0]))
        >>> box.decode(np.array([[0.5, 0.25]])).tolist()
        [[0.0, 3.0, 0.25]]
        >>> box.encode(np.array([0.0, 3.0, 0.25])).tolist()
        [0.5, 0.25]
    """

    low: Floats
    high: Floats

    @cached_property
    def free(self) -> npt.NDArray[np.int64]:
        """Numbers of the free coordinates, (F,)."""
        return np.flatnonzero(self.high > self.low)

    @property
    def dim(self) -> int:
        """F."""
        return len(self.free)

    def decode(self, unit: Floats) -> Floats:
        """Points of the unit box, (m, F), in the user's box, (m, D)."""
        low, high = self.low[self.free], self.high[self.free]
        moved = unit * (high - low)
        moved += low
        np.clip(moved, low, high, out=moved)
        if self.dim == len(self.low):
            return moved
        x = np.tile(self.low, (len(unit), 1))
        x[:, self.free] = moved
        return x

    def encode(self, x: Floats) -> Floats:
        """A point of the user's box, (D,), in the unit box, (F,)."""
        low, high = self.low[self.free], self.high[self.free]
        return np.clip((x[self.free] - low) / (high - low), 0.0, 1.0)
