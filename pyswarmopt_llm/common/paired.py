"""Two models on the same items: their difference, its interval and test, and what would settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pyswarmopt_llm.common.statistics import (
    LEVEL,
    Ends,
    Floats,
    assumed_scale,
    items_needed,
    paired_test,
)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same items.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: of the difference, at 95% unless told otherwise; it holds 0 exactly if `p_value` is
            not below 5% (see `paired_test`).
        p_value: of the two-sided test that the interval inverts; McNemar's exact one for right and
            wrong answers.
        n: items.
        gained: items on which the first is better.
        lost: items on which the second is better.
        items_needed: items at which a difference of this size would be significant at 5% with 80%
            probability; None where there is no difference.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    n: int
    gained: int
    lost: int
    items_needed: int | None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval is above or below 0, else 0."""
        low, high = self.interval
        return int(low > 0) - int(high < 0)

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def compare_paired(
    first: Sequence[float], second: Sequence[float], scale: Ends | None = None
) -> Comparison:
    """Compare two models item by item.

    Args:
        first: scores of one model.
        second: those of the other, which are subtracted.
        scale: the least and the greatest score of an item; None: see `assumed_scale`.

    Raises:
        ValueError: no items, or unequal numbers.

    Example:
        >>> result = compare_paired([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0, 0, 0])
        >>> result.difference, result.p_value, result.gained, result.lost, result.sign
        (0.75, 0.03125, 6, 0, 1)
    """
    if not first or len(first) != len(second):
        raise ValueError(
            f"{len(first)} and {len(second)} values: give the same examples of both, at least one"
        )
    low, high = scale or assumed_scale([*first, *second])
    return compare_differences(np.subtract(first, second, dtype=np.float64), largest=high - low)


def compare_differences(
    differences: Sequence[float] | Floats, level: float = LEVEL, largest: float = 1.0
) -> Comparison:
    """The comparison of two models by the differences of their scores, item by item.

    Args:
        differences: at least one.
        level: of the test; the interval holds ``1 - level``.
        largest: size of the largest difference that an item can have.
    """
    d = np.asarray(differences, dtype=np.float64)
    p_value, interval = paired_test(d, level, largest)
    gained, lost = int(np.sum(d > 0)), int(np.sum(d < 0))
    return Comparison(float(d.mean()), interval, p_value, d.size, gained, lost, items_needed(d))


def compare_tasks(
    first: Mapping[str, Sequence[float]],
    second: Mapping[str, Sequence[float]],
    scales: Mapping[str, Ends | None] | None = None,
) -> dict[str, Comparison]:
    """The comparisons of two models on the tasks on which both have scores of the same items.

    Args:
        first: task -> scores of one model.
        second: those of the other, which are subtracted.
        scales: task -> scale of its scores, see `compare_paired`.
    """
    return {
        task: compare_paired(items, second[task], (scales or {}).get(task))
        for task, items in first.items()
        if len(items) == len(second.get(task, ())) > 1
    }
