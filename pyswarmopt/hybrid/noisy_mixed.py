"""The default search under noise where some coordinates are whole or labels: a Gaussian process whose
noise is learnt proposes all points.

What a point is worth is what the process expects there, not what was drawn: a lucky draw is not
followed. It learns every draw of `pyswarmopt.driver.resampling`, further ones of a point, too.
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

AT_ONCE = 4  # points proposed at a time: a draw of a known one belongs to them
BESTS = 10  # points that are drawn again


class NoisyProposals(Proposals):
    """As `Proposals`, by what the process expects at known points."""

    def _believed(self, process: GaussianProcess, points: Floats, scores: Floats) -> Floats:
        return process.predict(points)[0]

    def learn(self, costs: Floats) -> None:
        """Nothing: draws come one by one, by `NoisySearch.take_draws`."""

    def bests(self) -> Floats:
        """The points of which the process expects most, (n, M), the best first."""
        finite = np.isfinite(self.costs)
        if not finite.any():
            return self.points[:BESTS]
        scores = on_log_scale(self.costs)
        process = GaussianProcess(self.kinds, self.theta if len(self.theta) else None)
        process.fit(self.points, scores)
        points = np.unique(self.points[finite], axis=0)
        return points[np.argsort(process.predict(points)[0], kind="stable")[:BESTS]]


class NoisyModel(ModelPhase):
    """The points that the process proposes: all."""

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
        """Nothing: see `NoisyProposals.learn`."""


class NoisySearch(PhasedSearch):
    """A search of integers and categories, with noise; `take_draws` says what was drawn."""

    PHASES: ClassVar = (NoisyModel,)

    def __init__(self, bounds: Any, **options: Any) -> None:
        super().__init__(bounds, **options)
        self._known: Any = None  # what `_bests` was found from
        self._bests: Floats = NONE

    def take_draws(self, positions: Floats, costs: Floats) -> None:
        """Take in draws at points, (n, D)."""
        model = self.phase(NoisyModel)
        if model.run is None:
            model.run = model.begin(self)
        model.run.take_in(self.box.encode(positions), bounded(costs))

    @property
    def personal_bests(self) -> Floats:
        """The points of which the process expects most, (n, D), the best first."""
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
        """The first of them, with the best cost of a round."""
        return Point(self.personal_bests[0], self.progress.sign * self.progress.best_cost)
