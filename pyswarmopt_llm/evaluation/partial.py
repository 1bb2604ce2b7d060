"""One candidate's evaluation, item by item, and the rules that end it early.

An evaluation is a list of parts (`interfaces.ByParts`). After each part a rule may say: the rest makes no difference,
tell the optimizer this value. `Bounded` is exact: a Model Swarm looks at a value only to see whether it is better than
the particle's best or worse than the worst of all, so a value that is known to be neither need not be known.
`Race` is a test and can be wrong at its level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy import stats

from pyswarmopt_llm.common.interfaces import ByParts, Part, Score

Values = npt.NDArray[np.float64]  # one per item; NaN where it was not asked
Combine = Callable[[Sequence[Score]], Score]


@dataclass
class Evaluation:
    """What is known of one candidate.

    Attributes:
        ranges: task name -> lowest and highest value of an item.
        values: task name -> the items' values, (n,) float64, NaN where not asked yet.
        combine: the tasks' scores as one; it must not fall when one of them rises.
    """

    ranges: Mapping[str, tuple[float, float]]
    values: Mapping[str, Values]
    combine: Combine

    @classmethod
    def of(
        cls,
        utilities: Mapping[str, ByParts],
        combine: Combine,
        known: Mapping[str, Sequence[float]] | None = None,
    ) -> Evaluation:
        """With the values that are known, none unless given."""
        ranges = {name: (asked.lowest, asked.highest) for name, asked in utilities.items()}
        if known is None:
            return cls(ranges, {name: np.full(asked.n, math.nan) for name, asked in utilities.items()}, combine)
        return cls(ranges, {name: np.array(known[name]) for name in utilities}, combine)

    @property
    def asked(self) -> int:
        """Number of items with a value."""
        return sum(int((~np.isnan(values)).sum()) for values in self.values.values())

    @property
    def complete(self) -> bool:
        """Whether every item was asked."""
        return not any(np.isnan(values).any() for values in self.values.values())

    def bounds(self) -> tuple[float, float]:
        """What the value would be if every item left were the worst, and the best, possible.

        The items left are filled in where they belong, so that sums are formed in the same order as those of the
        complete evaluation. Floating-point sums are monotone in each term, so the bounds hold to the last bit.
        """
        low, high = (
            self.combine(
                [
                    mean_only(np.where(np.isnan(values), self.ranges[name][end], values))
                    for name, values in self.values.items()
                ]
            )
            for end in (0, 1)
        )
        return low.value, high.value


# The value to tell the optimizer, or None to go on asking.
Rule = Callable[[Evaluation], float | None]


@runtime_checkable
class ItemRule(Protocol):
    """A `Rule` that says which items to ask first, and then whether the others have to be asked too."""

    @property
    def first(self) -> Mapping[str, frozenset[int]]:
        """Task name -> the items to ask first."""

    @property
    def keeps_margins(self) -> bool:
        """Whether what the options scored goes into the journal."""

    def __call__(self, evaluation: Evaluation) -> float | None:
        """As any rule."""


@dataclass(frozen=True)
class Bounded:
    """Stop once the value is sure to be at most `best` and at least `worst`; what is told is the upper bound.

    Attributes:
        best: the particle's best value.
        worst: the worst value of all; -inf if a bound on it is enough: then a candidate counts as the new worst
            only where its upper bound says so.

    Example:
        >>> right, wrong, left = 1.0, 0.0, math.nan
        >>> half = Evaluation({"t": (0.0, 1.0)}, {"t": np.array([right, wrong, wrong, left])}, lambda scores: scores[0])
        >>> half.bounds(), Bounded(best=0.5, worst=0.25)(half), Bounded(best=0.25, worst=0.25)(half)
        ((0.25, 0.5), 0.5, None)
    """

    best: float
    worst: float

    def __call__(self, evaluation: Evaluation) -> float | None:
        low, high = evaluation.bounds()
        return high if high <= self.best and low >= self.worst else None


@dataclass(frozen=True)
class Race:
    """Stop once a candidate is significantly worse than its particle's best on the items asked so far.

    A one-sided sign test over the items on which the two differ (exact McNemar), after every part; the level holds
    for each look, not for all looks together. What is told is the best's value plus the mean difference on the items
    asked, within what is possible. After Maron & Moore 1993 ("Hoeffding races") and Birattari et al. 2002 (F-race).

    Attributes:
        rival: task name -> values of the items of the particle's best, complete.
        level: probability to stop, at one look, a candidate that is as good as its rival.
    """

    rival: Mapping[str, Values]
    level: float

    def __call__(self, evaluation: Evaluation) -> float | None:
        differences = {name: values - self.rival[name] for name, values in evaluation.values.items()}
        signs = np.sign(np.concatenate(list(differences.values())))  # NaN where not asked
        won, lost = int((signs == 1).sum()), int((signs == -1).sum())
        if won >= lost or stats.binom.cdf(won, won + lost, 0.5) > self.level:
            return None
        # On a task that was not asked yet the two count as equal.
        expected = {
            name: values + (0.0 if np.isnan(differences[name]).all() else np.nanmean(differences[name]))
            for name, values in self.rival.items()
        }
        rival, estimate = (
            evaluation.combine([mean_only(values) for values in task.values()]).value for task in (self.rival, expected)
        )
        low, high = evaluation.bounds()
        return float(np.clip(estimate, low, min(high, rival)))


def mean_only(values: Values) -> Score:
    """The score of these values without what only a person wants to know of it."""
    return Score(float(values.mean()), (), values.size, 0.0)


class Telling:
    """Which part to ask next so that a `Bounded` evaluation ends soon: the most telling one.

    To show that a candidate is no better than its best takes wrong answers, so the items that most candidates before
    got wrong come first; once that is shown, to prove it no worse than the worst takes right ones. Ties go to the
    earlier part.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Values] = {}
        self._counts: dict[str, Values] = {}

    def note(self, values: Mapping[str, Values], sign: int = 1) -> None:
        """Count a candidate's values, NaN where not asked; with `sign` -1 take an earlier count back."""
        for name, found in values.items():
            sums = self._sums.setdefault(name, np.zeros(len(found)))
            counts = self._counts.setdefault(name, np.zeros(len(found)))
            sums += sign * np.nan_to_num(found)
            counts += sign * ~np.isnan(found)

    def copy(self) -> Telling:
        """The counts as they are now."""
        now = Telling()
        now._sums = {name: sums.copy() for name, sums in self._sums.items()}
        now._counts = {name: counts.copy() for name, counts in self._counts.items()}
        return now

    def order(
        self, evaluation: Evaluation, parts: Sequence[tuple[str, Part[float]]], rules: Sequence[Rule]
    ) -> Iterator[int]:
        """Indices of the parts as they are to be asked, each chosen when its turn comes."""
        left = list(range(len(parts)))
        bounded = rules[0] if len(rules) == 1 and isinstance(rules[0], Bounded) else None
        if bounded is None:
            # A race needs items that were not chosen by who got them right; other rules know the order of their parts.
            races = any(isinstance(rule, Race) for rule in rules)
            yield from (int(k) for k in (np.random.default_rng(0).permutation(len(parts)) if races else left))
            return
        while left:
            seeks_wrong = evaluation.bounds()[1] > bounded.best
            k = max(left, key=lambda k: (self._share(evaluation, *parts[k], seeks_wrong), -k))
            left.remove(k)
            yield k

    def _share(self, evaluation: Evaluation, name: str, part: Part[float], seeks_wrong: bool) -> float:
        """Of the items of a part, how many an average candidate gets wrong, or right."""
        if name not in self._counts:
            return 0.0
        indices, (low, high) = list(part.indices), evaluation.ranges[name]
        # As if every item had been asked twice more, once right and once wrong (Laplace).
        mean = (self._sums[name][indices] + low + high) / (self._counts[name][indices] + 2)
        right = float(((mean - low) / (high - low)).mean())
        return 1 - right if seeks_wrong else right


__all__ = ["Bounded", "Evaluation", "ItemRule", "Race", "Rule", "Telling", "Values", "mean_only"]
