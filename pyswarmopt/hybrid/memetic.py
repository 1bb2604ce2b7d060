"""The default search: a quasi-Newton descent, then a swarm that adapts its covariance and restarts
ever larger.

Its phases in their order are `MemeticSearch.PHASES`; the first that is due has its turn:

1. `Model`, up to 20 coordinates: a Gaussian process proposes the first 5 points per dimension.
2. `Check`: where the first step of a descent changes the cost far less than differences predicted,
   or four steps ever shorter find nothing better, the best point is evaluated again, and the model
   proposes as many points once more. If the cost was another one, the differences were noise: only
   the swarm continues. Else a descent starts from the best point then.
3. `Test`, once, after the first descent: whether the function is a sum of functions of one
   coordinate each. From 30 coordinates on, where no Hessian is affordable, it comes before.
4. `Descent` from the best point so far, else from the middle of the box: smooth functions of one
   basin, however ill-conditioned, are solved here, in a few tens of evaluations per dimension. The
   first is cut short after 100 D evaluations and continues as if it were a restart. Restarts from
   random points, or where gradients are dear from what the swarm has found, take the place of the
   many small runs of BIPOP (Hansen 2009, GECCO workshop): half as many evaluations as the swarm
   while the best point is theirs, else an eighth.
5. `Axes`, only if the test says so: each coordinate is searched by itself.
6. `Swarm`, whose population doubles at each restart (IPOP: Auger & Hansen 2005, IEEE CEC).

Above 100 coordinates `LimitedMemory` and `SeparableSwarm` take the places of the two that keep
matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE
from pyswarmopt.hybrid.runs.axis_search import AxisSearch, SeparabilityTest
from pyswarmopt.hybrid.runs.bfgs import QuasiNewton
from pyswarmopt.hybrid.runs.cma_es import CovarianceSwarm, SeparableSwarm, default_population
from pyswarmopt.hybrid.runs.descent import FIRST_DIFFERENCE, LineSearchDescent, RepeatedCall
from pyswarmopt.hybrid.runs.limited_memory import LimitedMemory
from pyswarmopt.hybrid.runs.proposals import Proposals
from pyswarmopt.hybrid.search import Phase, PhasedSearch, S

MODELLED_DIM = 20  # the most parameters with a model of the costs
MATRIX_DIM = 100  # the most coordinates with matrices of D x D numbers
MODELLED = 5  # evaluations per dimension that the model proposes
BESIDE = 200  # points up to which the model also proposes where a round is waited for
ROUGH = 10  # in all, where the first descent's differences are no slopes
FIRST_DESCENT = 100  # evaluations per dimension that the first descent has for itself
SHARE_AHEAD, SHARE_BEHIND = 0.5, 0.125  # evaluations of later descents for each one of the swarm
SIGMA = 0.2  # first step size of the swarm, as a share of the box
LEAST_POPULATION = 4
GROWTH = 2  # of its population at a restart
NEWTON_BUDGET = 0.25  # the most of all evaluations that measuring one Hessian may take
TEST_FIRST = 30  # coordinates from which on gradients are dear where no Hessian is affordable
# evaluations per dimension of the first descent where the axes can be searched next
SEPARABLE_DESCENT = 10
# difference of two costs of a point, as a share of the differences that the gradient comes from
NOISE = 0.01
LEAST_DESCENT = 3  # evaluations per dimension without which gradients are of no use


class Model(Phase[S, Proposals]):
    """The points that a Gaussian process proposes, where there are few parameters."""

    name = "model"
    kinds = (Proposals,)

    def points(self, s: S) -> int:
        """Evaluations that the model proposes."""
        return MODELLED * s.box.dim

    def due(self, s: S) -> bool:
        if self.run is None:
            return 0 < s.kinds.count <= MODELLED_DIM
        return not self.run.done

    def begin(self, s: S) -> Proposals:
        return self._model(s, NONE, NONE)

    def _model(self, s: S, points: Floats, costs: Floats) -> Proposals:
        last = self.points(s)
        budget = last if s.max_evals is None else min(s.max_evals, last)
        first = min(max(4, s.kinds.count + 1), max(3, budget // 4))
        at_once = s.progress.population or 1
        return Proposals(s.kinds, first, last, at_once, points, costs)

    def propose(self, s: S) -> Floats:
        if self.run is not None:
            self.run.under_way = s.under_way()
        return super().propose(s)

    def take_start(self, s: S, costs: Floats) -> None:
        if self.due(s):
            points = np.array([s.box.encode(x) for x in s.progress.start])
            self.run = self._model(s, s.kinds.snap(points), costs)

    def beside(self, s: S) -> Floats | None:
        under_way = s.under_way()
        if self.run is None or len(self.run.points) + len(under_way) >= BESIDE:
            return None
        self.run.under_way = under_way
        return self.run.propose(s.random)[0]

    def learn_beside(self, s: S, x: Floats, cost: float) -> None:
        if self.run is not None and len(self.run.points) < BESIDE:
            self.run.take_in(x[None], np.array([cost]))


class ModelTwice(Model["MemeticSearch"]):
    """The same, and once more where a descent's differences led nowhere."""

    def due(self, s: MemeticSearch) -> bool:
        return super().due(s) or self._again(s)

    def _again(self, s: MemeticSearch) -> bool:
        checked = s.check.run is not None
        return checked and self.run is not None and self.run.last <= self.points(s)

    def begin(self, s: MemeticSearch) -> Proposals:
        if self.run is None:
            return super().begin(s)
        self.run.last, self.run.done = ROUGH * s.box.dim, False
        s.descent.run = None  # the next one starts at the best point
        return self.run


class Check(Phase["MemeticSearch", RepeatedCall]):
    """A second call of the best point, where differences may have been noise."""

    name = "check"
    kinds = (RepeatedCall,)

    def due(self, s: MemeticSearch) -> bool:
        descent = s.descent.run
        return self.run is None and descent is not None and descent.doubtful

    def begin(self, s: MemeticSearch) -> RepeatedCall:
        gradient = NONE if s.descent.run is None else s.descent.run.gradient
        slope = math.sqrt(float(np.mean(gradient**2)))
        return RepeatedCall(s.best_unit(), s.best_cost, NOISE * FIRST_DIFFERENCE * slope)


class Test(Phase["MemeticSearch", SeparabilityTest]):
    """A test of the first descent's function."""

    name = "test"
    kinds = (SeparabilityTest,)

    def due(self, s: MemeticSearch) -> bool:
        begun = self.run is None and s.descent.run is not None and s.has_slopes
        return begun and (s.descent.dear or not s.descent.alone(s))

    def begin(self, s: MemeticSearch) -> SeparabilityTest:
        return SeparabilityTest(s.best_unit(), s.best_cost)

    @property
    def separable(self) -> bool:
        return self.run is not None and self.run.separable


@dataclass
class Descent(Phase["MemeticSearch", LineSearchDescent]):
    """The first descent, and later ones beside the swarm."""

    name = "descent"
    kinds = (QuasiNewton, LimitedMemory)
    granted: int = 0  # evaluations before the swarm or the axes began
    dear: bool = False  # many coordinates, and no Hessian is affordable

    def due(self, s: MemeticSearch) -> bool:
        return s.has_slopes and (self.alone(s) or self._owed(s))

    def alone(self, s: MemeticSearch) -> bool:
        """Whether the first descent has the search for itself: until its end, but no more than its
        grant.
        """
        if self.run is None:
            return s.test.run is None
        if s.axes.run is not None or s.swarm.run is not None:
            return False
        per_dim = SEPARABLE_DESCENT if self.dear and s.test.separable else FIRST_DESCENT
        ended = self.run.ended if self.dear else self.run.done
        return not ended and self.granted < per_dim * s.box.dim

    def _owed(self, s: MemeticSearch) -> bool:
        """Whether later descents have had less than their share."""
        ended = self.dear and self.run is not None and self.run.ended
        ahead = s.progress.best_by == self.name and not ended
        share = SHARE_AHEAD if ahead else SHARE_BEHIND
        return share * s.swarm.spent > self.spent - self.granted

    def over(self, s: MemeticSearch, run: LineSearchDescent) -> bool:
        superseded = self.dear and s.progress.best_by == s.swarm.name and run.ended
        return run.done or superseded

    def begin(self, s: MemeticSearch) -> LineSearchDescent:
        """From the first point, then from random ones, or with dear gradients from the best if it
        is the swarm's.
        """
        first = self.run is None
        x, cost = s.first_point() if first else s.random.random(s.box.dim), math.inf
        if first or (self.dear and s.progress.best_by == s.swarm.name):
            cost = s.best_cost
            x = s.best_unit() if math.isfinite(cost) else x
        if s.box.dim > MATRIX_DIM:
            return LimitedMemory(x, cost)
        return QuasiNewton(x, cost, affords_hessian(s))

    def learn(self, s: MemeticSearch, costs: Floats) -> None:
        super().learn(s, costs)
        if s.axes.run is None and s.swarm.run is None:
            self.granted = self.spent


class Axes(Phase["MemeticSearch", AxisSearch]):
    """A search along each axis, where the function is separable."""

    name = "axes"
    kinds = (AxisSearch,)

    def due(self, s: MemeticSearch) -> bool:
        unsearched = self.run is None or not self.run.done
        return s.has_slopes and s.test.separable and unsearched

    def begin(self, s: MemeticSearch) -> AxisSearch:
        return AxisSearch(s.best_unit(), s.best_cost)


@dataclass
class Swarm(Phase[S, CovarianceSwarm]):
    """A swarm that adapts its covariance; each new one is larger."""

    name = "swarm"
    kinds = (CovarianceSwarm, SeparableSwarm)
    population: int = 0  # of the present one

    def due(self, s: S) -> bool:
        return True

    def begin(self, s: S) -> CovarianceSwarm:
        first = self.start(s) if self.population == 0 else None
        begun, dim = self.population > 0, self.dim(s)
        self.population = self.population * GROWTH if begun else self._first_population(s, dim)
        mean = s.random.random(dim) if first is None else first
        kind = SeparableSwarm if s.box.dim > MATRIX_DIM else CovarianceSwarm
        return kind(mean, SIGMA, self.population)

    def start(self, s: S) -> Floats | None:
        """Where the first swarm begins, None for a random point."""
        return s.first_point()

    def _first_population(self, s: S, dim: int) -> int:
        """As given, else the usual one; with many coordinates no more points than are ever
        evaluated.
        """
        if s.progress.population:
            return max(s.progress.population, LEAST_POPULATION)
        usual = default_population(dim)
        if s.max_evals is None or dim <= MATRIX_DIM:
            return usual
        return min(usual, max(s.max_evals, LEAST_POPULATION))


class SwarmAfterDescents(Swarm["MemeticSearch"]):
    """The same, elsewhere than a descent that has gone before."""

    def start(self, s: MemeticSearch) -> Floats | None:
        known = len(s.progress.start) or s.descent.dear or s.noisy
        return s.first_point() if known else None


class MemeticSearch(PhasedSearch):
    """The search on NumPy arrays, without torch; `pyswarmopt.hybrid.memetic_swarm.MemeticSwarm` is
    it on tensors.

    Its arguments are described there.
    """

    PHASES: ClassVar = (ModelTwice, Check, Test, Descent, Axes, SwarmAfterDescents)
    model: ModelTwice
    check: Check
    test: Test
    descent: Descent
    axes: Axes
    swarm: SwarmAfterDescents

    def __init__(self, bounds: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(bounds, *args, **kwargs)
        self.descent.dear = gradients_are_dear(self)

    @property
    def noisy(self) -> bool:
        """Whether two calls at one point gave two costs."""
        return self.check.run is not None and self.check.run.noisy

    @property
    def has_slopes(self) -> bool:
        """Whether differences are slopes, and there are enough evaluations for them."""
        few = self.max_evals is not None and self.max_evals < LEAST_DESCENT * self.box.dim
        return not self.noisy and not (few and self.descent.dear)

    @property
    def one_by_one(self) -> int:
        return self.model.points(self) if self.model.due(self) else 0


def affords_hessian(s: PhasedSearch) -> bool:
    """Whether a Hessian may be measured."""
    points = (s.box.dim + 1) * (s.box.dim + 2) // 2
    within = s.max_evals is None or points <= NEWTON_BUDGET * s.max_evals
    return s.box.dim <= MATRIX_DIM and within


def gradients_are_dear(s: PhasedSearch) -> bool:
    """Whether there are many coordinates, and no Hessian can be measured."""
    return s.box.dim >= TEST_FIRST and not affords_hessian(s)
