"""Early stopping: whether a search has gained anything lately."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyswarmopt.base.record import StateRecord
from pyswarmopt.driver.judge import Incumbent

SMALL = 1e-8  # gains below this share of the total gain do not count


@dataclass(repr=False, eq=False)
class Gains(StateRecord):
    """The latest gain, and the total gain before it.

    Attributes:
        first: the first finite cost at a feasible point.
        best: the cost at the latest gain.
        violation: violation of the best point at the latest gain.
        calls: calls made by then.

    Example:
        >>> import numpy as np
        >>> gains = Gains()
        >>> bests = [Incumbent(np.zeros(1), cost) for cost in (5.0, 3.0, 3.0 - 1e-9)]
        >>> [gains.idle(best, calls, 20) for best, calls in zip(bests, (1, 10, 30))]
        [False, False, True]
    """

    first: float = math.nan
    best: float = math.inf
    violation: float = math.inf
    calls: int = 0

    def idle(self, best: Incumbent, calls: int, patience: int | None) -> bool:
        """Take in the best point after `calls` calls; return whether nothing was gained in
        `patience` of them.
        """
        if self._is_gain(best):
            self.best = best.cost
            self.violation = best.violation
            self.calls = calls
            if math.isnan(self.first) and best.violation == 0:
                self.first = best.cost
        return patience is not None and calls - self.calls >= patience

    def _is_gain(self, best: Incumbent) -> bool:
        if best.violation > 0 or math.isnan(self.first):
            return (best.violation, best.cost) < (self.violation, self.best)
        return self.best - best.cost > SMALL * (self.first - best.cost)

    def state_dict(self, prefix: str = "gains") -> dict[str, Any]:
        """Everything needed for resuming."""
        return super().state_dict(prefix)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""
        read = Gains.from_state(saved, "gains", {})
        self.first = read.first
        self.best = read.best
        self.violation = read.violation
        self.calls = read.calls
