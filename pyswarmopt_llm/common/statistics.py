"""Standard errors, intervals and chance levels of scores over items."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from pyswarmopt_llm.common.interfaces import Score


def score_of(per_item: Sequence[float] | npt.NDArray[np.float64]) -> Score:
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
    return Score(float(values.mean()), tuple(values.tolist()), values.size, spread / math.sqrt(values.size))


def interval(per_item: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """A confidence interval of the mean over items.

    Wilson's score interval (Wilson 1927) where every item is right or wrong, else `bootstrap_interval`.

    Example:
        >>> low, high = interval([1.0] * 8 + [0.0] * 2)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
    """
    values = np.asarray(per_item, dtype=np.float64)
    if np.isin(values, (0.0, 1.0)).all():
        test = stats.binomtest(int(values.sum()), values.size)
        found = test.proportion_ci(confidence, method="wilson")
        return float(found.low), float(found.high)
    return bootstrap_interval(values, confidence)


def bootstrap_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """A confidence interval of the mean of any values, by the BCa bootstrap (Efron 1987; 2,000 resamples, fixed seed).

    Example:
        >>> low, high = bootstrap_interval([-1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        >>> low < 1 / 3 < high
        True
    """
    values = np.asarray(values, dtype=np.float64)
    if np.ptp(values) == 0.0:
        return float(values[0]), float(values[0])
    rng = np.random.default_rng(0)
    found = stats.bootstrap((values,), np.mean, confidence_level=confidence, n_resamples=2000, rng=rng)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def chance_bound(option_counts: Sequence[int], level: float) -> float:
    """The accuracy that guessing exceeds with probability at most `level`.

    Item i is guessed right with probability 1 / option_counts[i]; the number of right guesses is Poisson
    binomial. For the best of m experts pass level / m (Bonferroni).

    Example:
        >>> round(chance_bound([4] * 200, 0.025), 3)      # the mean is .25
        0.31
    """
    chances = np.ones(1)
    for options, n in Counter(option_counts).items():  # a sum of binomials, one for each number of options
        chances = np.convolve(chances, stats.binom.pmf(np.arange(n + 1), n, 1.0 / options))
    return int(np.searchsorted(chances.cumsum(), 1.0 - level)) / len(option_counts)
