"""Two models on the same items: paired tests, their intervals, and how many items would be needed.

For right and wrong answers the test of a difference is McNemar's exact one, for other scores
Student's with pseudo-observations at the ends of the scale. Intervals invert their tests, so the two
never contradict each other.

``research/benchmarks/size_and_coverage.py`` simulates size and coverage through these functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.stats

from pyswarmopt_llm.common.statistics import (
    LEVEL,
    Ends,
    Estimate,
    Questions,
    Scored,
    assumed_scale,
    by_question,
    estimate,
    share_interval,
)

if TYPE_CHECKING:
    from pyswarmopt.base.arrays import Floats
    from pyswarmopt_llm.common.statistics import Values

PSEUDO = math.sqrt(0.5)  # share of the largest difference; the square of a full one is halved
# share of the largest difference; smaller differences are rounding errors of sums
ROUNDING = 1e-9
POWER = 0.8  # with which a difference would be found


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same items.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: confidence interval of the difference, at 95% unless stated; it contains 0 if and
            only if `p_value` is at least 0.05 (see `paired_test`).
        p_value: p of the two-sided test that the interval inverts; for right and wrong answers,
            this is McNemar's exact test.
        n: number of items.
        gained: items on which the first is better.
        lost: items on which the second is better.
        needed: number of items with which a difference of this size would be found, see
            `items_needed`; None if there is no difference.
    """

    difference: float
    interval: Ends
    p_value: float
    n: int
    gained: int
    lost: int
    needed: int | None = None

    @property
    def sign(self) -> int:
        """1 or -1 if the interval is above or below 0, else 0."""
        low, high = self.interval
        return int(low > 0) - int(high < 0)


def compare_paired(
    first: Sequence[float],
    second: Sequence[float],
    scale: Ends | None = None,
    questions: Questions | None = None,
    level: float = LEVEL,
) -> PairedComparison:
    """Compare two models item by item.

    Args:
        first: scores of one model.
        second: scores of the other model, to be subtracted.
        scale: least and greatest score of an item; None: see `assumed_scale`.
        questions: question of each item; repeated ones count as one piece of evidence.
        level: level of the test.

    Raises:
        ValueError: there are no items, or the numbers differ.

    Example:
        >>> result = compare_paired([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0, 0, 0])
        >>> result.difference, result.p_value, result.gained, result.lost, result.sign
        (0.75, 0.03125, 6, 0, 1)
    """
    if not first or len(first) != len(second):
        raise ValueError(
            f"got {len(first)} and {len(second)} values; pass values for the same examples, at least one"
        )
    low, high = scale or assumed_scale([*first, *second])
    d = without_rounding(np.subtract(first, second, dtype=np.float64), high - low)
    p_value, interval = paired_test(d, level, high - low, questions)
    gained = int(np.sum(d > 0))
    lost = int(np.sum(d < 0))
    needed = items_needed(d, questions)
    return PairedComparison(float(d.mean()), interval, p_value, d.size, gained, lost, needed)


class PairedTest(NamedTuple):
    """A test of a mean paired difference, and its inversion."""

    p_value: float
    interval: Ends


def paired_test(
    differences: Values,
    level: float = LEVEL,
    largest: float = 1.0,
    questions: Questions | None = None,
) -> PairedTest:
    """Test the mean of paired differences against 0, two-sided, with the matching interval.

    If items differ only fully, as right and wrong answers do, it is McNemar's exact test, and the
    mean is the share of differing items times their mean difference. The share's interval is
    Wilson's, the mean difference's Clopper & Pearson's (1934), which inverts the test; the two
    errors add in quadrature (Zou & Donner 2008), up to the product of the two ends.

    Otherwise it is Student's, with half an item gained and half an item lost in full (`PSEUDO`), as
    in Agresti & Min (2005, Statistics in Medicine 24). Without them, a model that is often a little
    worse and rarely much better would be called worse whenever the sample misses the rare item.

    The interval contains 0 if and only if p is at least `level`, and never has zero width.

    Simulated with 6, 20, 60 and 200 items: for right and wrong answers the test is wrong in at most
    4% of samples, and a 95% interval covers the mean in at least 92% (with 6 items 88%); for grades
    the test is wrong in at most 6%. If 5% or 10% of items are much better and all others a little
    worse it is wrong in at most 8%, if 2% are, in at most 10%.

    Args:
        differences: one per item, at least one.
        level: level of the test; the interval has confidence ``1 - level``.
        largest: largest possible difference of an item.
        questions: see `by_question`.

    Example:
        >>> test = paired_test([1.0] * 8 + [-1.0] * 1 + [0.0] * 11)  # McNemar: 8 gained, 1 lost
        >>> round(test.p_value, 4), [round(end, 3) for end in test.interval]
        (0.0391, [0.009, 0.539])
        >>> paired_test([1.0, 1.0, 1.0, 1.0]).p_value  # 2 of 16 patterns of signs are as extreme
        0.125
        >>> paired_test([0.0] * 100).interval[1] > 0.03  # another item may still differ
        True
        >>> paired_test([-0.05] * 20).interval[1] > 0  # nor need a rare one be in the sample
        True
    """
    d = without_rounding(by_question(differences, questions), largest)
    largest = max(largest, float(np.abs(d).max()))
    sizes = np.abs(d[d != 0])
    if np.all(sizes >= (1 - ROUNDING) * largest):
        p_value, (low, high) = _mcnemar(np.sign(d), level)
        return PairedTest(p_value, (largest * low, largest * high))
    sample = np.append(d, (PSEUDO * largest, -PSEUDO * largest))
    found = estimate(float(sample.mean()), [sample])
    return PairedTest(found.p_value(), found.interval(level, (-largest, largest)))


def without_rounding(differences: Floats, largest: float) -> Floats:
    """Differences with rounding errors of sums set to 0."""
    return np.where(np.abs(differences) <= ROUNDING * largest, 0.0, differences)


def _mcnemar(signs: Floats, level: float) -> PairedTest:
    """Test differences of -1, 0 and 1: among non-zero ones, the number of positive ones is
    binomial.
    """
    differ = signs[signs != 0]
    share = differ.size / signs.size
    shares = share_interval(differ.size, signs.size, level, "wilson")
    if not differ.size:
        return PairedTest(1.0, (-shares[1], shares[1]))
    gained = int((differ > 0).sum())
    mean = float(differ.mean())
    low, high = share_interval(gained, differ.size, level, "exact")
    p_value = scipy.stats.binomtest(gained, differ.size).pvalue
    lower = -_product_end(-mean, 1 - 2 * low, share, shares)
    upper = _product_end(mean, 2 * high - 1, share, shares)
    return PairedTest(float(p_value), (lower, upper))


def _product_end(mean: float, end: float, share: float, shares: Ends) -> float:
    """Upper end of an interval of `share` times `mean`, from the upper end of `mean` and the
    interval of `share`.
    """
    farthest = end * shares[end > 0]
    error = math.hypot(share * (end - mean), mean * (shares[mean > 0] - share))
    return min(farthest, share * mean + error)


def compare_whole(first: Scored, second: Scored, level: float = LEVEL) -> PairedComparison | None:
    """Compare two scores of all items together, by their differences on the same samples.

    Simulated with macro-F1 of three classes (70%, 20%, 10%) on 20, 60 and 200 items: the test of
    equal models is wrong in 7%, 5% and 5% of samples, and `score_interval` covers the score in 79%,
    93% and 95%.

    Returns:
        None if a score was not resampled, or the samples do not differ although the scores do.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Score, Whole
        >>> better, worse = (Score(v, (), 9, 0.1, whole=Whole(9, (v, v + s))) for v, s in ((0.9, 0.1), (0.2, 0.2)))
        >>> found = compare_whole(better, worse)
        >>> round(found.difference, 2), found.n, found.sign
        (0.7, 9, 1)
    """
    if first.whole is None or second.whole is None or first.whole.n != second.whole.n:
        return None
    if not len(first.whole.resampled) == len(second.whole.resampled) > 1:
        return None
    difference = first.value - second.value
    changes = np.subtract(first.whole.resampled, second.whole.resampled)
    error = float(np.std(changes, ddof=1))
    if error == 0 and difference:
        return None
    n = first.whole.n
    found = Estimate(difference, [error], [n - 1])
    needed = needed_for(difference, error, n)
    return PairedComparison(difference, found.interval(level), found.p_value(), n, 0, 0, needed)


def corrected(
    tests: Mapping[str, PairedComparison], at_level: Callable[[str, float], PairedComparison]
) -> dict[str, PairedComparison]:
    """Several comparisons read together, corrected for their number (Holm 1979).

    The probability that any is wrong is at most 5%. Each interval has the level of its own step, or
    of the last one, so it contains 0 exactly if its p is not below 5%.

    Args:
        tests: name -> comparison.
        at_level: returns the comparison with a name, at a level.

    Example:
        >>> one = compare_paired([1.0] * 6 + [0.0] * 4, [0.0] * 10)
        >>> both = corrected({"a": one, "b": one}, lambda name, level: one)
        >>> one.p_value, [pair.p_value for pair in both.values()]
        (0.03125, [0.0625, 0.0625])
    """
    found: dict[str, PairedComparison] = {}
    p_value = 0.0
    level = LEVEL
    for done, name in enumerate(sorted(tests, key=lambda name: tests[name].p_value)):
        left = len(tests) - done
        if p_value < LEVEL:
            level = LEVEL / left
        p_value = max(p_value, min(1.0, left * tests[name].p_value))
        found[name] = replace(at_level(name, level), p_value=p_value)
    return {name: found[name] for name in tests}


def items_needed(differences: Values, questions: Questions | None = None) -> int | None:
    """The number of items with which a test of paired differences like these would find their mean,
    with 80% power at the two-sided 5% level; see `needed_for`.

    Args:
        differences: one per item.
        questions: question of each item; repeated ones count as one piece of evidence.

    Example:
        >>> items_needed([1.0] * 2 + [-1.0] + [0.0] * 97)  # 2 wins and 1 loss in 100
        2353
        >>> items_needed([1.0, -1.0]) is None
        True
    """
    d = by_question(differences, questions)
    found = needed_for(float(d.mean()), float(d.std()) / math.sqrt(d.size), d.size)
    return found and math.ceil(found * len(differences) / d.size)


def needed_for(difference: float, error: float, n: int) -> int | None:
    """The number of items with which a difference would be found, with 80% power at the two-sided 5%
    level; None if there is no difference.

    For right and wrong answers it is Connor's (1987, Biometrics 43, eq. 2) of McNemar's test; without
    a difference the variance is larger by its square.

    Args:
        difference: difference of the means.
        error: its standard error, with `n` items.
        n: number of items.
    """
    if not difference or not math.isfinite(error):
        return None
    level, power = scipy.stats.norm.isf([LEVEL / 2, 1 - POWER])
    spread = level * math.hypot(error, difference / math.sqrt(n)) + power * error
    return math.ceil(n * (spread / difference) ** 2)
