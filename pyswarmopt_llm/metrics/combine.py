"""Combine the scores on several tasks into one that increases with each of them, and compare two
models by it.

A harmonic mean or a minimum is not a mean over items, so that its difference has a test of its own:
the items are resampled, task by task, and the scores combined anew.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import stats

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import unknown
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
_STEP = 1e-6
_ROUNDING = 1e-12


def harmonic(scores: Sequence[Score]) -> Score:
    """The harmonic mean of the tasks' values (Feng et al. 2024, section 3, multi-task objectives).

    It rewards balance, and is 0 if any task's value is. The standard error is by the delta method,
    d H / d v_i = H^2 / (m v_i^2).

    Raises:
        ValueError: no scores.

    Example:
        >>> harmonic([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)]).value
        0.6666666666666666
    """
    if not scores:
        raise ValueError("no scores to combine")
    if len(scores) == 1:
        return scores[0]
    if any(score.value <= 0 for score in scores):
        return _together(scores, 0.0, math.nan)
    value = len(scores) / math.fsum(1 / score.value for score in scores)
    parts = (score.stderr * value**2 / (len(scores) * score.value**2) for score in scores)
    return _together(scores, value, math.hypot(*parts))


def arithmetic(scores: Sequence[Score]) -> Score:
    """The mean of the tasks' values; one task can compensate for another.

    Example:
        >>> arithmetic([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)]).value
        0.75
    """
    return weighted(scores, [1.0] * len(scores))


def weighted(scores: Sequence[Score], weights: Sequence[float]) -> Score:
    """The weighted mean of the tasks' values; weights need not add up to 1.

    Raises:
        ValueError: no scores, or a different number of weights.

    Example:
        >>> weighted([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)], [3, 1]).value
        0.625
    """
    if not scores or len(scores) != len(weights):
        raise ValueError(
            f"{len(scores)} scores and {len(weights)} weights: give as many of each, and at "
            "least one"
        )
    shares = [weight / math.fsum(weights) for weight in weights]
    value = math.fsum(share * score.value for share, score in zip(shares, scores, strict=True))
    return _together(
        scores,
        value,
        math.hypot(*(s * score.stderr for s, score in zip(shares, scores, strict=True))),
    )


def minimum(scores: Sequence[Score]) -> Score:
    """The worst task's value and standard error.

    Example:
        >>> minimum([Score(0.5, (), 10, 0.1), Score(1.0, (), 10, 0.0)]).value
        0.5
    """
    worst = min(scores, key=lambda score: score.value)
    return _together(scores, worst.value, worst.stderr)


def of_the_same_items(combine: Combine) -> Combine:
    """The same combination for several scores of the same items, which are not independent: its
    standard error is that of the items' combined values (delta method).

    Example:
        >>> long = score_of([0.25, 0.5, 1.0])
        >>> short = score_of([0.75, 0.5, 0.0])  # what one score gains the other loses
        >>> arithmetic([long, short]).stderr > 0.1, of_the_same_items(arithmetic)([long, short]).stderr
        (True, 0.0)
    """

    def combined(scores: Sequence[Score]) -> Score:
        total = combine(scores)
        if len({len(score.per_item) for score in scores}) > 1 or len(scores[0].per_item) < 2:
            return total
        values = np.zeros(len(scores[0].per_item))
        for place, score in enumerate(scores):
            values += _slope(combine, scores, place) * np.array(score.per_item)
        return replace(total, stderr=score_of(values).stderr)

    return combined


def _slope(combine: Combine, scores: Sequence[Score], place: int) -> float:
    """By how much the combination changes with one of the scores."""
    ends = []
    for step in (-_STEP, _STEP):
        moved = list(scores)
        moved[place] = replace(scores[place], value=scores[place].value + step)
        ends.append(combine(moved).value)
    return (ends[1] - ends[0]) / (2 * _STEP)


def find_combine(spec: str, n_tasks: int) -> Combine:
    """``harmonic``, ``arithmetic``, ``minimum`` or ``weighted:2,1``, one weight per task.

    Raises:
        UserError: unknown, or weights that do not match the tasks.

    Example:
        >>> find_combine("minimum", 2) is minimum
        True
    """
    named: dict[str, Combine] = {"harmonic": harmonic, "arithmetic": arithmetic, "minimum": minimum}
    if spec in named:
        return named[spec]
    kind, _, rest = spec.partition(":")
    if kind != "weighted":
        raise unknown("combine", spec, [*named, "weighted:2,1"])
    try:
        weights = [float(part) for part in rest.split(",")]
    except ValueError:
        weights = []
    if len(weights) != n_tasks or not all(math.isfinite(w) and w > 0 for w in weights):
        raise InvalidOption(
            "combine",
            spec,
            f"give one positive weight for each of the {n_tasks} tasks: weighted:2,1",
        )
    return partial(weighted, weights=weights)


def _together(scores: Sequence[Score], value: float, stderr: float) -> Score:
    per_item = tuple(item for score in scores for item in score.per_item)
    return Score(value, per_item, sum(score.n for score in scores), stderr)


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
