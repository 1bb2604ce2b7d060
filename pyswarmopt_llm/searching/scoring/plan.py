"""Which items of one candidate are scored: all, none, a share, or those whose outcome a model
cannot predict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.scores.metrics.combine import Combine

Values = npt.NDArray[np.float64]  # one per item: 1 right, 0 wrong, NaN not scored
Known = Mapping[str, Values]  # task name -> values of its items


class Items(Enum):
    """Which items of a candidate are scored, where it is all or none."""

    ALL = "all"
    NONE = "none"


@dataclass(frozen=True)
class Screen:
    """Score the items whose outcome is uncertain, impute the others, unless that makes a new best.

    Plain imputation: scoring a random sample of the certain items as a control variate adds more
    noise than the model makes errors (docs/less-work.md).

    Attributes:
        right: task name -> probability that each item is right, (n,).
        level: an item with a probability below this, or above 1 minus this, is certain.
        best: value of the best candidate so far; a candidate that would exceed it is scored in
            full.

    Example:
        >>> screen = Screen({"t": np.array([0.99, 0.5, 0.02, 0.01])}, level=0.05, best=0.6)
        >>> sorted(screen.first["t"])
        [1]
        >>> known = {"t": np.array([np.nan, 1.0, np.nan, np.nan])}
        >>> screen.value(known, lambda scores: scores[0])
        0.5
        >>> Screen(screen.right, 0.05, best=0.4).value(known, lambda scores: scores[0]) is None
        True
    """

    right: Known
    level: float
    best: float

    @classmethod
    def everything(cls, items: Mapping[str, int], level: float) -> Screen:
        """Score all of these numbers of items: as if every outcome were uncertain."""
        return cls({name: np.full(n, 0.5) for name, n in items.items()}, level, np.inf)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Task name -> number of its items."""
        return {name: len(right) for name, right in self.right.items()}

    @property
    def first(self) -> Mapping[str, frozenset[int]]:
        """Task name -> the items that are uncertain."""
        return {
            name: frozenset(np.flatnonzero(self._uncertain(name)).tolist()) for name in self.right
        }

    def value(self, known: Known, combine: Combine) -> float | None:
        """The candidate's value with the certain items imputed; None if more items have to be
        scored.
        """
        scores = []
        for name, values in known.items():
            unknown = np.isnan(values)
            if (unknown & self._uncertain(name)).any():
                return None
            scores.append(_mean(np.where(unknown, self.right[name] > 0.5, values)))
        value = combine(scores).value
        return None if value > self.best else value

    def _uncertain(self, name: str) -> npt.NDArray[np.bool_]:
        mask: npt.NDArray[np.bool_] = (
            np.minimum(self.right[name], 1 - self.right[name]) >= self.level
        )
        return mask


@dataclass(frozen=True)
class Share:
    """Score these items and no others; the value is the least that all items can have.

    Attributes:
        first: task name -> the items to score.
        sizes: task name -> number of its items.

    Example:
        >>> from pyswarmopt_llm.scores.metrics.combine import harmonic
        >>> share = Share({"t": frozenset({1, 2})}, {"t": 4})
        >>> known = {"t": np.array([np.nan, 1.0, np.nan, np.nan])}
        >>> share.value(known, harmonic) is None
        True
        >>> known["t"][2] = 1.0
        >>> share.value(known, harmonic)
        0.5
    """

    first: Mapping[str, frozenset[int]]
    sizes: Mapping[str, int]

    def value(self, known: Known, combine: Combine) -> float | None:
        """The candidate's value if all other items were wrong; None if more have to be scored."""
        if any(np.isnan(known[name][[*items]]).any() for name, items in self.first.items()):
            return None
        return bounds(known, combine)[0]


Selection = Screen | Share
Plan = Items | Selection


def complete(known: Known) -> bool:
    """Whether every item was scored."""
    return not any(np.isnan(values).any() for values in known.values())


def bounds(known: Known, combine: Combine) -> tuple[float, float]:
    """The value if every other item were wrong, and if every other item were right.

    Example:
        >>> bounds({"t": np.array([1.0, 0.0, 0.0, np.nan])}, lambda scores: scores[0])
        (0.25, 0.5)
    """

    def filled(value: float) -> float:
        return combine(
            [_mean(np.where(np.isnan(values), value, values)) for values in known.values()]
        ).value

    return filled(0.0), filled(1.0)


def _mean(values: Values) -> Score:
    return Score(float(values.mean()), (), values.size, 0.0)
