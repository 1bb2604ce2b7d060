"""What the tests search: a function, a box and its points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats

Fun = Callable[..., Any]
Bounds = list[tuple[float, float]]


def valley(x: Floats) -> Any:
    """Smooth and coupled, with least value 0 at (1, 1, ...); (..., D) -> (...)."""
    x = np.asarray(x)
    middle = (x - 1.0) ** 2
    return middle.sum(-1) + 0.5 * (x[..., 0] - x[..., -1]) ** 2


class Watched:
    """An objective that records its points and values, and may raise at the n-th call."""

    def __init__(
        self, fun: Fun, fails_at: int = -1, error: type[BaseException] = RuntimeError
    ) -> None:
        self.fun = fun
        self._fails_at = fails_at
        self._error = error
        self.points: list[Floats] = []
        self.values: list[float] = []

    def __call__(self, x: Floats) -> float:
        self.points.append(np.array(x))
        if len(self.points) == self._fails_at:
            raise self._error("the objective failed")
        self.values.append(float(self.fun(x)))
        return self.values[-1]


def points_of(bounds: Bounds, count: int) -> Floats:
    """Points of a box, (count, D), two opposite corners first."""
    low, high = np.array(bounds).T
    share = np.random.default_rng(0).random((count, len(low)))
    share[:2] = [[0.0], [1.0]]
    return low + share * (high - low)
