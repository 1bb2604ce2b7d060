"""The default search of a front: models of the objectives, then SMPSO from their points."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.judge import Judged
from pyswarmopt.driver.multi.front_model import FrontProposals
from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated
from pyswarmopt.driver.multi.smpso import MultiSwarm
from pyswarmopt.hybrid.kinds import Kinds, UnitBox

MODELLED = 200  # evaluations
AT_ONCE = 5  # points proposed by the models at a time
FIRST = 2  # points per parameter before the first model, plus one


class ModelledSwarm(MultiSwarm):
    """A swarm that starts from points proposed by models.

    Args:
        kinds: kinds of the M coordinates.
        at_once: points proposed by the models at a time.
        last: number of evaluations for the models.
        start: see `MultiSwarm`.
        swarm: further arguments of `MultiSwarm`.
    """

    def __init__(
        self, kinds: Kinds, at_once: int, last: int, *, start: Floats, **swarm: Any
    ) -> None:
        super().__init__(start=start, **swarm)
        self._box = UnitBox(self._low, self._high)
        self._start = start
        kinds = kinds.of(self._box.free)
        first = min(FIRST * kinds.count + 1, max(last // 4, 1))
        self._model = FrontProposals(kinds, first, last, at_once)
        self._proposed = self._start

    def ask(self) -> Floats:
        if self._model.done:
            return super().ask()
        if len(self._model.points):
            self._proposed = self._box.decode(self._model.propose(self._random))
            self.iteration += 1
            return self._proposed
        drawn = self._box.decode(self._model.kinds.draw(self._model.first, self._random))
        self._proposed = np.concatenate([self._start, drawn])
        return self._proposed

    def tell(self, judged: Judged) -> None:
        if self._model.done:
            super().tell(judged)
            return
        valued = judged.valued & np.isfinite(judged.costs).all(-1)
        values = np.where(valued[:, None], judged.costs, np.inf)
        seen = judged.evaluated
        points = self._box.encode(self._proposed[seen])
        self._model.take_in_rows(points, values[seen], judged.violations[seen])
        self.remember_front(
            self._proposed, values, judged.violations, valued | (judged.violations > 0)
        )
        if self._model.done:
            self._begin_at_the_best()

    def state_dict(self) -> dict[str, Any]:
        """Everything needed for resuming."""
        return super().state_dict() | self._model.state_dict("model")

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or has another type or shape.
        """
        sizes = {"D": self._box.dim, "M": self._box.dim, "K": self.archive_values.shape[1]}
        model = FrontProposals.from_state(saved, "model", sizes, kinds=self._model.kinds)
        super().load_state_dict(saved)
        if model.done and len(self.p_values) != len(self.x):
            raise ValueError("particles without values")
        self._model = model

    def _begin_at_the_best(self) -> None:
        """Put a particle at each of the best points, the front's first, crowded ones last."""
        model = self._model
        rows = _from_the_best(model.values, model.violations)[: len(self.x)]
        self.x[: len(rows)] = self._box.decode(model.points[rows])
        self.p = self.x.copy()
        self.p_values = np.full((len(self.x), model.values.shape[1]), np.inf)
        self.p_values[: len(rows)] = model.values[rows]
        self.p_violations = np.full(len(self.x), np.inf)
        self.p_violations[: len(rows)] = model.violations[rows]


def _from_the_best(values: Floats, violations: Floats) -> Floats:
    """Numbers of points, front after front, then by violation."""
    order: list[int] = []
    left = np.flatnonzero((violations == 0) & np.isfinite(values).all(axis=1))
    while len(left):
        front = left[non_dominated(values[left])]
        apart = crowding_distance(values[front])
        order += front[np.argsort(-apart, kind="stable")].tolist()
        left = np.setdiff1d(left, front)
    rest = np.setdiff1d(np.arange(len(values)), order)
    return np.array(
        order + rest[np.argsort(violations[rest], kind="stable")].tolist(), dtype=np.int64
    )
