"""Statistics of scores: standard errors, intervals, and what guessing reaches.

For right and wrong answers the interval is Wilson's. Other scores use Student's, with
pseudo-observations at the ends of the scale: a few items may all have the same score, or miss a rare
one. A repeated question adds no new evidence (`by_question`). Comparisons are in
`pyswarmopt_llm.common.paired`.

``research/benchmarks/size_and_coverage.py`` simulates size and coverage through these functions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
NO_ENDS = (-math.inf, math.inf)
LARGEST = 1e100  # size of a score: sums of squares stay finite
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
        return share_interval(int(values.sum()), values.size, LEVEL, "wilson")
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


def share_interval(hits: int, n: int, level: float, method: Literal["wilson", "exact"]) -> Ends:
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
