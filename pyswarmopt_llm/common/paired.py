"""Two models on the same items: their difference, its interval and test, and what would settle it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import Floats, bootstrap_interval, permutation_test

LEVEL, POWER = 0.05, 0.8
# of the largest difference: a mean below it is 0, but for the rounding of its sum
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """A paired difference on one split, over all tasks.

    Attributes:
        mean: the first model's score minus the second's.
        low, high: 95% interval.
        p_value: two-sided paired permutation test; None where there is none.
        items: of all tasks; those that are the same count once.
    """

    mean: float
    low: float
    high: float
    p_value: float | None = None
    items: int = 0

    @property
    def sign(self) -> int:
        """1 or -1 where the difference is significant, by interval and test, else 0."""
        if self.p_value is not None and self.p_value >= LEVEL:
            return 0
        return int(self.low > 0) - int(self.high < 0)

    @property
    def size(self) -> str:
        """The difference without its sign, and its interval."""
        low, high = (self.low, self.high) if self.mean >= 0 else (-self.high, -self.low)
        return f"by {abs(self.mean):.3f} (95% interval {low:.3f} to {high:.3f})"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True)
class Comparison:
    """Two models on the same items.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: 95% interval of the difference (BCa bootstrap over items).
        p_value: two-sided paired permutation test.
        n: items.
        gained: items on which the first is better.
        lost: items on which the second is better.
        items_needed: items at which a difference of this size would be significant at level `LEVEL`
            with probability `POWER`; None where there is no difference.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    n: int
    gained: int
    lost: int
    items_needed: int | None

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def compare_paired(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two models item by item.

    Raises:
        ValueError: no items, or unequal numbers.

    Example:
        >>> result = compare_paired([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0, 0, 0])
        >>> result.difference, result.p_value, result.gained, result.lost
        (0.75, 0.03125, 6, 0)
    """
    if not first or len(first) != len(second):
        raise ValueError(
            f"{len(first)} and {len(second)} items: give the same items of both, at least one"
        )
    d = np.subtract(first, second, dtype=np.float64)
    gained, lost = int(np.sum(d > 0)), int(np.sum(d < 0))
    return Comparison(
        float(d.mean()),
        bootstrap_interval(d),
        permutation_test(d),
        d.size,
        gained,
        lost,
        items_needed(d),
    )


Paired = dict[str, dict[str, Comparison]]  # task -> split -> comparison


def paired(
    scores: Mapping[tuple[str, str], Mapping[str, Score]],
    first: str = "best",
    second: str = "best_single",
) -> Paired:
    """The paired comparisons of two contestants, on the tasks whose items they share.

    Args:
        scores: (contestant, split) -> task -> score.
        first: a contestant.
        second: another, which is subtracted.
    """
    comparisons: Paired = {}
    for split in ("dev", "test"):
        minuends, subtrahends = scores.get((first, split), {}), scores.get((second, split), {})
        for task in minuends:
            a, b = minuends[task].per_item, subtrahends[task].per_item
            if len(a) == len(b) > 1:
                comparisons.setdefault(task, {})[split] = compare_paired(a, b)
    return comparisons


def items_needed(differences: Sequence[float] | Floats) -> int | None:
    """Items at which a mean of such differences would be significant with probability `POWER`.

    ``n = ((z_{1 - level/2} + z_power) s / d)^2`` with the mean d and standard deviation s of what
    was seen (the normal approximation of the paired test); None if d is 0, but for rounding, or
    there are fewer than two items.

    Example:
        >>> items_needed([1.0] * 10 + [0.0] * 90)  # d = .1, s = .3
        72
        >>> items_needed([0.1, 0.2, -0.3])  # whose sum is 5.6e-17
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size < 2 or abs(d.mean()) <= _ROUNDING * np.abs(d).max():
        return None
    z = stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER)
    return max(2, math.ceil((z * d.std(ddof=1) / d.mean()) ** 2))
