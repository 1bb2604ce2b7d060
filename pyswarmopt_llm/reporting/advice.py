"""Advice from a small trial: take an expert, fine-tune it or the base, search, write a score, or
collect more examples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pyswarmopt_llm.common.config import LEAST_DEV
from pyswarmopt_llm.reporting.verdict import Difference, Verdict

TAKE, BASE, EXPERT, SEARCH = "take", "train", "expert", "search"  # the ways, and their advice
COLLECT, SCORE = "collect", "score"
WORTH = 0.01  # a gain that is smaller is not worth more effort
AT_MOST = 5  # times the examples: the most to ask of a person
SCATTER = 1.6  # with it, intervals hold in 91 to 96% of simulated trials (the tests make them)
_Z = 1.96  # half of a 95% interval, in standard errors

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


def decide(scores: Scores) -> tuple[str, int | None]:
    """The advice: a way, or `COLLECT` and how many items in all.

    The way of the least effort that the best one is ahead of by at most a standard error, or by
    `WORTH`. Where that is to take the expert, more items are worth it if at most `AT_MOST` times as
    many would show the gain seen: the error falls with the root of their number. `LEAST_DEV` items
    are the least to take an expert on.

    Example:
        >>> expert, half, better = [1.0, 0.0] * 20, [1.0] * 20 + [0.0] * 20, [1.0] * 30 + [0.0] * 10
        >>> decide({"take": expert, "train": half, "search": better})
        ('search', None)
        >>> decide({"take": expert, "train": expert, "search": half})
        ('take', None)
    """
    items = len(scores[TAKE])
    means = {way: float(np.mean(values)) for way, values in scores.items()}
    best = max(means, key=means.__getitem__)
    tuned = sorted({EXPERT, BASE} & means.keys(), key=lambda way: (-means[way], way))
    for way in (TAKE, *tuned, SEARCH):
        ahead = gain(scores[best], scores[way])
        error = (ahead.mean - ahead.low) / _Z
        if ahead.mean <= max(error, WORTH):
            break
    if way != TAKE:
        return way, None
    if items < LEAST_DEV:
        return COLLECT, LEAST_DEV
    if ahead.mean > WORTH:
        needed = math.ceil(round(items * (error / ahead.mean) ** 2, 6))
        if needed <= AT_MOST * items:
            return COLLECT, needed
    return TAKE, None


def advice(scores: Scores, expert: str, scorable: bool = False) -> Verdict:
    """The decision in one sentence, with every gain as its reasons.

    Args:
        scores: of `TAKE` and at least one other way.
        expert: the best single one.
        scorable: whether a score of the user's could judge the answers, since they are written and
            none does yet. It is advised where no way is measurably better than an expert.
    """
    kind, needed = decide(scores)
    expected, items = gains(scores), len(scores[TAKE])
    best = max(expected, key=lambda way: expected[way].mean)
    trained = BASE in scores
    ways = {
        BASE: "the base, fine-tuned on your examples",
        EXPERT: f"{expert}, fine-tuned on your examples",
        SEARCH: f"a search, {'which trains what it finds' if trained else 'before any training'}",
    }
    seen = f"{ways[best]} gains {expected[best]} over {expert}"
    if scorable and kind in (TAKE, COLLECT):
        kind = SCORE
        why = f"{seen}, too little for {items} examples to show; a search by a score needs none."
        sentence = f"Write a score of what a good answer is: {why}"
    elif kind == TAKE:
        sentence = f"Take {expert} as it is: of what was tried, {seen}, not measurably more."
    elif kind == COLLECT:
        enough = "the least to decide on" if items < LEAST_DEV else "which may show it"
        sentence = f"Collect more examples, {needed} in all, {enough}: on {items}, {seen}."
    else:
        lead = {BASE: "Fine-tune the base", EXPERT: f"Fine-tune {expert}", SEARCH: "Search"}[kind]
        sentence = f"{lead}: {ways[kind]}, is expected to gain {expected[kind]} over {expert}."
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
    "gain",
    "gains",
]
