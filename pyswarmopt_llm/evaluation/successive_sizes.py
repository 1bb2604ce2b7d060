"""`--dev-sizes N1,N2,...`: the first iterations see a part of the dev items, later ones more, the last ones all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.evaluation.partial import Evaluation, mean_only


@dataclass(frozen=True)
class Subset:
    """An `ItemRule`: the value is that on these items, and no other is asked.

    Attributes:
        first: task name -> the items.

    Example:
        >>> known = Evaluation({"t": (0.0, 1.0)}, {"t": np.array([1.0, np.nan, 0.0])}, lambda scores: scores[0])
        >>> Subset({"t": frozenset((0, 2))})(known), Subset({"t": frozenset((0, 1))})(known)
        (0.5, None)
    """

    first: Mapping[str, frozenset[int]]
    keeps_margins: ClassVar[bool] = False

    def __call__(self, evaluation: Evaluation) -> float | None:
        """The value on the items, once all of them are known."""
        seen = [evaluation.values[name][sorted(items)] for name, items in self.first.items()]
        if any(np.isnan(values).any() for values in seen):
            return None
        return evaluation.combine([mean_only(values) for values in seen]).value


class DevSizes:
    """Which items count when.

    The rounds are shared out evenly among the sizes, the whole dev split being the last of them. A larger part holds
    the smaller ones, so that what was asked counts on; which items they are is drawn by the seed.

    Args:
        sizes: rising numbers of items of a task; a task with fewer is asked whole.
        items: task name -> number of its items.
        rounds: of the search, the starting swarm's included.
        seed: of the search.

    Example:
        >>> sizes = DevSizes((2, 4), {"t": 8}, rounds=6, seed=0)
        >>> [len(sizes.at(k).first["t"]) for k in range(6)]
        [2, 2, 4, 4, 8, 8]
        >>> [k for k in range(6) if sizes.grows_at(k)]
        [2, 4]
    """

    def __init__(self, sizes: Sequence[int], items: Mapping[str, int], rounds: int, seed: int) -> None:
        largest = max(items.values())
        self._rounds = rounds
        orders = {name: np.random.default_rng([seed, 3]).permutation(n).tolist() for name, n in items.items()}
        self._stages = [
            Subset({name: frozenset(order[:size]) for name, order in orders.items()})
            for size in [*(size for size in sizes if size < largest), largest]
        ]

    def at(self, iteration: int) -> Subset:
        """What is asked in an iteration."""
        return self._stages[self._stage(iteration)]

    def grows_at(self, iteration: int) -> bool:
        """Whether more is asked than in the iteration before."""
        return iteration > 0 and self._stage(iteration) > self._stage(iteration - 1)

    @property
    def last(self) -> Subset:
        """All items."""
        return self._stages[-1]

    def _stage(self, iteration: int) -> int:
        return min(iteration * len(self._stages) // self._rounds, len(self._stages) - 1)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Rising numbers from ``50,100``.

    Raises:
        UserError: anything else.

    Example:
        >>> parse_sizes("50,100")
        (50, 100)
    """
    try:
        sizes = tuple(int(word) for word in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or sizes[0] < 1 or any(b <= a for a, b in pairwise(sizes)):
        raise UserError(f"--dev-sizes {text}: give rising numbers of items, as in 50,100")
    return sizes


__all__ = ["DevSizes", "Subset", "parse_sizes"]
