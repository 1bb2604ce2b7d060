"""A run of one method from start to end: it proposes points of the unit box and learns their costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import StateRecord, array

BATCH = 2**18  # most numbers in a batch of differences, unless a single point has more
HUGE = 2.0**1020  # differences of costs up to this do not overflow
EPS = float(np.finfo(np.float64).eps)


def bounded(costs: Floats) -> Floats:
    """The costs for runs, in the same order: excess beyond `HUGE` is divided by eight.

    Example:
        >>> [f"{cost:.1e}" for cost in bounded(np.array([-1.7e308, 1.0, 1.7e308, np.inf]))]
        ['-3.1e+307', '1.0e+00', '3.1e+307', 'inf']
    """
    size = np.abs(costs)
    return np.where(size > HUGE, np.copysign(HUGE + (size - HUGE) / 8, costs), costs)


@dataclass(repr=False, eq=False)
class Run(StateRecord, ABC):
    """One run; all its data are fields, so it can be saved between any ask and tell."""

    _: KW_ONLY
    done: bool = False
    batch: Floats = array("nD")  # the latest proposed points in [0, 1]

    def ask(self, random: np.random.Generator) -> Floats:
        """Points to evaluate, (m, D), m >= 1."""
        self.batch = self.propose(random)
        return self.batch

    def tell(self, costs: Floats) -> None:
        """Take in the costs of the proposed points, (m,), lower is better, +inf if missing."""
        # costs may have any size
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            self.learn(costs)

    @abstractmethod
    def propose(self, random: np.random.Generator) -> Floats:
        """Implementation of `ask`."""

    @abstractmethod
    def learn(self, costs: Floats) -> None:
        """Implementation of `tell`."""
