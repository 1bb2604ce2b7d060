"""Advice from a small trial: take an expert, fine-tune it or the base, search, write a score, or
collect more examples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyswarmopt_llm.common.config import LEAST_DEV
from pyswarmopt_llm.reporting.verdict import Verdict

TAKE, BASE, EXPERT, SEARCH = "take", "train", "expert", "search"  # the ways, and their advice
COLLECT, SCORE = "collect", "score"
WORTH = 0.01  # a gain that is not larger is not worth an effort
ROUNDING = 1e-9
SCATTER = 1.6  # with it, intervals hold in 91 to 96% of simulated trials (the tests make them)
_Z = 1.96  # half of a 95% interval, in standard errors


@dataclass(frozen=True)
class Difference:
    """A gain with its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f})"


Scores = Mapping[str, Sequence[float]]
"""Way -> the score of each item; `TAKE`: of the expert that is best on the other half."""


def gain(way: Sequence[float], other: Sequence[float]) -> Difference:
    """The mean paired difference of the scores of the same items, with its 95% interval.

    The interval is the normal one. Half of the items is used to choose and train for the other
    half, the other way round, and other halves would choose otherwise; so the variance of the mean
    over items is multiplied by `SCATTER`.

    Args:
        way: score of each item, of what the other half led to.
        other: the same of another way.

    Example:
        >>> print(gain([1.0] * 30 + [0.0] * 10, [1.0, 0.0] * 20))
        +0.250 (95% interval -0.013 to +0.513)
    """
    differences = np.subtract(way, other)
    mean = float(differences.mean())
    half = _Z * math.sqrt(SCATTER * differences.var(ddof=1) / len(way))
    return Difference(mean, mean - half, mean + half)


def gains(scores: Scores) -> dict[str, Difference]:
    """Way -> expected gain over the best expert."""
    return {way: gain(values, scores[TAKE]) for way, values in scores.items() if way != TAKE}


def decide(scores: Scores) -> str:
    """The advice: to search, unless the best other way is ahead of it by a standard error, or the
    search has led to that way.

    What a search finds is handed over only where it is not worse on dev, so an unneeded one loses
    time at most, a missing one its gain (research/notes/advice.md). Where the best is to take the
    expert, `LEAST_DEV` items are the least to take one on.

    Example:
        >>> expert, half, better = [1.0, 0.0] * 20, [1.0] * 20 + [0.0] * 20, [1.0] * 30 + [0.0] * 10
        >>> decide({"take": expert, "train": half, "search": better})
        'search'
        >>> decide({"take": better, "train": expert, "search": half})
        'take'
        >>> decide({"take": expert, "train": better, "search": better})
        'train'
    """
    # the least effort first, which counts where means are equal
    others = [way for way in (TAKE, EXPERT, BASE) if way in scores]
    best = max(others, key=lambda way: float(np.mean(scores[way])))
    lead = gain(scores[best], scores[SEARCH])
    if lead.mean + ROUNDING < (lead.high - lead.mean) / _Z:
        return SEARCH
    return COLLECT if best == TAKE and len(scores[TAKE]) < LEAST_DEV else best


def enough(expected: Difference, items: int) -> int | None:
    """The number of items on which such a gain would be told from chance; None: on these.

    The error falls with the root of their number. None, too, where nothing is gained.

    Example:
        >>> enough(Difference(0.1, -0.1, 0.3), 50), enough(Difference(0.1, 0.05, 0.15), 50)
        (200, None)
    """
    half = expected.mean - expected.low
    if expected.low > 0 or expected.mean <= 0:
        return None
    return math.ceil(round(items * (half / expected.mean) ** 2, 6))


def advice(scores: Scores, expert: str, scorable: bool = False) -> Verdict:
    """The decision in one sentence, with every gain as its reasons.

    Args:
        scores: of `TAKE` and at least one other way.
        expert: the best single one.
        scorable: whether a score of the user's could judge the answers, since they are written and
            none does yet. It is advised where no way is better than an expert.
    """
    kind = decide(scores)
    expected, items = gains(scores), len(scores[TAKE])
    best = max(expected, key=lambda way: expected[way].mean)
    trained = BASE in scores
    ways = {
        BASE: "the base, fine-tuned on your examples",
        EXPERT: f"{expert}, fine-tuned on your examples",
        SEARCH: f"a search, {'which trains what it finds' if trained else 'before any training'}",
    }
    seen = f"{ways[best]} gains {expected[best]} over {expert}"
    if scorable and expected[best].mean <= WORTH + ROUNDING:
        kind = SCORE
        why = f"{seen}, too little for {items} examples to show; a search by a score needs none."
        sentence = f"Write a score of what a good answer is: {why}"
    elif kind == TAKE:
        sentence = f"Take {expert} as it is: of what was tried, {seen}."
    elif kind == COLLECT:
        least = f"{LEAST_DEV} in all, the least to decide on"
        sentence = f"Collect more examples, {least}: on {items}, {seen}."
    elif expected[kind].mean <= 0:
        sentence = (
            f"Search: no other way is measurably ahead of {ways[SEARCH]}. On halves of your examples "
            f"it gains {expected[SEARCH]} over {expert}; what is worse on dev is not handed over."
        )
    else:
        lead = {BASE: "Fine-tune the base", EXPERT: f"Fine-tune {expert}", SEARCH: "Search"}[kind]
        sentence = f"{lead}: {ways[kind]}, is expected to gain {expected[kind]} over {expert}"
        needed = enough(expected[kind], items)
        chance = f"; {needed} examples would tell that from chance" if needed else ""
        sentence += f"{chance}."
    reasons = [f"Expected gain of {ways[way]}: {value}." for way, value in expected.items()]
    return Verdict(kind, sentence, tuple(reasons))


__all__ = [
    "BASE",
    "COLLECT",
    "EXPERT",
    "SCORE",
    "SEARCH",
    "TAKE",
    "advice",
    "decide",
    "enough",
    "gain",
    "gains",
]
