"""Advice from a small trial: take an expert, merge, train, search or collect more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pyswarmopt_llm.common.config import LEAST_DEV
from pyswarmopt_llm.reporting.verdict import Difference, Verdict

WAYS = {  # from the one that takes the least effort
    "merge": "the plain average of your experts",
    "train": "the base trained on your examples",
    "search": "a search, which trains what it finds",
}
UNTRAINED = "a search, before any training"  # where the trial trains nothing
WORTH = 0.01  # a gain that is smaller is not worth more effort
AT_MOST = 5  # times the examples: what can be asked of a person
SCATTER = 1.6  # with it, intervals hold in 91 to 96% of simulated trials (the tests make them)


def gain(way: Sequence[float], single: Sequence[float]) -> Difference:
    """The mean paired difference of the scores of the same items, with its 95% interval.

    The interval is the normal one. Half of the items is used to choose and train for the other
    half, the other way round, and other halves would choose otherwise; so the variance of the mean
    over items is multiplied by `SCATTER`.

    Args:
        way: score of each item, of what the other half led to.
        single: the same of the expert that is best on the other half.

    Example:
        >>> print(gain([1.0] * 30 + [0.0] * 10, [1.0, 0.0] * 20))
        +0.250 (95% interval -0.013 to +0.513)
    """
    differences = np.subtract(way, single)
    mean = float(differences.mean())
    half = 1.96 * math.sqrt(SCATTER * differences.var(ddof=1) / len(way))
    return Difference(mean, mean - half, mean + half)


def decide(gains: Mapping[str, Difference], items: int) -> tuple[str, int | None]:
    """The advice: ``take``, a key of `WAYS`, or ``collect`` and how many items in all.

    Of the ways whose interval lies above 0 it is the one of the least effort that the best is not
    measurably ahead of: whose interval holds the largest gain, or which is within `WORTH` of it. If
    there is none, `LEAST_DEV` items are the least to decide on; beyond, more are worth it where at
    most `AT_MOST` times as many would show the gain seen, an interval being as wide as the root of
    the number of items is small.

    Args:
        gains: of the ways that were tried.
        items: that they were measured on.

    Example:
        >>> decide({"merge": Difference(0.05, 0.01, 0.09), "search": Difference(0.055, 0.02, 0.09)}, 100)
        ('merge', None)
        >>> decide({"train": Difference(0.367, 0.195, 0.540), "search": Difference(0.388, 0.186, 0.590)}, 49)
        ('train', None)
        >>> decide({"search": Difference(0.05, -0.05, 0.15)}, 100)  # twice as wide as it may be: four times the items
        ('collect', 400)
        >>> decide({"search": Difference(0.0, 0.0, 0.0)}, 10)
        ('collect', 40)
    """
    shown = {way: gain for way, gain in gains.items() if gain.low > 0}
    if shown:
        largest = max(gain.mean for gain in shown.values())
        enough = [
            way for way, gain in shown.items() if max(gain.high, gain.mean + WORTH) >= largest
        ]
        return next(way for way in WAYS if way in enough), None
    if items < LEAST_DEV:
        return "collect", LEAST_DEV
    best = max(gains.values(), key=lambda gain: gain.mean)
    if best.mean > WORTH:
        needed = math.ceil(round(items * ((best.mean - best.low) / best.mean) ** 2, 6))
        if needed <= AT_MOST * items:
            return "collect", needed
    return "take", None


def advice(gains: Mapping[str, Difference], items: int, expert: str) -> Verdict:
    """The decision in words, with every gain as its reasons.

    Args:
        gains: of the ways that were tried, at least one.
        items: that they were measured on.
        expert: the best single one.
    """
    kind, needed = decide(gains, items)
    best = max(gains, key=lambda way: gains[way].mean)
    over = f"over your best expert, {expert}"
    ways = WAYS if "train" in gains else {**WAYS, "search": UNTRAINED}
    if kind == "take":
        sentence = f"Take {expert} as it is: nothing that was tried is measurably better."
    elif kind == "collect":
        enough = (
            f"{needed} are the least to decide on" if items < LEAST_DEV else f"about {needed} can"
        )
        may = f"{ways[best]} may gain {gains[best]} {over}"
        sentence = f"Collect more examples: {may}, which {items} items cannot tell; {enough}."
    else:
        lead = {"merge": "Merge", "train": "Train on your examples", "search": "Search"}[kind]
        sentence = f"{lead}: {ways[kind]} is expected to gain {gains[kind]} {over}."
    reasons = [f"Expected gain of {ways[way]}: {gain}." for way, gain in gains.items()]
    return Verdict(kind, sentence, tuple(reasons))
