"""The difference of two models' combined scores.

A harmonic mean or a minimum is not a mean over items, so that its difference has a test of its own:
the items are resampled, task by task, and the scores combined anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.paired import Difference
from pyswarmopt_llm.common.statistics import (
    PERMUTATIONS,
    Floats,
    bca_interval,
    bootstrap_interval,
    interval_over_tasks,
    score_of,
)
from pyswarmopt_llm.metrics.combine import Combine, combined_value

Pair = tuple[Floats, Floats]
"""Values of a task's items, of both models."""
_ROUNDING = 1e-12


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
    observed = _gain(combine, [(float(a.mean()), float(b.mean())) for a, b in pairs])
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
        values.append(combined_value(combine, side))
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

    return bca_interval([np.arange(size) for size in sizes], statistic)


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
