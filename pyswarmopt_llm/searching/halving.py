"""Which of many experts stay in a search: the rounds of screening, and who leaves after each.

All experts answer a share of the dev items. The best so far is compared with each other one on the
same items, those clearly behind leave, and the rest answer twice as many: successive halving (Karnin,
Koren & Somekh 2013) with a paired test in the place of a fixed half (a race, Maron & Moore 1994).
What is lost and saved: research/notes/many-adapters.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

from pyswarmopt_llm.common.config import MOST_COEFFICIENTS

LEAST = 32  # experts from which they are screened; so many stay, whatever the tests say
LEAST_ITEMS = 64  # dev items from which they are screened
LEVEL = 0.01  # of each one-sided test
FIRST = 8  # the first round asks one item in so many


def rounds(items: int) -> list[int]:
    """How many of the dev items have been asked after each round, the last of which asks all.

    Example:
        >>> rounds(200), rounds(70)
        ([25, 50, 100, 200], [8, 16, 32, 64, 70])
    """
    ends = [max(items // FIRST, 1)]
    while 2 * ends[-1] < items:
        ends.append(2 * ends[-1])
    return [*ends, items]


def share(end: int, count: int, items: int) -> int:
    """How many of a task's items have been asked when `end` of all items have.

    Args:
        end: as in `rounds`.
        count: items of the task.
        items: items of all tasks.

    Example:
        >>> [share(end, 30, 100) for end in rounds(100)]
        [4, 8, 15, 29, 30]
    """
    return math.ceil(end * count / items)


def most_left(experts: int, earlier: int) -> int:
    """How many of the experts may stay after a round, whatever the tests say: all after the first,
    after the second as many as can be mixed, then half as many.

    Example:
        >>> [most_left(200, earlier) for earlier in range(4)]
        [200, 64, 32, 32]
    """
    if earlier == 0:
        return experts
    if earlier == 1:
        return min(experts, MOST_COEFFICIENTS)
    return min(experts, LEAST)


def leaving(
    values: Mapping[int, float], p_value: Callable[[int], float], earlier: int
) -> dict[int, float | None]:
    """The experts that leave after a round, with the p-value of the test that says so.

    The first `LEAST` stay. Those beyond `most_left` leave, too; their p-value is None.

    Args:
        values: expert -> its score on the items asked so far.
        p_value: expert -> p of the one-sided test that it is behind the best.
        earlier: number of earlier rounds.

    Example:
        >>> values = dict(enumerate([0.9] * 32 + [0.8, 0.1]))
        >>> leaving(values, lambda number: 0.3 if values[number] > 0.5 else 0.001, earlier=0)
        {33: 0.001}
    """
    most = most_left(len(values), earlier)
    ranked = sorted(values, key=lambda number: -values[number])
    found: dict[int, float | None] = {}
    for place, number in enumerate(ranked[LEAST:], start=LEAST):
        p = p_value(number)
        if p <= LEVEL:
            found[number] = p
        elif place >= most:
            found[number] = None
    return found


def most_answers(experts: int, counts: Mapping[str, int]) -> int:
    """The most items that screening scores, if no test finds anyone behind.

    Args:
        experts: their number.
        counts: task -> its dev items.

    Example:
        >>> most_answers(50, {"t": 200}), most_answers(200, {"t": 200})
        (8200, 16400)
    """
    items = sum(counts.values())
    asked = [sum(share(end, count, items) for count in counts.values()) for end in rounds(items)]
    total = 0
    for place, (start, end) in enumerate(pairwise([0, *asked])):
        left = experts if place == 0 else most_left(experts, place - 1)
        total += left * (end - start)
    return total
