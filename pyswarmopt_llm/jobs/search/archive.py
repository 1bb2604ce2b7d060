"""The candidates that a search remembers beside its best: the highest scores, and the Pareto front over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated
from pyswarmopt_llm.evaluation.record import Row

TOP = 10  # candidates that --confirm scores again
FRONT = 5  # points of the front that are saved beside the best


@dataclass(frozen=True)
class Candidate:
    """A scored position.

    Attributes:
        position: (D,).
        value: the objective on dev.
        tasks: task -> value on dev.
    """

    position: Tensor
    value: float
    tasks: Mapping[str, float]


class Archive:
    """Keeps the `TOP` candidates by value and those that no other dominates; forgets all others.

    Args:
        tasks: names of the tasks, the axes of the front.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._names = tuple(tasks)
        self._seen: dict[str, Candidate] = {}

    def add(self, position: Tensor, row: Row | None) -> None:
        """Remember a candidate if it leads.

        Args:
            position: (D,).
            row: its evaluation; an incomplete one is passed over, since its tasks' scores are not known.
        """
        if row is None or not row.complete or row.key in self._seen:
            return
        tasks = {name: row.score(name).value for name in self._names}
        self._seen[row.key] = Candidate(position.clone(), float(row.value), tasks)
        if len(self._seen) > 4 * TOP:
            self._forget()

    @property
    def top(self) -> list[Candidate]:
        """The best by value, the best first; of equals the earlier."""
        return sorted(self._seen.values(), key=lambda candidate: -candidate.value)[:TOP]

    @property
    def front(self) -> list[Candidate]:
        """Candidates that none dominates, sorted by the first task; of several at one point the first."""
        distinct = {tuple(c.tasks.values()): c for c in reversed(self._seen.values())}
        points = list(distinct.values())
        keep = non_dominated(-self._values(points))
        return sorted((c for c, k in zip(points, keep, strict=True) if k), key=lambda c: tuple(c.tasks.values()))

    def at(self, position: Tensor) -> Candidate | None:
        """The candidate at a position, if it is remembered."""
        return next((c for c in self._seen.values() if c.position.equal(position)), None)

    def spread(self, without: Tensor) -> list[Candidate]:
        """At most `FRONT` points of the front that lie far apart, `without` one position."""
        points = [c for c in self.front if not c.position.equal(without)]
        while len(points) > FRONT:
            points.pop(int(crowding_distance(-self._values(points)).argmin()))
        return points

    def _values(self, candidates: Sequence[Candidate]) -> np.ndarray:
        return np.array([list(c.tasks.values()) for c in candidates]).reshape(len(candidates), len(self._names))

    def _forget(self) -> None:
        kept = {id(c) for c in [*self.top, *self.front]}
        self._seen = {key: c for key, c in self._seen.items() if id(c) in kept}


__all__ = ["FRONT", "TOP", "Archive", "Candidate"]
