"""The difference of two models over several tasks, whose scores are combined into one.

A harmonic mean or a minimum is not a mean over items, so that its difference has a test of its own:
the items are resampled, task by task, and the scores combined anew.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import (
    LEVEL,
    PERMUTATIONS,
    RESAMPLES,
    Floats,
    bootstrap_interval,
    interval_over_tasks,
    score_of,
)

Combine = Callable[[Sequence[Score]], Score]
Pair = tuple[Floats, Floats]
"""Values of a task's items, of both models."""
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


def combined_difference(
    first: Mapping[str, Score], second: Mapping[str, Score], combine: Combine, alike: bool
) -> Difference | None:
    """The difference of two models' combined scores.

    The interval is a BCa bootstrap over the items of each task (Efron 1987); the test swaps the two
    models' values of an item at random (Fisher 1935).

    Args:
        first: task name -> score.
        second: of another model, which is subtracted.
        combine: of the tasks' scores.
        alike: whether all tasks have the same items, which are resampled and swapped together then.

    Returns:
        None for a single task, and where a task's score is not the mean of the same items of both.

    Example:
        >>> from pyswarmopt_llm.metrics.combine import minimum
        >>> better, worse = score_of([0.75] * 40), score_of([0.5] * 20 + [0.0] * 20)
        >>> gain = combined_difference(dict(a=better, b=better), dict(a=better, b=worse), minimum, False)
        >>> gain.mean, gain.low > 0.4, gain.p_value < 0.001, gain.items
        (0.5, True, True, 80)
    """
    if len(first) < 2 or first.keys() != second.keys():
        return None
    if any(_not_mean(score) for score in (*first.values(), *second.values())):
        return None
    pairs = [(np.array(first[name].per_item), np.array(second[name].per_item)) for name in first]
    if any(a.size != b.size for a, b in pairs):
        return None
    observed = _gain(combine, [(a.mean(), b.mean()) for a, b in pairs])
    items = pairs[0][0].size if alike else sum(a.size for a, _ in pairs)
    if all((a == b).all() for a, b in pairs):
        return Difference(observed, 0.0, 0.0, 1.0, items)
    low, high = _interval(pairs, combine, alike)
    if math.isnan(low):  # all items of a task have the same values: there is nothing to resample
        means = [float((a - b).mean()) for a, b in pairs]
        low, high = interval_over_tasks(means, [bootstrap_interval(a - b) for a, b in pairs])
    return Difference(observed, low, high, _p_value(pairs, combine, alike, observed), items)


def _not_mean(score: Score) -> bool:
    """Whether a score is not the mean of its items, of which there are at least two."""
    return len(score.per_item) < 2 or score.value != score_of(score.per_item).value


def _gain(combine: Combine, means: Sequence[tuple[float, float]]) -> float:
    """The difference for the means of both models on each task."""
    values = []
    for side in zip(*means, strict=True):
        values.append(combine([Score(mean, (mean,), 1, 0.0) for mean in side]).value)
    return values[0] - values[1]


def _gains(combine: Combine, means: Sequence[tuple[Floats, Floats]]) -> Floats:
    """`_gain` for each place of arrays of means."""
    shape = means[0][0].shape
    tasks = [zip(a.ravel().tolist(), b.ravel().tolist(), strict=True) for a, b in means]
    gains = [_gain(combine, row) for row in zip(*tasks, strict=True)]
    return np.reshape(gains, shape)


def _interval(pairs: Sequence[Pair], combine: Combine, alike: bool) -> tuple[float, float]:
    sizes = [pairs[0][0].size] if alike else [a.size for a, _ in pairs]

    def statistic(*places: npt.NDArray[np.intp], axis: int = -1) -> Floats:
        chosen = places * len(pairs) if alike else places
        means = []
        for (a, b), at in zip(pairs, chosen, strict=True):
            means.append((a[at].mean(axis=-1), b[at].mean(axis=-1)))
        return _gains(combine, means)

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        bounds = stats.bootstrap(
            tuple(np.arange(size) for size in sizes),
            statistic,
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(0),
            vectorized=True,
        ).confidence_interval
    return float(bounds.low), float(bounds.high)


def _p_value(pairs: Sequence[Pair], combine: Combine, alike: bool, observed: float) -> float:
    rng = np.random.default_rng(0)
    means = []
    swaps = None
    for a, b in pairs:
        if swaps is None or not alike:
            swaps = rng.random((PERMUTATIONS, a.size)) < 0.5
        change = swaps @ (b - a) / a.size
        means.append((a.mean() + change, b.mean() - change))
    hits = int((np.abs(_gains(combine, means)) >= abs(observed) - _ROUNDING).sum())
    return (1 + hits) / (1 + PERMUTATIONS)


__all__ = ["Combine", "Difference", "combined_difference"]
