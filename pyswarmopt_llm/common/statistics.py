"""Statistics of scores: standard errors, intervals, resampling, chance.

Intervals are Wilson's for proportions, Student's with two pseudo-observations for graded scores,
and bootstrapped for differences; the test is a paired permutation test. Resampling has fixed seeds,
so the same scores give the same figures.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from pyswarmopt_llm.common.interfaces import Score

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000  # of a bootstrap
PERMUTATIONS = 10_000
_EXACT = 16  # differences up to which all sign patterns are tried


def score_of(per_item: Sequence[float] | Floats) -> Score:
    """The mean over items with its standard error (sample standard deviation over sqrt n).

    Raises:
        ValueError: without items, or if a value is not finite.

    Example:
        >>> score_of([1.0, 0.0, 1.0, 1.0]).value
        0.75
    """
    values = np.asarray(per_item, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("a score needs at least one item, and finite values only")
    spread = float(values.std(ddof=1)) if values.size > 1 else math.nan
    return Score(
        float(values.mean()), tuple(values.tolist()), values.size, spread / math.sqrt(values.size)
    )


def interval(per_item: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """A confidence interval of the mean over items.

    Wilson's score interval (Wilson 1927) where every item is right or wrong, else
    `student_interval`.

    Example:
        >>> low, high = interval([1.0] * 8 + [0.0] * 2)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
        >>> low, high = interval([0.5] * 12)
        >>> round(low, 3), round(high, 3)
        (0.387, 0.613)
    """
    values = np.asarray(per_item, dtype=np.float64)
    if np.isin(values, (0.0, 1.0)).all():
        test = stats.binomtest(int(values.sum()), values.size)
        bounds = test.proportion_ci(confidence, method="wilson")
        return float(bounds.low), float(bounds.high)
    return student_interval(values, (0.0, 1.0), confidence)


def student_interval(
    values: Sequence[float] | Floats, scale: tuple[float, float], confidence: float = 0.95
) -> tuple[float, float]:
    """Student's interval of the mean, with one pseudo-observation at either end of the scale.

    Few items may all have the same score, or miss a rare one; without more, an interval of zero
    width or a far too narrow one would follow. One observation added at either end is what Agresti
    & Caffo (2000, The American Statistician 54) do for proportions. In simulations it holds the
    mean in at least 94% of samples of 6 to 100 items (the tests make them).

    Args:
        values: one per item, at least one.
        scale: its ends. Where a value lies outside, the least and the greatest of the values, at
            least 1 apart.
        confidence: level.

    Example:
        >>> low, high = student_interval([0.2, 0.4, 0.6, 0.8], (0.0, 1.0))
        >>> round(low, 3), round(high, 3)
        (0.107, 0.893)
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = scale
    inside = bool(values.min() >= low and values.max() <= high)
    if not inside:
        low, high = float(values.min()), float(values.max())
        pad = max(0.0, (1.0 - (high - low)) / 2)
        low, high = low - pad, high + pad
    sample = np.append(values, (low, high))
    centre, error = sample.mean(), sample.std(ddof=1) / math.sqrt(sample.size)
    half = float(stats.t.ppf((1 + confidence) / 2, sample.size - 1)) * error
    bounds = float(centre - half), float(centre + half)
    return (max(low, bounds[0]), min(high, bounds[1])) if inside else bounds


def score_interval(score: Score, tasks: int = 1) -> tuple[float, float] | None:
    """A 95% interval of a score: of the items for one task, else by the standard error (normal).

    Where all items are between 0 and 1 it is cut to that; None where there is neither.

    Example:
        >>> score_interval(score_of([1.0])) is None
        True
    """
    if tasks == 1 and score.n > 1 and len(score.per_item) == score.n:
        return interval(score.per_item)
    if math.isnan(score.stderr):
        return None
    low, high = score.value - 1.96 * score.stderr, score.value + 1.96 * score.stderr
    if all(0.0 <= value <= 1.0 for value in score.per_item):
        return max(0.0, low), min(1.0, high)
    return low, high


def bootstrap_interval(
    values: Sequence[float] | Floats, confidence: float = 0.95
) -> tuple[float, float]:
    """A confidence interval of the mean of paired differences, by the BCa bootstrap (Efron 1987).

    Where all differences are the same there is nothing to resample: then it is `student_interval`
    between -1 and 1, or a point where they are all 0, as of a model and itself.

    Example:
        >>> low, high = bootstrap_interval([-1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        >>> low < 1 / 3 < high
        True
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.any():
        return 0.0, 0.0
    if np.ptp(values) == 0.0:
        return student_interval(values, (-1.0, 1.0), confidence)
    return bca_interval((values,), np.mean, confidence)


def bca_interval(
    samples: Sequence[npt.NDArray[Any]], statistic: Callable[..., Any], confidence: float = 0.95
) -> tuple[float, float]:
    """A confidence interval of a statistic by the BCa bootstrap (Efron 1987).

    Args:
        samples: each is resampled on its own.
        statistic: of the samples, called with an `axis` along which the items are.
        confidence: level.

    Returns:
        Low and high; not a number where resampling changes nothing.

    Example:
        >>> low, high = bca_interval((np.array([1.0, 2.0, 4.0, 8.0]),), np.median)
        >>> (low, high)
        (1.0, 8.0)
    """
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        bounds = stats.bootstrap(
            tuple(samples),
            statistic,
            confidence_level=confidence,
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(0),
            vectorized=True,
        ).confidence_interval
    return float(bounds.low), float(bounds.high)


def interval_over_tasks(
    means: Sequence[float], intervals: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """An interval of the mean of independent means from the interval of each (Zou & Donner 2008).

    Args:
        means: of each task.
        intervals: low and high of each, at the level that the result has, too.

    Example:
        >>> interval_over_tasks([0.5, 1.0], [(0.2, 0.8), (0.6, 1.0)])
        (0.5, 0.9)
    """
    centre, count = np.mean(means), len(means)
    below, above = np.abs(np.asarray(intervals, dtype=np.float64).T - np.asarray(means))
    return float(centre - np.linalg.norm(below) / count), float(
        centre + np.linalg.norm(above) / count
    )


def permutation_test(differences: Sequence[float] | Floats) -> float:
    """Two-sided p-value of the mean of paired differences under random signs (Fisher 1935).

    If two models are equal, each item's difference may as well have the other sign. Exact where at
    most 16 differences are not 0; else 10,000 sign patterns are drawn, and the observed one is
    counted in (Phipson & Smyth 2010).

    Example:
        >>> permutation_test([1.0, 1.0, 1.0, 1.0])  # 2 of 16 patterns are as extreme
        0.125
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[d != 0]
    if d.size == 0:
        return 1.0
    observed = abs(d.sum()) - 1e-9 * np.abs(d).sum()  # sums in another order round differently
    if d.size <= _EXACT:
        patterns = (np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ d) >= observed))
    rng, hits = np.random.default_rng(0), 0
    for _ in range(PERMUTATIONS // 1000):  # in parts: thousands of items by thousands of patterns
        hits += int((np.abs(rng.choice((-1.0, 1.0), (1000, d.size)) @ d) >= observed).sum())
    return (1 + hits) / (1 + PERMUTATIONS)


def chance_bound(option_counts: Sequence[int], level: float) -> float:
    """The accuracy that guessing exceeds with probability at most `level`.

    Item i is guessed right with probability 1 / option_counts[i]; the number of right guesses is
    Poisson binomial. For the best of m experts pass level / m (Bonferroni).

    Example:
        >>> round(chance_bound([4] * 200, 0.025), 3)      # the mean is .25
        0.31
    """
    chances = np.ones(1)
    # a sum of binomials, one for each number of options
    for options, n in Counter(option_counts).items():
        chances = np.convolve(chances, stats.binom.pmf(np.arange(n + 1), n, 1.0 / options))
    return int(np.searchsorted(chances.cumsum(), 1.0 - level)) / len(option_counts)
