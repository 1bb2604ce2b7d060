"""The default search with integers or categories.

The phases, in order, are `MixedSearch.PHASES`:

1. `LongModel`, up to 20 parameters: a Gaussian process proposes the first 200 points.
2. `EarlyMutate`: mutations of the best point, with as many evaluations as the swarm, or an eighth
   while the best point is the swarm's.
3. `OrderedSwarm` of the coordinates that have an order, with the best point's labels.

If every parameter has a few values (`GridSearch`), the process chooses among them, without
rounding. If all numbers have two values (`BinarySearch`), `Flips` replaces the last two. If all
parameters are permutations (`OrderSearch`), `Flips` is the only phase.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.optimizer import Point
from pyswarmopt.base.record import array
from pyswarmopt.default.continuous import (
    MODELLED_NOISY,
    SHARE_BEHIND,
    ModelPhase,
    Mutate,
    Mutations,
    SwarmPhase,
)
from pyswarmopt.default.gaussian import GaussianProcess, Proposals, on_log_scale
from pyswarmopt.default.grid import GridProposals
from pyswarmopt.default.phases import PhasedSearch, S, bounded

SHARE_AHEAD = 1.0  # evaluations of mutations for each of the swarm's
BESTS = 10  # points drawn again


class LongModel(ModelPhase[PhasedSearch]):
    """Points proposed by a Gaussian process."""

    most = 200


class GridModel(LongModel):
    """Points of a grid, proposed by a Gaussian process."""

    runs = GridProposals


class EarlyMutate(Mutate):
    """Mutations of the overall best point, from the start."""

    def due(self) -> bool:
        """Whether it has had at most its share, or nothing else can propose."""
        s = self.search
        share = SHARE_AHEAD
        if s.progress.best_by == SwarmPhase.name:
            share = SHARE_BEHIND
        return not s.kinds.ordered.any() or share * s.phases["swarm"].spent >= self.spent


class Flips(Mutate):
    """Mutations of the best point alone, one at a time or as many as the population."""

    def due(self) -> bool:
        return True

    def begin(self) -> Mutations:
        run = super().begin()
        run.at_once = self.search.progress.population or 1
        return run


class OrderedSwarm(SwarmPhase[S]):
    """A swarm of the ordered coordinates."""

    def start(self) -> Floats:
        return self.search.best_snapped()[self.search.kinds.ordered]

    def propose(self) -> Floats:
        s = self.search
        proposed = super().propose()
        points = np.tile(s.best_snapped(), (len(proposed), 1))
        points[:, s.kinds.ordered] = proposed
        return points

    @property
    def dim(self) -> int:
        return int(self.search.kinds.ordered.sum())


class MixedSearch(PhasedSearch):
    """A search over real numbers, integers and categories together."""

    PHASES: ClassVar = (LongModel, EarlyMutate, OrderedSwarm)


class GridSearch(PhasedSearch):
    """A search of integers and categories with a few values each."""

    PHASES: ClassVar = (GridModel, EarlyMutate, OrderedSwarm)


class OrderSearch(PhasedSearch):
    """A search of orders alone."""

    PHASES: ClassVar = (Flips,)


class BinarySearch(PhasedSearch):
    """A search of numbers with two values each."""

    PHASES: ClassVar = (LongModel, Flips)


# ---- under noise ----


class NoisyProposals(Proposals):
    """Like `Proposals`, but using expectations at known points."""

    fills = False
    positions: Floats = array()  # (k, D): the points as they were evaluated

    def take_draws(self, positions: Floats, points: Floats, costs: Floats) -> None:
        """Learn draws, (n,), at points, (n, M), and their positions, (n, D)."""
        self.take_in(points, costs)
        self.positions = np.concatenate([self.positions.reshape(-1, positions.shape[1]), positions])

    def _scores(self, process: GaussianProcess, points: Floats, scores: Floats) -> Floats:
        return process.predict(points)[0]

    def bests(self) -> Floats:
        """The positions with the best expectations, (n, D), best first."""
        finite = np.isfinite(self.costs)
        if not finite.any():
            return self.positions[:BESTS]
        process = GaussianProcess(self.kinds)
        if len(self.thetas):
            process.theta = self.thetas[0]
        process.fit(self.points, on_log_scale(self.costs))
        points, rows = np.unique(self.points[finite], axis=0, return_index=True)
        order = np.argsort(process.predict(points)[0], kind="stable")[:BESTS]
        return self.positions[finite][rows[order]]


class NoisyModel(ModelPhase["NoisySearch"]):
    """Points proposed by the process: all. It learns draws one by one, by `NoisySearch.take_draws`."""

    runs = NoisyProposals
    most = MODELLED_NOISY
    at_once = 4  # with one draw of a known point

    def due(self) -> bool:
        return True

    def keep(self, points: Floats, costs: Floats) -> None:
        """Do nothing: these are not draws."""


class NoisySearch(PhasedSearch):
    """A search under noise: a process that learns the noise proposes all points.

    A point's value is the process's expectation, not a draw, so lucky draws are not followed. It
    learns every draw of `pyswarmopt.driver.resampling`, repeated draws included.
    """

    PHASES: ClassVar = (NoisyModel,)
    model: NoisyModel
    _known: Any = None  # what `_bests` were computed from
    _bests: Floats

    def take_draws(self, positions: Floats, costs: Floats) -> None:
        """Record draws at points, (n, D)."""
        if self.model.run is None:
            self.model.run = self.model.begin()
        self.model.run.take_draws(positions, self.box.encode(positions), bounded(costs))

    @property
    def personal_bests(self) -> Floats:
        """The points with the best expectations, (n, D), best first."""
        run: Any = self.model.run
        if run is None or not len(run.points):
            return self.progress.best_x[None]
        known = run, len(run.points), run.fitted
        if known != self._known:
            self._known = known
            self._bests = run.bests()
        return self._bests

    @property
    def best(self) -> Point:
        """The first of them, with a round's best cost."""
        return Point(self.personal_bests[0], self.progress.sign * self.progress.best_cost)
