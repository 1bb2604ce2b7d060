"""Successive halving: which adapters are scored on how many items.

Source: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits", ICML;
here the items that an adapter was scored on count in all later rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from pyswarmopt_llm.common.errors import InvalidOption

TOP = 4
FIRST_ITEMS = 8
Round = tuple[int, int]  # adapters, and the items that each has been scored on after it


@dataclass(frozen=True)
class Answer:
    """A model's answer to an item.

    Attributes:
        value: of the metric.
        probability: of the right option among the options; the value where it has none.
    """

    value: float
    probability: float


def plan(adapters: int, items: int, top: int, budget: int | None = None) -> list[Round]:
    """The rounds of a pool: the first with `FIRST_ITEMS`, or with what the budget allows.

    Raises:
        InvalidOption: the budget is not enough for a single item.

    Example:
        >>> plan(64, 100, top=4)
        [(64, 8), (32, 16), (16, 32), (8, 64), (4, 100)]
        >>> plan(64, 100, top=4, budget=3000)[0], plan(3, 100, top=4)
        ((64, 21), [(3, 100)])
    """
    if budget is None:
        return halvings(adapters, items, top, FIRST_ITEMS)
    plans = (halvings(adapters, items, top, first) for first in range(items, 0, -1))
    for rounds in plans:
        if passes(rounds) + items <= budget:
            return rounds
    least = passes(rounds) + items
    raise InvalidOption(
        "budget",
        budget,
        f"{adapters} adapters and the base take {least} passes at least; give as many",
    )


def halvings(adapters: int, items: int, top: int, first: int) -> list[Round]:
    """The rounds that begin with so many items and end with `top` adapters on all of them."""
    rounds = []
    scored = min(first, items)
    while adapters > top and scored < items:
        rounds.append((adapters, scored))
        adapters = max(top, (adapters + 1) // 2)
        scored = min(2 * scored, items)
    return [*rounds, (adapters, items)]


def passes(rounds: Sequence[Round]) -> int:
    """Forward passes of an item.

    Example:
        >>> passes([(64, 8), (4, 100)])
        880
    """
    both = pairwise([(0, 0), *rounds])
    return sum(adapters * (items - before) for (_, before), (adapters, items) in both)


def halved(
    rounds: Sequence[Round], answers_of: Callable[[int, range], Sequence[Answer]]
) -> dict[int, list[Answer]]:
    """The numbers of all adapters, the best first, and their answers.

    Args:
        rounds: of `plan`; each goes on with the best of the one before.
        answers_of: scores an adapter, by its number, on a range of the shuffled items.

    Example:
        >>> ranking = halved([(3, 1), (2, 2)], lambda number, items: [Answer(0, number)] * len(items))
        >>> {number: len(answers) for number, answers in ranking.items()}
        {2: 2, 1: 2, 0: 1}
    """
    survivors = list(range(rounds[0][0]))
    answers: dict[int, list[Answer]] = {number: [] for number in survivors}
    dropped: list[int] = []
    scored = 0
    for count, items in rounds:
        survivors, last = survivors[:count], survivors[count:]
        dropped = last + dropped
        for number in survivors:
            answers[number] += answers_of(number, range(scored, items))
        survivors.sort(key=lambda number: -mean_probability(answers[number]))
        scored = items
    return {number: answers[number] for number in survivors + dropped}


def mean_probability(answers: Sequence[Answer]) -> float:
    """The mean over items, by which adapters are ranked."""
    return fmean(answer.probability for answer in answers)
