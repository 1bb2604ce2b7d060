"""An objective that records its calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def valley(x: Any) -> Any:
    """Smooth and coupled, with least value 0 at (1, 1, ...); (..., D) -> (...)."""
    x = np.asarray(x)
    return ((x - 1.0) ** 2).sum(-1) + 0.5 * (x[..., 0] - x[..., -1]) ** 2


class Watched:
    """An objective that records its points and values, and may raise at the n-th call."""

    def __init__(
        self, fun: Callable[..., Any], fails_at: int = -1, error: type[BaseException] = RuntimeError
    ) -> None:
        self.fun = fun
        self._fails_at = fails_at
        self._error = error
        self.points: list[Any] = []
        self.values: list[float] = []

    def __call__(self, x: Any) -> float:
        self.points.append(np.array(x))
        if len(self.points) == self._fails_at:
            raise self._error("the objective failed")
        self.values.append(float(self.fun(x)))
        return self.values[-1]
