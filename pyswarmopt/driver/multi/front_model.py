"""Points for a Pareto front, proposed by models of the objectives; then SMPSO from these points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, median
from pyswarmopt.base.record import array
from pyswarmopt.driver.judge import Evaluated
from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated
from pyswarmopt.driver.multi.smpso import MultiSwarm
from pyswarmopt.hybrid.box import NARROWEST, WIDEST, Kinds, UnitBox
from pyswarmopt.hybrid.gaussian import (
    WIDTHS,
    GaussianProcess,
    Proposals,
    below,
    on_log_scale,
    with_neighbours,
)

HOPE = 1.0  # optimism: an objective is taken this many standard deviations below its mean
SPREAD = 256  # candidates all over the box
AROUND = 8  # front points with neighbours as candidates
EACH = 12  # neighbours of a point, for each width
KEPT = 16  # best candidates around which further ones are tried
EDGE = 1.0  # share of the front's range, beyond its ends
ALLOWED = -0.5  # severity of a feasible point
MUTANT = 5  # one of this many points is a mutation of a front point
MODELLED = 200  # evaluations
AT_ONCE = 5  # points proposed by the models at a time
FIRST = 2  # points per parameter before the first model, plus one
LEAST = 1e-6  # weight of the distance in a point's gain, so that all points have an order


class Outlook(NamedTuple):
    """Predictions for n candidates."""

    hoped: Floats  # (n, K) scores; (n, 0) before any feasible point
    allowed: Floats  # (n,) probabilities of breaking no constraint


@dataclass(repr=False, eq=False)
class FrontProposals(Proposals):
    """Proposes points that add most to the hypervolume, by a Gaussian process of each objective.

    Ponweiser, Wagner, Biermann & Vincze 2008 (PPSN X): a point is valued at optimistic objectives,
    some standard deviations below the mean. In a batch, each chosen point counts with these when
    the next is chosen. A point's gain is multiplied by its probability of breaking no constraint;
    before any feasible point, only that probability counts.
    """

    growth = 1.3
    values: Floats = array("kK")  # of the points; not finite if missing
    violations: Floats = array("k")

    def propose(self, random: np.random.Generator) -> Floats:
        valued = (self.violations == 0) & np.isfinite(self.values).all(axis=1)
        columns = self.values[valued].T
        scores = np.array([on_log_scale(column) for column in columns if len(column)]).T
        processes = self._processes(valued, scores)
        candidates = self._first_candidates(valued, scores, random)
        for width in WIDTHS[1:]:
            outlook = _outlook(processes, scores, candidates)
            top = candidates[np.argsort(-_merit(scores, outlook), kind="stable")[:KEPT]]
            candidates = with_neighbours(top, self.kinds, width, EACH, random)
        candidates = self._new(candidates, random)
        proposal = candidates[self._batch(scores, _outlook(processes, scores, candidates))]
        numbers = len(self.points) + np.arange(self.at_once)
        mutants = np.flatnonzero(numbers % MUTANT == 0)
        proposal[mutants] = self._mutated(len(mutants), valued, random)
        return proposal

    def _mutated(self, count: int, valued: Bools, random: np.random.Generator) -> Floats:
        """Front points with a few parameters changed: on rugged objectives the models mislead."""
        front = (
            self.points[valued][non_dominated(self.values[valued])] if valued.any() else self.points
        )
        widths = WIDEST * (NARROWEST / WIDEST) ** random.random(count)
        return self.kinds.neighbours(front[random.integers(len(front), size=count)], widths, random)

    def take_in_rows(self, points: Floats, values: Floats, violations: Floats) -> None:
        """Learn objectives, (n, K), and violations, (n,), of points, (n, M)."""
        before = self.values if len(self.values) else values[:0]
        self.values = np.concatenate([before, values])
        self.violations = np.concatenate([self.violations, violations])
        self.take_in(points, violations)

    def _processes(self, valued: Bools, scores: Floats) -> list[GaussianProcess]:
        """A process for each objective, and one for severity if some points are infeasible."""
        seen = [(self.points[valued], column) for column in scores.T]
        if not valued.all():
            seen.append((self.points, _severity(valued, self.violations)))
        return self.fit(seen)

    def _first_candidates(
        self, valued: Bools, scores: Floats, random: np.random.Generator
    ) -> Floats:
        """Points all over the box, and around well-spread front points."""
        if valued.any():
            front = np.flatnonzero(non_dominated(scores))
            apart = np.argsort(-crowding_distance(scores[front]), kind="stable")
            leaders = self.points[valued][front[apart[:AROUND]]]
        else:
            leaders = self.points[np.argsort(self.violations, kind="stable")[:AROUND]]
        widths = np.tile(np.repeat(WIDTHS, EACH), len(leaders))
        around = np.repeat(leaders, len(WIDTHS) * EACH, axis=0)
        near = self.kinds.neighbours(around, widths, random)
        return np.concatenate([self._anywhere(SPREAD, random), near])

    def _anywhere(self, count: int, random: np.random.Generator) -> Floats:
        return self.kinds.snap(random.random((count, len(self.kinds.levels))))

    def _new(self, candidates: Floats, random: np.random.Generator) -> Floats:
        """Candidates not yet evaluated, together with others on a small grid."""
        taken = {point.tobytes() for point in self.points}
        candidates = np.unique(candidates, axis=0)
        new = candidates[[point.tobytes() not in taken for point in candidates]]
        missing = max(self.at_once - len(new), 0)
        return np.concatenate([new, self._anywhere(missing, random)])

    def _batch(self, scores: Floats, outlook: Outlook) -> list[int]:
        """Numbers of the candidates with the greatest gains, chosen one after another."""
        chosen: list[int] = []
        while len(chosen) < self.at_once:
            merit = _merit(scores, outlook)
            merit[chosen] = -math.inf
            chosen.append(int(merit.argmax()))
            if len(scores):
                scores = np.concatenate([scores, outlook.hoped[chosen[-1:]]])
        return chosen


def _severity(valued: Bools, violations: Floats) -> Floats:
    """The severity of constraint violations, (n,), for a process; greatest for points without
    values.
    """
    broken = ~valued & np.isfinite(violations) & (violations > 0)
    unit = median(violations[broken]) if broken.any() else 1.0
    severity = np.full(len(valued), ALLOWED)
    severity[broken] = np.log1p(violations[broken] / unit)
    severity[~valued & ~broken] = max(float(severity.max()), 0.0) + 1.0
    return severity


def _outlook(processes: list[GaussianProcess], scores: Floats, candidates: Floats) -> Outlook:
    predicted = [process.predict(candidates) for process in processes]
    objectives = predicted[: len(scores.T)]
    hoped = [mean - HOPE * deviation for mean, deviation in objectives]
    allowed = np.ones(len(candidates))
    for mean, deviation in predicted[len(objectives) :]:
        allowed = below(-mean / deviation)
    return Outlook(np.array(hoped).T.reshape(len(candidates), -1), allowed)


def _merit(scores: Floats, outlook: Outlook) -> Floats:
    """The gains of candidates, given points with these scores, (m, K)."""
    if not len(scores):
        return outlook.allowed.copy()
    gain = _gain(scores[non_dominated(scores)], outlook.hoped)
    return np.where(gain > 0, gain * outlook.allowed, gain)


def _gain(front: Floats, hoped: Floats) -> Floats:
    """The gain of points, (n, K), over a front, (a, K): the area; for other than two objectives the
    least distance by which a point is ahead of a front point in some objective (Svenson & Santner
    2016, Comput. Stat. Data Anal. 94); below 0 for dominated points.
    """
    low = front.min(axis=0)
    width = np.where(np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), 1.0)
    front = (front - low) / width
    hoped = (hoped - low) / width
    ahead = np.full((len(hoped), len(front)), -math.inf)
    for mine, theirs in zip(hoped.T, front.T, strict=True):
        np.maximum(ahead, theirs - mine[:, None], out=ahead)
    distance = ahead.min(axis=1)
    if front.shape[1] != 2:
        return distance
    return np.where(distance > 0, _area(front, hoped) + LEAST * distance, distance)


def _area(front: Floats, hoped: Floats) -> Floats:
    """The area that points, (n, 2), add to a front in 0 to 1, (a, 2), up to a corner beyond it."""
    front = front[np.argsort(front[:, 0], kind="stable")]
    corner = 1 + EDGE
    left = np.append(-math.inf, front[:, 0])  # between left and right the front is at `height`
    right = np.append(front[:, 0], corner)
    height = np.append(corner, front[:, 1])
    widths = np.maximum(right - np.maximum(hoped[:, :1], left), 0.0)
    return (widths * np.maximum(height - hoped[:, 1:], 0.0)).sum(axis=1)


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

    def tell(self, judged: Sequence[Evaluated]) -> None:
        if self._model.done:
            super().tell(judged)
            return
        self.rounds += 1
        values, violations, _ = self._read(judged)
        seen = np.array([each.counts for each in judged])
        points = self._box.encode(self._proposed[seen])
        self._model.take_in_rows(points, values[seen], violations[seen])
        self.remember_front(self._proposed, judged)
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
