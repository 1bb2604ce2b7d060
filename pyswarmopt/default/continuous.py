"""The default search: a quasi-Newton descent, then a swarm that adapts its covariance and restarts
with growing populations.

The phases, in order, are `DefaultSearch.PHASES`; the first one that is due runs:

1. `ModelPhase`, up to 20 coordinates: a Gaussian process proposes the first 5 points per dimension.
   `Scout`, above 100 coordinates: ten particles in opposite pairs around the first point. If a pair
   is better than that point, which is then not the bottom of a bowl, they continue for 10
   evaluations per dimension before any gradient. Policy weights are an example: if all of them are
   small, the policy does nothing. If doing nothing is better than doing anything wrong, the costs
   flatten outwards, as no convex function's do; unless coordinates are separable, the swarm then
   comes first, and each gradient has to wait for its share.
   If the first step of a descent changes the cost far less than finite differences predicted, or
   four ever shorter steps find nothing better, it proposes as many points once more.
2. `Probe`: if the cost along a line falls far less than the slope predicts, six points close
   together show whether values have errors, up to three times. If these are noise, and coordinates
   are too many for regression, only the swarm continues.
3. `SeparabilityPhase`, once, after the first descent: whether the function is a sum of functions of single
   coordinates. If gradients are expensive, it runs before: above 100 coordinates, and from 30 on
   with fewer than 100 evaluations per dimension.
4. `Descent` from the best point so far, else from the middle of the box: smooth functions with one
   basin, however ill-conditioned, are solved here, in a few tens of evaluations per dimension. The
   first is cut short after 100 D evaluations and continues as if it were a restart. Restarts from
   random points replace the many small runs of BIPOP (Hansen 2009, GECCO workshop). They get half
   as many evaluations as the swarm while the best point is theirs, else an eighth. If points next
   to a good one fail, descents use regression, which does not need them.
5. `Axes`, only if the test succeeds: each coordinate is searched by itself.
6. `Mutate`, after 2,000 evaluations per dimension: mutations of the best point, with an eighth of
   the swarm's evaluations. Each changes a few coordinates and keeps the others, which helps if
   coordinates belong to different functions.
7. `Scan`, once in each run of the swarm, when it has become narrow: a few points along each axis
   through the best point. If coordinates have a meaning of their own, as parameters do, the next
   basin is often one step along an axis away, which a narrow swarm does not see.
8. `SwarmPhase`, whose population doubles at each restart (IPOP: Auger & Hansen 2005, IEEE CEC).

Above 100 coordinates, `LimitedMemory` and `SeparableSwarm` replace the two methods that keep
matrices.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import known
from pyswarmopt.default.axes import AxisSearch, SeparabilityTest
from pyswarmopt.default.box import MUTANTS, Kinds
from pyswarmopt.default.cma_es import CovarianceSwarm, SeparableSwarm, default_population
from pyswarmopt.default.descent import (
    PROBED,
    LimitedMemory,
    LineSearchDescent,
    NoiseProbe,
    QuasiNewton,
)
from pyswarmopt.default.gaussian import Proposals
from pyswarmopt.default.phases import (
    FIRST_DESCENT,
    MATRIX_DIM,
    Finding,
    Phase,
    PhasedSearch,
    Run,
    S,
)
from pyswarmopt.default.regression import RegressionDescent
from pyswarmopt.default.ring import RingRun

MODELLED_DIM = 20  # most parameters for a model of the costs
MODELLED_NUMBERS = 1024  # most coordinates for a model, each label counted
MODELLED_NOISY = 500  # most evaluations under noise for which a model proposes all points
# evaluations for each of the swarm's: of descents that are behind, and of mutations
SHARE_BEHIND = 0.125


class ModelPhase(Phase[S]):
    """Points proposed by a Gaussian process, for few parameters."""

    MODELLED = 5  # evaluations per dimension
    ROUGH = 10  # or per dimension, if the first descent's differences are no slopes
    BESIDE = 200  # up to this many points it also proposes while a round is pending, or at once
    name = "model"
    runs: ClassVar[type[Proposals]] = Proposals
    most: ClassVar[int] = 0  # evaluations that the model proposes, instead of `MODELLED`
    at_once: ClassVar[int] = 1  # points proposed at a time, if no population is given
    # points before the first model: one more than so many per parameter, and at least four; but no
    # more than a quarter of the evaluations, or three
    designed: ClassVar[int] = 1
    LEAST_DESIGN = 4
    DESIGN_SHARE = 4
    LEAST_AFFORDED = 3

    def due(self) -> bool:
        if self.run is not None:
            return not self.run.done
        kinds = self.search.kinds
        return kinds.count <= MODELLED_DIM and len(kinds.levels) <= MODELLED_NUMBERS

    def over(self) -> bool:
        return False

    def begin(self) -> Proposals:
        s = self.search
        last = (self.most or self.MODELLED * s.box.dim) + s.evaluated_before
        budget = last
        if s.max_evals is not None:
            budget = min(s.max_evals + s.evaluated_before, last)
        wanted = max(self.LEAST_DESIGN, self.designed * s.kinds.count + 1)
        affordable = max(self.LEAST_AFFORDED, budget // self.DESIGN_SHARE)
        return self.runs(s.kinds, min(wanted, affordable), last, self._together(last))

    def _together(self, last: int) -> int:
        """Points proposed at a time: a population, within the remaining evaluations, and few enough
        to be proposed in minutes.
        """
        population = self.search.progress.population or self.at_once
        return min(population, self.search.max_evals or population, max(last, self.BESIDE))

    def propose(self) -> Floats:
        if self.run is not None:
            self.run.under_way = self.search.unit_under_way()
            self.run.at_once = self._together(self.run.last)
        return super().propose()

    def beside(self) -> Floats | None:
        if self.run is None or len(self.run.points) + len(self.search.pending) >= self.BESIDE:
            return None
        self.run.under_way = self.search.unit_under_way()
        return self.run.proposals(1, self.search.random)[0]

    def learn(self, costs: Floats) -> None:
        self.keep(self.run.batch, costs)
        self.spent += len(costs)

    def go_on(self) -> bool:
        """Propose as many points as where differences are no slopes; whether these are more."""
        most = self.ROUGH * self.search.box.dim
        if self.run is None or self.run.last >= most:
            return False
        self.run.last = most
        self.run.done = False
        return True

    def hear(self, points: Floats, costs: Floats) -> None:
        if self.run is None and self.due():
            self.run = self.begin()
        if self.run is not None and len(self.run.points) < self.BESIDE:
            self.keep(points, costs)

    def keep(self, points: Floats, costs: Floats) -> None:
        """Give the model the costs, (n,), of points, (n, free coordinates)."""
        self.run.take_in(points, costs)


class Scout(Phase["DefaultSearch"]):
    """Particles before the gradients of many coordinates, if these would start at a maximum."""

    PAIRS = 5  # of particles, if no population is given
    SCOUTED = 10  # most evaluations per dimension
    name = "scout"

    @property
    def flattens(self) -> bool:
        """Whether costs flatten away from the first point."""
        return self.run is not None and self.run.flattens

    def due(self) -> bool:
        if self.run is None:
            return self.search.box.dim > MATRIX_DIM
        return not self.run.done and self.spent < self.SCOUTED * self.search.box.dim

    def begin(self) -> RingRun:
        return RingRun(
            self.search.first_point(), max(self.PAIRS, self.search.progress.population // 2)
        )


class Probe(Phase["DefaultSearch"]):
    """A few points close to the best one, if a descent's slopes may be errors."""

    MOST_PROBED = 3 * PROBED  # evaluations
    NOISE = 1e-6  # errors that many coordinates do not bear, as a share of the slope along a side
    MEANT = 10_000  # roundings of a double; a larger error belongs to the values
    name = "probe"
    noisy: bool = False  # whether no method by slopes bears the errors

    def due(self) -> bool:
        descent = self.search.descent.run
        unsure = self.spent < self.MOST_PROBED and not self.search.resolution.ripple
        return descent is not None and descent.misled and unsure

    def begin(self) -> NoiseProbe:
        descent = self.search.descent.run
        return NoiseProbe(descent.x, descent.cost)

    def learn(self, costs: Floats) -> Finding:
        super().learn(costs)
        descent = self.search.descent.run
        error = self.run.error
        if error > self.MEANT * descent.rounding():
            self.search.resolution.ripple = min(1.0, error / max(abs(self.run.cost), 1e-300))
            slope = math.sqrt(float(np.mean(descent.gradient**2)))
            self.noisy = self.search.box.dim > MODELLED_DIM and error > self.NOISE * slope
        return Finding.ERRORS


class SeparabilityPhase(Phase["DefaultSearch"]):
    """The separability test, on the first descent's function."""

    name = "test"

    def due(self) -> bool:
        s = self.search
        begun = s.descent.run is not None or s.scout.flattens
        return begun and self.run is None and s.has_slopes and self._in_time()

    def _in_time(self) -> bool:
        """Whether gradients are expensive, or the first descent has had its grant."""
        return self.search.gradients_are_dear or not self.search.descent.alone()

    def begin(self) -> SeparabilityTest:
        s = self.search
        return SeparabilityTest(s.best_unit(), s.known_cost, s.error)

    @property
    def separable(self) -> bool:
        """Whether the test has succeeded."""
        return self.run is not None and self.run.separable


class Descent(Phase["DefaultSearch"]):
    """The first descent, and later ones beside the swarm."""

    SHARE_AHEAD = 0.5  # evaluations for each of the swarm's while the best point is its own
    # evaluations per dimension of the first one, if the axes can be searched next
    SEPARABLE = 10
    name = "descent"
    granted: int = 0  # evaluations before the swarm or the axes began
    interrupted: bool = False  # whether points beside a good one have failed
    regressed: float = math.inf  # best cost when the latest descent by regression started there

    def due(self) -> bool:
        return self.search.has_slopes and (self.alone() or self._has_turn())

    def alone(self) -> bool:
        """Whether the first descent has the search for itself: until its end, within its grant."""
        s = self.search
        if s.swarm_first:
            return False
        if self.run is None:
            return s.test.run is None or s.scout.flattens
        if self._others_began():
            return False
        per_dim = FIRST_DESCENT
        if s.gradients_are_dear and s.test.separable:
            per_dim = self.SEPARABLE
        return self._is_misled() or (not self.run.done and self.granted < per_dim * s.box.dim)

    def _others_began(self) -> bool:
        """Whether the axes are searched, or the swarm has begun."""
        return self.search.axes.run is not None or self.search.swarm.run is not None

    def _has_turn(self) -> bool:
        """Whether later descents have had less than their share."""
        s = self.search
        share = SHARE_BEHIND
        if s.progress.best_by == self.name:
            share = self.SHARE_AHEAD
        return share * s.swarm.spent > self.spent - self.granted + self._saved_up()

    def _saved_up(self) -> int:
        """Evaluations that must be due before the next gradient, where the swarm comes first."""
        if not self.search.swarm_first:
            return 0
        begun = self.run is not None and (self.run.searching or self.run.measured > 0)
        if begun and not self.run.done:
            return 0
        return self.search.box.dim

    def _needs_regression(self) -> bool:
        """Whether differences are no slopes or fail, and the model is affordable."""
        s = self.search
        unusable = self.interrupted or s.error > 0
        return unusable and s.box.dim <= MODELLED_DIM

    def _is_misled(self) -> bool:
        """Whether it descends by differences that are no slopes, or fail."""
        return self._needs_regression() and not isinstance(self.run, RegressionDescent)

    def over(self) -> bool:
        return self.run.done or self._is_misled()

    def propose(self) -> Floats:
        if self.run is not None:
            self.run.error = self.search.error
        return super().propose()

    def begin(self) -> LineSearchDescent | RegressionDescent:
        """Start from the first point, later from random ones. Where the first point is not a
        maximum, particles beside it do not matter.
        """
        s = self.search
        if self._needs_regression():
            return self._by_regression()
        if self.run is not None:
            x = s.random.random(s.box.dim)
            cost = math.inf
        elif s.scout.run is not None and s.scout.run.done and not s.swarm_first:
            x = s.scout.run.middle
            cost = s.scout.run.level
        else:
            x = s.first_point()
            cost = s.known_cost
        if s.box.dim > MATRIX_DIM:
            return LimitedMemory(x, cost)
        return QuasiNewton(x, cost)

    def _by_regression(self) -> RegressionDescent:
        """Start by regression from the best point if new, first with all the model's points, and by
        differences on its lines; else from a random point.
        """
        s = self.search
        if not s.known_cost < self.regressed:
            return RegressionDescent(s.random.random(s.box.dim))
        self.regressed = s.known_cost
        x = s.best_unit()
        if s.progress.best_by == s.model.name:
            runs: list[Proposals | QuasiNewton | None] = [s.model.run]
        elif isinstance(self.run, QuasiNewton) and len(self.run.points):
            runs = [s.model.run, self.run]
        else:
            return RegressionDescent(x, x[None], np.array([s.known_cost]))
        learnt = [run for run in runs if run is not None]
        points = np.concatenate([run.points for run in learnt])
        return RegressionDescent(x, points, np.concatenate([run.costs for run in learnt]))

    def learn(self, costs: Floats) -> Finding | None:
        super().learn(costs)
        self.interrupted |= self.run.interrupted and not self.search.cut_short
        if not self._others_began():
            self.granted = self.spent
        return Finding.NO_SLOPES if self.run.doubtful else None

    def start_over(self) -> None:
        """Forget the present run, so that the next one is a first one."""
        self.run = None

    def trust(self) -> None:
        """Go on with the slopes of the present run, as their errors have been measured."""
        self.run.misled = False


class Axes(Phase["DefaultSearch"]):
    """A search along each axis, if the function is separable. It ends if the axes' gains do not add
    up; without gains it has as many evaluations as the swarm.
    """

    IDLE = 40  # points on each axis without a gain after which the swarm has its share
    name = "axes"

    def due(self) -> bool:
        s = self.search
        if not (s.has_slopes and s.test.separable):
            return False
        if self.run is None:
            return True
        if self.run.done or self.run.missed:
            return False
        return self.run.idle < self.IDLE * s.box.dim or self.spent < s.swarm.spent

    def begin(self) -> AxisSearch:
        return AxisSearch(self.search.best_unit(), self.search.known_cost)


class Mutations(Run):
    """Neighbours of the best point, with all widths; it moves to better ones."""

    best: Floats  # (D,): snapped
    kinds: Kinds = known()
    cost: float = math.inf
    at_once: int = MUTANTS

    def propose(self, random: np.random.Generator) -> Floats:
        return self.kinds.mutants(self.best, random, self.at_once)

    def learn(self, costs: Floats) -> None:
        i = int(costs.argmin())
        if costs[i] <= self.cost:
            self.best = self.batch[i].copy()
            self.cost = float(costs[i])


class Mutate(Phase[PhasedSearch]):
    """Mutations of the overall best point."""

    LATE = 2000  # evaluations per dimension before it starts
    name = "mutations"

    def due(self) -> bool:
        s = self.search
        late = s.evaluations > self.LATE * s.box.dim
        return late and SHARE_BEHIND * s.phases["swarm"].spent > self.spent

    def over(self) -> bool:
        return self.search.known_cost < float(self.run.cost)

    def begin(self) -> Mutations:
        return Mutations(self.search.best_snapped(), self.search.kinds, self.search.known_cost)


class Scan(Phase["DefaultSearch"]):
    """A short search along each axis through the best point, once in each run of the swarm."""

    SCANNED = 16  # points on each axis
    NARROW = 1e-3  # widest standard deviation of a narrow swarm, as a share of the box
    name = "scan"
    beside_swarm: int = 0  # population of the latest swarm beside which it started

    def due(self) -> bool:
        """Whether one is under way, or the swarm is narrow, and neither this run of it has had one,
        nor every axis its own search.
        """
        s = self.search
        if self.run is not None and not self.run.done:
            return True
        if s.box.dim > MATRIX_DIM or not s.has_slopes or s.test.separable:
            return False
        swarm = s.swarm.run
        narrow = swarm is not None and (swarm.done or swarm.width < self.NARROW)
        return narrow and s.swarm.population > self.beside_swarm

    def begin(self) -> AxisSearch:
        s = self.search
        self.beside_swarm = s.swarm.population
        return AxisSearch(s.best_unit(), s.known_cost, self.SCANNED)


class SwarmPhase(Phase[S]):
    """A swarm that adapts its covariance; each new one is larger."""

    SIGMA = 0.2  # first step size, as a share of the box
    NEAR_MIDDLE = 0.125  # where costs flatten
    LEAST = 4  # particles
    GROWTH = 2  # of the population at a restart
    name = "swarm"
    population: int = 0  # population of the present one

    def due(self) -> bool:
        return True

    def begin(self) -> CovarianceSwarm:
        s = self.search
        first = not self.population
        if not first:
            mean = s.random.random(self.dim)
            self.population *= self.GROWTH
        else:
            mean = self.start()
            usual = s.progress.population or default_population(self.dim)
            self.population = max(usual, self.LEAST)
        if first and s.swarm_first:
            return SeparableSwarm(mean, self.NEAR_MIDDLE, self.population)
        if s.box.dim > MATRIX_DIM:
            return SeparableSwarm(mean, self.SIGMA, self.population)
        return CovarianceSwarm(mean, self.SIGMA, self.population)

    @property
    def dim(self) -> int:
        """Coordinates of its runs."""
        return self.search.box.dim

    def start(self) -> Floats:
        """Start of the first swarm: after a descent a random point."""
        s = self.search
        if len(s.progress.start) or s.gradients_are_dear:
            return s.first_point()
        return s.random.random(self.dim)


class DefaultSearch(PhasedSearch):
    """The default search as an `Optimizer` on NumPy arrays, for your own loops.

    With up to 20 coordinates a Gaussian process proposes the first 5 D points; then descents and a
    swarm take turns. It works in the unit box, so units and offsets of x make no difference. Up to
    100 coordinates it keeps D x D matrices, above that only vectors.

    Args:
        bounds: the box; see `pyswarmopt.boundary.make_box`.
        positions: starting points, (n, D), evaluated first.
        maximize: whether larger values are better.
        seed: None takes one from the operating system, a NumPy `Generator` draws one.
        max_evals: number of evaluations, if known; it only keeps short searches from estimating
            Hessians.
        max_iter: stop after this many rounds, not counting the first.
        target: stop when the best value is at least as good as this one.
        population: particles of the first swarm, at least 4, by default 4 + 3 ln D; each restart
            doubles it. Also the number of points that the Gaussian process proposes at a time, at
            most 200, by default one.

    Raises:
        ValueError: inconsistent arguments.

    Example:
        >>> import pyswarmopt as pso
        >>> search = pso.DefaultSearch([(-5, 5)] * 4, seed=0, target=1e-8)
        >>> while not search.stop():
        ...     x = search.ask()  # (m, 4) float64, m from 1 to some tens
        ...     search.tell(x, pso.functions.rosenbrock(x))
        >>> search.evaluations < 400
        True
    """

    LEAST_DESCENT = 3  # with fewer evaluations per dimension gradients are useless

    PHASES: ClassVar = (
        ModelPhase,
        Scout,
        Probe,
        SeparabilityPhase,
        Descent,
        Axes,
        Mutate,
        Scan,
        SwarmPhase,
    )
    model: ModelPhase[PhasedSearch]
    scout: Scout
    probe: Probe
    test: SeparabilityPhase
    descent: Descent
    axes: Axes
    swarm: SwarmPhase[PhasedSearch]

    def heed(self, finding: Finding) -> None:
        if finding is Finding.ERRORS:
            self.descent.trust()
        elif self.model.go_on():
            self.descent.start_over()

    @property
    def swarm_first(self) -> bool:
        """Whether the swarm comes before gradients: costs flatten away from the first point, and no
        coordinate can be searched by itself.
        """
        return self.scout.flattens and not self.test.separable

    @property
    def has_slopes(self) -> bool:
        """Whether values have slopes and there are enough evaluations for them."""
        few = self.max_evals is not None and self.max_evals < self.LEAST_DESCENT * self.box.dim
        return not (self.probe.noisy or few)
