"""The default search under noise with some whole or label coordinates: a Gaussian process that
learns the noise proposes all points.

A point's value is the process's expectation, not a draw, so lucky draws are not followed. It learns
every draw of `pyswarmopt.driver.resampling`, repeated draws included.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.optimizer import Point
from pyswarmopt.base.record import NONE
from pyswarmopt.hybrid.gaussian_process import GaussianProcess, on_log_scale
from pyswarmopt.hybrid.memetic import MODELLED_NOISY, ModelPhase
from pyswarmopt.hybrid.proposals import Proposals
from pyswarmopt.hybrid.run import bounded
from pyswarmopt.hybrid.search import PhasedSearch

AT_ONCE = 4  # points proposed at a time, with one draw of a known point
BESTS = 10  # points drawn again


class NoisyProposals(Proposals):
    """As `Proposals`, using expectations at known points."""

    def _believed(self, process: GaussianProcess, points: Floats, scores: Floats) -> Floats:
        return process.predict(points)[0]

    def learn(self, costs: Floats) -> None:
        """Do nothing: draws come one by one, by `NoisySearch.take_draws`."""

    def bests(self) -> Floats:
        """The points with the best expectations, (n, M), best first."""
        finite = np.isfinite(self.costs)
        if not finite.any():
            return self.points[:BESTS]
        scores = on_log_scale(self.costs)
        process = GaussianProcess(self.kinds, self.theta if len(self.theta) else None)
        process.fit(self.points, scores)
        points = np.unique(self.points[finite], axis=0)
        return points[np.argsort(process.predict(points)[0], kind="stable")[:BESTS]]


class NoisyModel(ModelPhase):
    """Points proposed by the process: all."""

    kinds = (NoisyProposals,)

    def points(self, s: PhasedSearch) -> int:
        return MODELLED_NOISY

    def due(self, s: PhasedSearch) -> bool:
        return True

    def begin(self, s: PhasedSearch) -> NoisyProposals:
        usual = super().begin(s)
        at_once = usual.at_once if s.progress.population else AT_ONCE
        return NoisyProposals(s.kinds, usual.first, 2 * MODELLED_NOISY, at_once)

    def hear(self, s: PhasedSearch, points: Floats, costs: Floats) -> None:
        """Do nothing: see `NoisyProposals.learn`."""


class NoisySearch(PhasedSearch):
    """A search over integers and categories under noise; `take_draws` reports draws."""

    PHASES: ClassVar = (NoisyModel,)

    def __init__(self, bounds: Any, **options: Any) -> None:
        super().__init__(bounds, **options)
        self._known: Any = None  # number of draws behind `_bests`
        self._bests: Floats = NONE

    def take_draws(self, positions: Floats, costs: Floats) -> None:
        """Take in draws at points, (n, D)."""
        model = self.phase(NoisyModel)
        if model.run is None:
            model.run = model.begin(self)
        model.run.take_in(self.box.encode(positions), bounded(costs))

    @property
    def personal_bests(self) -> Floats:
        """The points with the best expectations, (n, D), best first."""
        run: Any = self.phase(NoisyModel).run
        if run is None or not len(run.points):
            return self.progress.best_x[None]
        known = run, len(run.points), run.theta.tobytes()
        if known != self._known:
            self._known = known
            self._bests = self.box.decode(run.bests())
        return self._bests

    @property
    def best(self) -> Point:
        """The first of them, with a round's best cost."""
        return Point(self.personal_bests[0], self.progress.sign * self.progress.best_cost)
