"""Statistics of scores: standard errors, intervals, resampling, chance; two models on the same items.

Intervals of scores are Wilson's for proportions and Student's with two pseudo-observations for
grades (`common.grades`). A difference of two models has one procedure, `paired_test`: its interval inverts its test,
so that one never contradicts the other. Draws have fixed seeds: the same scores give the same
figures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from pyswarmopt_llm.common.registry import lazy

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Score


Floats = npt.NDArray[np.float64]
Ends = tuple[float, float]

LEVEL = 0.05  # of tests; an interval holds 95% unless told otherwise
POWER = 0.8
# of the largest difference: a mean below it is 0, but for the rounding of its sum
ROUNDING = 1e-9

student_interval = lazy("pyswarmopt_llm.common.grades:student_interval")
_subsets = lazy("pyswarmopt_llm.common.grades:subsets_test")


def score_of(per_item: Sequence[float] | Floats) -> Score:
    """The mean over items with its standard error (sample standard deviation over sqrt n).

    Args:
        per_item: at least one value.

    Returns:
        The score; its standard error is nan for one item.

    Raises:
        ValueError: without items, or if a value is not finite.

    Example:
        >>> score_of([1.0, 0.0, 1.0, 1.0]).value
        0.75
    """
    values = np.asarray(per_item, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("a score needs at least one example, and finite values only")
    spread = float(values.std(ddof=1)) if values.size > 1 else math.nan
    from pyswarmopt_llm.common.interfaces import Score

    return Score(
        float(values.mean()), tuple(values.tolist()), values.size, spread / math.sqrt(values.size)
    )


def interval(
    per_item: Sequence[float], confidence: float = 0.95, scale: Ends | None = None
) -> tuple[float, float]:
    """A confidence interval of the mean over items.

    Wilson's score interval (Wilson 1927) where every item is right or wrong, else
    `student_interval`.

    Args:
        per_item: at least one value.
        confidence: level.
        scale: the least and the greatest value that an item can have; None: see `assumed_scale`.

    Returns:
        Lower and upper end, in the units of the values.

    Example:
        >>> low, high = interval([1.0] * 8 + [0.0] * 2)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
        >>> low, high = interval([0.5] * 12)
        >>> round(low, 3), round(high, 3)
        (0.387, 0.613)
        >>> low, high = interval([9.0] * 20, scale=(1, 10))  # a judge's ratings
        >>> round(low, 2), round(high, 2)
        (7.92, 9.45)
    """
    values = np.asarray(per_item, dtype=np.float64)
    if np.isin(values, (0.0, 1.0)).all() and (scale is None or scale == (0.0, 1.0)):
        return _wilson(int(values.sum()), values.size, confidence)
    ends: Ends = student_interval(values, scale, confidence)
    return ends


def _wilson(hits: int, n: int, confidence: float) -> Ends:
    bounds = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    return float(bounds.low), float(bounds.high)


def assumed_scale(values: Sequence[float] | Floats) -> Ends:
    """The ends of a scale that nobody named, by the values on it.

    From 0 to 1 if the values fit; if none is above 0.01, from 0 to the next power of ten above
    all. For values outside, their least and greatest, at least 1 apart.

    Example:
        >>> assumed_scale([0.2, 0.5]), assumed_scale([0.0002, 0.0005]), assumed_scale([1.0, 9.0])
        ((0.0, 1.0), (0.0, 0.001), (1.0, 9.0))
    """
    low, high = float(np.min(values)), float(np.max(values))
    if low >= 0.0 and high <= 1.0:
        return 0.0, 10.0 ** math.ceil(math.log10(high)) if 0.0 < high <= 0.01 else 1.0
    pad = max(0.0, (1.0 - (high - low)) / 2)
    return low - pad, high + pad


def score_interval(
    score: Score, tasks: int = 1, scale: Ends | None = None
) -> tuple[float, float] | None:
    """A 95% interval of a score: of the items where it is their mean, else by its standard error
    (normal).

    Where all items and the score are between 0 and 1 it is cut to that; None where there is neither.

    Example:
        >>> score_interval(score_of([1.0])) is None
        True
    """
    if tasks == 1 and score.n > 1 and len(score.per_item) == score.n and _is_mean(score):
        return interval(score.per_item, scale=scale)
    if math.isnan(score.stderr):
        return None
    low, high = score.value - 1.96 * score.stderr, score.value + 1.96 * score.stderr
    if all(0.0 <= value <= 1.0 for value in (*score.per_item, score.value)):
        return max(0.0, low), min(1.0, high)
    return low, high


def _is_mean(score: Score) -> bool:
    """Whether a score is the mean of its items, as `Score.value` need not be."""
    return math.isclose(score.value, float(np.mean(score.per_item)), rel_tol=1e-9, abs_tol=1e-12)


class PairedTest(NamedTuple):
    """A test of a mean paired difference, and its inversion."""

    p_value: float
    interval: Ends


def paired_test(
    differences: Sequence[float] | Floats, level: float = LEVEL, largest: float = 1.0
) -> PairedTest:
    """Test the mean of paired differences against 0, two-sided, with the interval that belongs to it.

    The mean is the share of the items that differ times the mean difference of those. The test is
    of the latter: if two models are equal, each difference may as well have the other sign (Fisher
    1935). Of right and wrong answers that is McNemar's exact test. The interval of the share is
    Wilson's. That of the mean difference inverts the test: Clopper & Pearson's (1934) where all
    differences are of one size, else the quantiles of the means of all subsets (Hartigan 1969,
    Journal of the American Statistical Association 64). The two errors add in quadrature (Zou &
    Donner 2008), up to the product of the two ends, so the interval holds 0 exactly if p is not
    below `level`, and never has zero width.

    Of more than 16 differences of several sizes 10,000 subsets are drawn, and the empty one is
    counted in (Phipson & Smyth 2010).

    Simulated with 20, 50 and 200 items, a 95% interval holds the mean in at least 90% of samples of
    right and wrong answers and of symmetric or rarely different grades, and the test is wrong in
    at most 6%. Where one model is often a little worse and rarely much better it is wrong in up to
    14% of samples of 20 or 50 items, and in 7% of 200: no rare item need be in the sample.

    Args:
        differences: one per item, at least one.
        level: of the test; the interval holds ``1 - level``.
        largest: size of the largest difference that an item can have.

    Example:
        >>> test = paired_test([1.0] * 8 + [-1.0] * 1 + [0.0] * 11)  # McNemar: 8 gained, 1 lost
        >>> round(test.p_value, 4), [round(end, 3) for end in test.interval]
        (0.0391, [0.009, 0.539])
        >>> paired_test([1.0, 1.0, 1.0, 1.0]).p_value  # 2 of 16 patterns of signs are as extreme
        0.125
        >>> paired_test([0.0] * 100).interval[1] > 0.03  # another item may still differ
        True
    """
    d = np.asarray(differences, dtype=np.float64)
    differ = d[d != 0]
    share, shares = differ.size / d.size, _wilson(differ.size, d.size, 1 - level)
    if differ.size == 0:
        return PairedTest(1.0, (-largest * shares[1], largest * shares[1]))
    sizes = np.abs(differ)
    one_size = float(np.ptp(sizes)) <= ROUNDING * sizes.max()
    p_value, (low, high) = (_mcnemar if one_size else _subsets)(differ, level, largest)
    mean = float(differ.mean())
    lower = -_product_end(-mean, -low, share, shares)
    return PairedTest(p_value, (lower, _product_end(mean, high, share, shares)))


def _mcnemar(differ: Floats, level: float, largest: float) -> PairedTest:
    """Test differences of one size: the number of positive ones is binomial."""
    test = stats.binomtest(int((differ > 0).sum()), differ.size)
    ends = test.proportion_ci(1 - level, method="exact")
    size = float(np.abs(differ).max())
    return PairedTest(
        float(test.pvalue), (size * (2 * float(ends.low) - 1), size * (2 * float(ends.high) - 1))
    )


def _product_end(mean: float, end: float, share: float, shares: Ends) -> float:
    """Upper end of an interval of `share` times `mean`; `end` and `shares` are of theirs."""
    farthest = end * shares[end > 0]
    error = math.hypot(share * (end - mean), mean * (shares[mean > 0] - share))
    return min(farthest, share * mean + error)


def items_needed(differences: Sequence[float] | Floats) -> int | None:
    """Items at which a mean of such differences would be significant with probability `POWER`.

    The differences are drawn again and again, and tested after each item: exactly if all that are
    not 0 have one size, else by the normal approximation of `paired_test`. Above 2,000 items,
    where that is precise, the normal approximation of the power is taken.

    Returns:
        None if the mean is 0, but for rounding, or there are fewer than two items.

    Example:
        >>> items_needed([1.0] * 10 + [0.0] * 90) > 72  # by the normal approximation it is 72
        True
        >>> items_needed([0.1, 0.2, -0.3])  # whose sum is 5.6e-17
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size < 2 or abs(d.mean()) <= ROUNDING * np.abs(d).max():
        return None
    z = float(stats.norm.isf(LEVEL / 2))
    ratio = (z + stats.norm.isf(1 - POWER)) * d.std(ddof=1) / d.mean()
    about = max(6, math.ceil(ratio**2))
    if about > 2000:
        return about
    sizes = np.abs(d[d != 0])
    d = d / sizes.max()
    draws = np.random.default_rng(0).choice(d, (1000, 2 * about + 20))
    sums, squares = np.abs(draws.cumsum(axis=1)), (draws**2).cumsum(axis=1)
    if np.ptp(d[d != 0] ** 2) <= ROUNDING:
        differ = np.arange(draws.shape[1] + 1)
        # one size: so many more gained than lost are significant
        margin = 2 * (stats.binom.isf(LEVEL / 2, differ, 0.5) + 1) - differ
        significant = sums + 0.5 > margin[np.rint(squares).astype(int)]
    else:
        significant = sums > z * np.sqrt(squares)
    enough = significant.mean(axis=0) >= POWER
    return int(enough.argmax()) + 1 if enough.any() else draws.shape[1]


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


def compare_differences(differences: Sequence[float] | Floats, largest: float = 1.0) -> Comparison:
    """The comparison of two models by the differences of their scores, item by item.

    Args:
        differences: at least one.
        largest: size of the largest difference that an item can have.
    """
    d = np.asarray(differences, dtype=np.float64)
    p_value, interval = paired_test(d, largest=largest)
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
