"""A race: candidates are scored on more and more items, and those that fall behind drop out.

A race is decided if one candidate is left before all items are scored.

After each share of the items a candidate drops out if, on the items so far, it is behind the leader
by more than `ERRORS` standard errors of the paired differences, those of a sample without
replacement: of all items but a few, little is left that could turn it. Racing is due to Maron &
Moore 1994 ("Hoeffding races", NIPS 6), the paired test to Moore & Lee 1994 ("Efficient algorithms
for minimizing cross validation error", ICML).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.searching.scoring.evaluator import Share
from pyswarmopt_llm.searching.scoring.record import Row

FIRST = 16  # items of the first share; each that follows is twice as large
ERRORS = 3.0


def draw_shares(items: Mapping[str, int], seed: int) -> list[Share]:
    """The shares of the items after which candidates may drop out, each with the one before it.

    Args:
        items: task name -> number of its items. Of several tasks each share has the same part.
        seed: of the items' order.

    Returns:
        None where there are few items.

    Example:
        >>> shares = draw_shares({"a": 40, "b": 20}, seed=0)
        >>> [{name: int(chosen.sum()) for name, chosen in share.items()} for share in shares]
        [{'a': 11, 'b': 6}, {'a': 22, 'b': 11}]
    """
    draws = np.random.default_rng([seed, 7])
    ranks = {name: np.argsort(draws.permutation(count)) for name, count in items.items()}
    shares, part = list[Share](), FIRST / sum(items.values())
    while part <= 2 / 3:  # else hardly less than all
        shares.append({n: rank < math.ceil(part * rank.size) for n, rank in ranks.items()})
        part *= 2
    return shares


def survivors(rows: Mapping[int, Row], share: Share) -> list[int]:
    """The numbers of the candidates that go on after a share, of those with these rows."""
    values = {
        number: np.concatenate([np.array(row.item_values(name))[share[name]] for name in share])
        for number, row in rows.items()
    }
    leader = max(values.values(), key=lambda own: float(own.mean()))
    total = sum(chosen.size for chosen in share.values())
    return [number for number, own in values.items() if not behind(own, leader, total)]


def behind(values: npt.NDArray[np.float64], leader: npt.NDArray[np.float64], total: int) -> bool:
    """Whether a candidate is so far behind the leader that it drops out.

    One more item, of the largest difference, keeps few items that agree from deciding.

    Args:
        values: of the items so far, (n,).
        leader: the leader's values of the same items.
        total: number of all items.

    Example:
        >>> ones, half = np.ones(16), np.repeat([0.0, 1.0], 8)
        >>> behind(half, ones, 100), behind(ones, half, 100), behind(half, ones[::-1] * half, 16)
        (True, False, False)
    """
    difference = leader - values
    n = difference.size
    variance = (((difference - difference.mean()) ** 2).sum() + 1.0) / (n + 1)
    error = math.sqrt(variance / n * max(1 - n / total, 0.0))
    return bool(difference.mean() > ERRORS * error)


__all__ = ["behind", "draw_shares", "survivors"]
