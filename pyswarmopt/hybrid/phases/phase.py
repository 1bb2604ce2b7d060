"""A phase of a composed search: proposes points of the unit box and learns their costs, until it is
done.

`pyswarmopt.hybrid.memetic` lets several of them take turns. All the numbers of a phase are fields
of a dataclass, so that a search can be saved between any ask and tell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from pyswarmopt.base.arrays import Floats

NONE = np.empty(0)
BATCH = 2**18  # numbers in a batch of differences, at most, unless a single point has more

HUGE = 2.0**1020  # cost: differences of such costs do not overflow


def bounded(costs: Floats) -> Floats:
    """The costs as phases learn them, in the same order: what is beyond `HUGE` an eighth as far
    from it.

    Example:
        >>> [f"{cost:.1e}" for cost in bounded(np.array([-1.7e308, 1.0, 1.7e308, np.inf]))]
        ['-3.1e+307', '1.0e+00', '3.1e+307', 'inf']
    """
    size = np.abs(costs)
    if not (size > HUGE).any():
        return costs
    return np.where(size > HUGE, np.copysign(HUGE + (size - HUGE) / 8, costs), costs)


@dataclass
class Phase(ABC):
    """One phase."""

    done: bool = field(default=False, init=False)
    spent: int = field(default=0, init=False)  # points evaluated
    # the latest proposed points, (m, D), in [0, 1]
    batch: Floats = field(default_factory=lambda: NONE, init=False)

    def ask(self, random: np.random.Generator) -> Floats:
        """Points to evaluate, (m, D), m >= 1."""
        self.batch = self.propose(random)
        return self.batch

    def tell(self, costs: Floats) -> None:
        """Costs of the proposed points, (m,), lower is better, +inf where there is none."""
        self.spent += len(costs)
        # costs may be anything
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            self.learn(costs)

    @abstractmethod
    def propose(self, random: np.random.Generator) -> Floats:
        """What `ask` returns."""

    @abstractmethod
    def learn(self, costs: Floats) -> None:
        """What `tell` does."""

    def state_dict(self, prefix: str) -> dict[str, Any]:
        """Every field, arrays copied, under `prefix` + its name."""
        saved = {prefix + f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in saved.items()
        }

    @classmethod
    def from_state(cls, saved: dict[str, Any], prefix: str) -> Self:
        """The inverse of `state_dict`."""
        phase = cls.__new__(cls)
        for f in fields(cls):
            value = saved[prefix + f.name]
            setattr(phase, f.name, value.copy() if isinstance(value, np.ndarray) else value)
        return phase
