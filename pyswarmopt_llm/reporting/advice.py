"""What to do with some experts and examples, judged by a small trial: take one, merge, train, search or collect more.

Whoever picks the best of several candidates by their scores on some items overrates it on these items. So items are
split into halves many times: on one half the best is chosen, on the other it is measured, and the other way round
(repeated two-fold cross-validation, Kohavi 1995).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.common.config import LEAST_DEV
from pyswarmopt_llm.reporting.verdict import Verdict

Floats = npt.NDArray[np.float64]

WAYS = {  # from the one that takes the least effort
    "merge": "the plain average of your experts",
    "train": "an adapter trained on your examples",
    "search": "a mixture from a search",
}
WORTH = 0.01  # a gain that is smaller is not worth more effort
AT_MOST = 5  # times the examples: what can be asked of a person
_SPLITS, _RESAMPLES = 20, 300


@dataclass(frozen=True)
class Gain:
    """Expected gain over the best single expert on new items, with its 95% interval."""

    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.difference:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f})"


def gain(outcomes: Floats, candidates: Sequence[int], singles: Sequence[int], seed: int = 0) -> Gain:
    """What choosing among the candidates gains over choosing among the single experts, on items not used to choose.

    The interval is the normal one with the bootstrap's standard error (Efron & Tibshirani 1993, chapter 6): items are
    resampled and all choices made again; copies of an item stay in one half.

    Args:
        outcomes: (rows, items), the score of each item.
        candidates: rows, at least one.
        singles: rows of the single experts, at least one.
        seed: of splits and resamples.

    Example:
        >>> better = np.vstack([np.arange(40) % 2, np.arange(40) % 4 > 0]).astype(float)
        >>> round(gain(better, [1], [0]).difference, 3)
        0.25
    """
    rng, n = np.random.default_rng(seed), outcomes.shape[1]
    halves = rng.permuted(np.tile(np.arange(n) < n // 2, (_SPLITS, 1)), axis=1)
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES)])  # first the items as they are
    chosen, single = (_unseen(outcomes[list(rows)], weights, halves) for rows in (candidates, singles))
    differences = chosen - single
    difference, half = float(differences[0]), 1.96 * float(differences[1:].std())
    return Gain(difference, difference - half, difference + half)


def _unseen(pool: Floats, weights: Floats, halves: npt.NDArray[np.bool_]) -> Floats:
    """(resamples,) mean score on one half of the row that is best on the other; the first of equals."""
    total = np.zeros(len(weights))
    for half in (*halves, *~halves):
        best = ((weights * half) @ pool.T).argmax(axis=1)
        unseen = weights * ~half
        total += np.take_along_axis(unseen @ pool.T, best[:, None], axis=1)[:, 0] / np.maximum(unseen.sum(axis=1), 1)
    return total / (2 * len(halves))


def decide(gains: Mapping[str, Gain], items: int) -> tuple[str, int | None]:
    """What to do: ``take``, a key of `WAYS`, or ``collect`` and how many items in all.

    Of the ways whose interval lies above 0 it is the one of the least effort within `WORTH` of the largest gain. If
    there is none, `LEAST_DEV` items are the least to decide on; beyond, more are worth it where at most `AT_MOST` times
    as many would show the gain seen, an interval being as wide as the root of the number of items is small.

    Args:
        gains: of the ways that were tried.
        items: that they were measured on.

    Example:
        >>> decide({"merge": Gain(0.05, 0.01, 0.09), "search": Gain(0.055, 0.02, 0.09)}, 100)
        ('merge', None)
        >>> decide({"search": Gain(0.05, -0.05, 0.15)}, 100)  # twice as wide as it may be: four times the items
        ('collect', 400)
        >>> decide({"search": Gain(0.0, 0.0, 0.0)}, 10)
        ('collect', 40)
    """
    shown = {way: found for way, found in gains.items() if found.low > 0}
    if shown:
        enough = max(found.difference for found in shown.values()) - WORTH
        return next(way for way in WAYS if way in shown and shown[way].difference >= enough), None
    if items < LEAST_DEV:
        return "collect", LEAST_DEV
    best = max(gains.values(), key=lambda found: found.difference)
    if best.difference > WORTH:
        needed = math.ceil(round(items * ((best.difference - best.low) / best.difference) ** 2, 6))
        if needed <= AT_MOST * items:
            return "collect", needed
    return "take", None


def advice(gains: Mapping[str, Gain], items: int, expert: str) -> Verdict:
    """The decision in words, with every gain as its reasons.

    Args:
        gains: of the ways that were tried, at least one.
        items: that they were measured on.
        expert: the best single one.
    """
    kind, needed = decide(gains, items)
    best = max(gains, key=lambda way: gains[way].difference)
    over = f"over your best expert, {expert}"
    if kind == "take":
        sentence = f"Take {expert} as it is: nothing that was tried is measurably better."
    elif kind == "collect":
        enough = f"{needed} are the least to decide on" if items < LEAST_DEV else f"about {needed} can"
        may = f"{WAYS[best]} may gain {gains[best]} {over}"
        sentence = f"Collect more examples: {may}, which {items} items cannot tell; {enough}."
    else:
        lead = {"merge": "Merge", "train": "Train on your examples", "search": "Search"}[kind]
        sentence = f"{lead}: {WAYS[kind]} is expected to gain {gains[kind]} {over}."
    reasons = [f"Expected gain of {WAYS[way]}: {found}." for way, found in gains.items()]
    return Verdict(kind, sentence, tuple(reasons))


@dataclass(frozen=True)
class Candidates:
    """The rows of a trial by what they are; that of the base, which has no weights, is none of them.

    Attributes:
        singles: the experts that were given.
        ways: way -> its rows.
    """

    singles: Sequence[int]
    ways: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, coefficients: Floats) -> Candidates:
        """From the coefficients (rows, experts)."""
        average = np.full(coefficients.shape[1], 1 / coefficients.shape[1])
        alone = (np.sort(coefficients, axis=1)[:, :-1] == 0).all(axis=1) & (coefficients.max(axis=1) == 1)
        merged = np.isclose(coefficients, average).all(axis=1)
        ways = {"merge": merged, "search": coefficients.any(axis=1) & ~alone & ~merged}
        found = {way: np.flatnonzero(rows).tolist() for way, rows in ways.items()}
        return cls(np.flatnonzero(alone).tolist(), {way: rows for way, rows in found.items() if rows})


def trained(outcomes: Floats, before: int, after: Floats) -> Floats:
    """(rows, items): each candidate with what training added to one of them.

    The one that was trained had been chosen by these items, and owes part of its score to that. So the choice is made
    again in `gain`, and training is taken to add to any candidate what it added there.

    Args:
        outcomes: (rows, items), the score of each item.
        before: row of the candidate that was trained.
        after: (items,), its scores after training, by what has not seen the item.

    Example:
        >>> trained(np.array([[0.0, 1.0], [1.0, 1.0]]), 0, np.array([1.0, 1.0])).tolist()
        [[1.0, 1.0], [2.0, 1.0]]
    """
    return outcomes + (after - outcomes[before])
