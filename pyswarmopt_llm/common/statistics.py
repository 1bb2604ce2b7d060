"""Statistics of scores: standard errors, intervals, chance; comparing two models on the same items.

For right and wrong answers the interval is Wilson's, and the test of a difference McNemar's exact
one. Other scores use Student's, with pseudo-observations at the ends of the scale: a few items may
all have the same score, or miss a rare one. Intervals invert their tests, so the two never
contradict each other. A repeated question adds no new evidence (`by_question`).

``research/benchmarks/size_and_coverage.py`` simulates size and coverage through these functions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Protocol

import numpy as np
import scipy.stats
from pydantic import AllowInfNan

if TYPE_CHECKING:
    from pyswarmopt.base.arrays import Floats

    Values = Sequence[float] | Floats


Ends = tuple[float, float]  # of a scale or an interval
Questions = Sequence[Hashable]  # identity of each item's question

LEVEL = 0.05  # level of tests; intervals have 95% unless stated
PSEUDO = math.sqrt(0.5)  # share of the largest difference; the square of a full one is halved
# share of the largest difference; smaller differences are rounding errors of sums
ROUNDING = 1e-9
NO_ENDS = (-math.inf, math.inf)
LARGEST = 1e100  # size of a score: sums of squares stay finite
POWER = 0.8  # with which a difference would be found
RESAMPLES = 200  # bootstrap samples: enough for a standard error (Efron & Tibshirani 1993, 6.4)
_LEAST = 1e-12  # least p-value in a search


@dataclass(frozen=True)
class Whole:
    """A score of all items together, such as macro-F1, which no item has.

    Attributes:
        n: number of items.
        resampled: the score on samples of the items, drawn with replacement, the same for all models
            (`resample`); empty if it is not computed.
    """

    n: int
    resampled: tuple[float, ...] = field(default=(), repr=False)

    @property
    def stderr(self) -> float:
        """The bootstrap's standard error (Efron & Tibshirani 1993, chapter 6); NaN if not computed."""
        if not self.resampled:
            return math.nan
        return float(np.std(self.resampled, ddof=1))


@dataclass(frozen=True)
class Score:
    """The outcome of a utility: higher is better.

    Attributes:
        value: the utility, usually the mean of `per_item`.
        per_item: one value per item, in the order of the items (for accuracy 1.0 or 0.0).
        n: number of items.
        stderr: standard error of `value` over items.
        named: named numbers of a score function, of which `value` is the mean.
        margins: per item the right option's score minus each other option's, in order; empty if no
            options are compared.
        answers: per item the scored letter or text; empty if there is none.
        whole: of a score of all items together, whose `per_item` is empty.

    Example:
        >>> import pyswarmopt_llm as sl
        >>> score = sl.score_of([1.0, 0.0, 1.0, 1.0])
        >>> score.value, score.n, round(score.stderr, 2)
        (0.75, 4, 0.25)
    """

    value: float
    per_item: tuple[float, ...] = field(repr=False)
    n: int
    stderr: Annotated[float, AllowInfNan(True)]  # NaN for one item
    named: Mapping[str, float] = field(default_factory=dict)
    margins: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    answers: tuple[str, ...] = field(default=(), repr=False)
    whole: Whole | None = None


def score_of(per_item: Values) -> Score:
    """The mean over items, with its standard error (sample standard deviation / sqrt n).

    Args:
        per_item: at least one value.

    Returns:
        The score; its standard error is NaN for one item.

    Raises:
        ValueError: there are no items, or a value is not finite.

    Example:
        >>> score_of([1.0, 0.0, 1.0, 1.0]).value
        0.75
    """
    values = np.asarray(per_item, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("a score needs at least one example, and all values must be finite")
    spread = math.nan
    if values.size > 1:
        spread = float(values.std(ddof=1))
    return Score(
        float(values.mean()), tuple(values.tolist()), values.size, spread / math.sqrt(values.size)
    )


def by_question(values: Values, questions: Questions | None) -> Floats:
    """One value for each question, with the same mean as all items.

    A repeated question gets the mean of its items. If some questions repeat more often than others,
    the linearised ratio estimator is used (Cochran 1977, Sampling Techniques, section 9A.2): 95%
    intervals then hold in 88% of samples where 5 of 50 questions are asked ten times.

    Args:
        values: one per item.
        questions: question of each item; empty or None: all differ.

    Example:
        >>> by_question([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]).tolist()
        [1.0, 0.0]
        >>> by_question([1.0, 1.0, 0.0], ["a", "a", "b"]).round(3).tolist()  # the mean is 2/3
        [1.111, 0.222]
    """
    d = np.asarray(values, dtype=np.float64)
    number: dict[Hashable, int] = {}
    places = [number.setdefault(question, len(number)) for question in questions or ()]
    if len(number) == len(places):
        return d
    counts = np.bincount(places)
    sums = np.bincount(places, weights=d)
    if np.ptp(counts) == 0:
        return np.asarray(sums / counts)
    return np.asarray(d.mean() + (sums - counts * d.mean()) * counts.size / d.size)


class Estimate(NamedTuple):
    """An estimate with independent errors.

    Attributes:
        value: the estimate.
        errors: standard errors.
        freedoms: degrees of freedom of each error.
    """

    value: float
    errors: Sequence[float]
    freedoms: Sequence[float]

    @property
    def error(self) -> float:
        """The standard error."""
        return math.hypot(*self.errors)

    def half(self, level: float) -> float:
        """Half the width of the interval with confidence ``1 - level``: Student's; for several
        errors, their half-widths in quadrature (Zou & Donner 2008, Statistics in Medicine 27).
        """
        return math.hypot(*(scipy.special.stdtrit(self.freedoms, level / 2) * self.errors))

    def interval(self, level: float = LEVEL, scale: Ends = NO_ENDS) -> Ends:
        """The interval with confidence ``1 - level``, clipped to the scale."""
        half = self.half(level)
        return max(scale[0], self.value - half), min(scale[1], self.value + half)

    def p_value(self) -> float:
        """The p-value of the two-sided test against 0: the level at which the interval ends at 0."""
        if not self.half(_LEAST) > abs(self.value):
            return _LEAST if self.value else 1.0
        return float(
            scipy.optimize.brentq(
                lambda level: self.half(level) - abs(self.value), _LEAST, 1.0, rtol=1e-9
            )
        )


def estimate(value: float, samples: Sequence[Floats]) -> Estimate:
    """An estimate with the errors of the means of independent samples."""
    errors = [float(scipy.stats.sem(sample)) for sample in samples]
    return Estimate(value, errors, [sample.size - 1 for sample in samples])


def interval(
    per_item: Sequence[float],
    scale: Ends | None = None,
    questions: Questions | None = None,
) -> tuple[float, float]:
    """A 95% confidence interval of the mean over items.

    Wilson's score interval (Wilson 1927) if every item is right or wrong. Otherwise Student's
    interval with one pseudo-observation at each end of the scale, as Agresti & Caffo (2000, The American Statistician
    54) use for proportions.

    Simulated with 5 to 200 items, a 95% interval covers the mean in 95% of samples of right and
    wrong answers, averaged over all shares; of grades in at least 93% if `scale` is the true scale;
    with an assumed scale and skewed values outside 0 to 1, in 60% for 5 items, 85% for 20.

    Args:
        per_item: at least one value.
        scale: least and greatest value of an item, to which the interval is cut; None: see
            `assumed_scale`, cut to 0 and 1 if all values lie there.
        questions: see `by_question`.

    Returns:
        Lower and upper end, in the values' units.

    Raises:
        ValueError: there are no items, or a value is not finite.

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
        >>> twice = interval([1.0, 0.0] * 10, questions=[*range(10)] * 2)  # as of ten items
        >>> twice == interval([1.0, 0.0] * 5)
        True
    """
    values = by_question(score_of(per_item).per_item, questions)
    if np.isin(values, (0.0, 1.0)).all() and (scale is None or scale == (0.0, 1.0)):
        return _share(int(values.sum()), values.size, LEVEL, "wilson")
    sample = np.append(values, scale or assumed_scale(per_item))
    return estimate(float(sample.mean()), [sample]).interval(scale=scale or bounds_of(per_item))


def resample(n: int, questions: Questions | None = None) -> Iterator[list[int]]:
    """Indices of the items of each bootstrap sample; the same for all models.

    Questions are drawn with replacement, each with all of its items.

    Args:
        n: number of items.
        questions: question of each item; empty or None: all differ.

    Example:
        >>> len(list(resample(60))), len(next(resample(60)))
        (200, 60)
        >>> sorted(map(len, resample(3, ["a", "a", "b"])))[0]  # twice the one with a single item
        2
    """
    items: dict[Hashable, list[int]] = {}
    for index, question in enumerate(questions or range(n)):
        items.setdefault(question, []).append(index)
    groups = list(items.values())
    random = np.random.default_rng(0)
    for _ in range(RESAMPLES):
        drawn = random.integers(len(groups), size=len(groups))
        yield [index for number in drawn for index in groups[number]]


def score_interval(
    score: Scored, scale: Ends | None = None, questions: Questions | None = None
) -> Ends | None:
    """A 95% interval of a score: of a mean, see `interval`; of a score of all items together,
    Student's with the bootstrap's standard error; None if that is unknown.

    Example:
        >>> low, high = score_interval(Score(0.5, (), 60, 0.1, whole=Whole(60, (0.4, 0.6) * 100)))
        >>> round(low, 2), round(high, 2)
        (0.3, 0.7)
    """
    if score.per_item:
        return interval(score.per_item, scale, questions)
    if score.whole is None or not score.whole.stderr > 0:
        return None
    error = Estimate(score.value, [score.whole.stderr], [score.whole.n - 1])
    return error.interval(scale=bounds_of([score.value, *score.whole.resampled]))


def compare_whole(first: Scored, second: Scored, level: float = LEVEL) -> PairedComparison | None:
    """Compare two scores of all items together, by their differences on the same samples.

    Simulated with macro-F1 of three classes (70%, 20%, 10%) on 20, 60 and 200 items: the test of
    equal models is wrong in 7%, 5% and 5% of samples, and `score_interval` covers the score in 79%,
    93% and 95%.

    Returns:
        None if a score was not resampled, or the samples do not differ although the scores do.

    Example:
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


def _share(hits: int, n: int, level: float, method: Literal["wilson", "exact"]) -> Ends:
    """The interval of a share; its ends are exactly 0 without hits, and 1 without misses."""
    low, high = scipy.stats.binomtest(hits, n).proportion_ci(1 - level, method)
    return (float(low) if hits else 0.0), (float(high) if hits < n else 1.0)


def assumed_scale(values: Values) -> Ends:
    """The ends of an unknown scale, guessed from values.

    0 and 1 if the values fit; else their least and greatest, at least 1 apart.

    Example:
        >>> assumed_scale([0.2, 0.5]), assumed_scale([1.0, 9.0])
        ((0.0, 1.0), (1.0, 9.0))
        >>> assumed_scale([2.0, 2.5])
        (1.75, 2.75)
    """
    low = float(np.min(values))
    high = float(np.max(values))
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    pad = max(0.0, (1.0 - (high - low)) / 2)
    return low - pad, high + pad


def bounds_of(values: Values) -> Ends:
    """The ends that an interval is cut to: 0 and 1 if all values lie there.

    Example:
        >>> bounds_of([0.2, 1.0]), bounds_of([2.0])
        ((0.0, 1.0), (-inf, inf))
    """
    if np.min(values) >= 0.0 and np.max(values) <= 1.0:
        return 0.0, 1.0
    return NO_ENDS


class Scored(Protocol):
    """A task's score and its items' scores."""

    @property
    def value(self) -> float: ...

    @property
    def per_item(self) -> Sequence[float]: ...

    @property
    def whole(self) -> Whole | None: ...


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
    shares = _share(differ.size, signs.size, level, "wilson")
    if not differ.size:
        return PairedTest(1.0, (-shares[1], shares[1]))
    gained = int((differ > 0).sum())
    mean = float(differ.mean())
    low, high = _share(gained, differ.size, level, "exact")
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
        chances = np.convolve(chances, scipy.stats.binom.pmf(np.arange(n + 1), n, 1.0 / options))
    return int(np.searchsorted(chances.cumsum(), 1.0 - level)) / len(option_counts)


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
