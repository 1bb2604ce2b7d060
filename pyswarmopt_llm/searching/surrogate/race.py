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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.searching.scoring.plan import Share
from pyswarmopt_llm.searching.scoring.record import Row

FIRST = 16  # items of the first share; each that follows is twice as large
ERRORS = 3.0


@dataclass(frozen=True)
class Race:
    """The shares of the items after which candidates may drop out.

    Attributes:
        shares: plans, each with the items of the one before it; none where there are few items.
        items: task name -> number of its items.
    """

    shares: Sequence[Share]
    items: Mapping[str, int]

    @classmethod
    def over(cls, items: Mapping[str, int], seed: int) -> Race:
        """A race over these numbers of items, in an order drawn with the seed.

        Of several tasks each share has the same part.

        Example:
            >>> shares = Race.over({"a": 40, "b": 20}, seed=0).shares
            >>> [{name: len(items) for name, items in share.first.items()} for share in shares]
            [{'a': 11, 'b': 6}, {'a': 22, 'b': 11}]
        """
        draws = np.random.default_rng([seed, 7])
        orders = {name: draws.permutation(count).tolist() for name, count in items.items()}
        total = sum(items.values())
        parts, part = list[float](), FIRST / total
        while part <= 2 / 3:  # else hardly less than all
            parts.append(part)
            part *= 2
        shares = []
        for part in parts:
            first = {
                n: frozenset(order[: math.ceil(part * len(order))]) for n, order in orders.items()
            }
            shares.append(Share(first, dict(items)))
        return cls(shares, dict(items))

    def staying(self, rows: Mapping[int, Row], share: Share) -> list[int]:
        """The numbers of the candidates that go on after a share, of those with these rows."""
        values = {number: self._values(row, share) for number, row in rows.items()}
        leader = max(values, key=lambda number: values[number].mean())
        total = sum(self.items.values())
        return [n for n in values if not behind(values[n], values[leader], total)]

    def _values(self, row: Row, share: Share) -> npt.NDArray[np.float64]:
        """The values of a share's items."""
        parts = [np.array(row.item_values(name))[sorted(share.first[name])] for name in self.items]
        return np.concatenate(parts)


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


__all__ = ["Race", "behind"]
