"""The default search: a quasi-Newton descent, then a swarm that adapts its covariance and restarts
with growing populations.

Its phases in their order are `MemeticSwarm.PHASES`; the first that is due has its turn:

1. `ModelPhase`, up to 20 coordinates: a Gaussian process proposes the first 5 points per dimension.
2. `Check`: where the first step of a descent changes the cost far less than differences predicted,
   or four steps ever shorter find nothing better, the best point is evaluated again, and the model
   proposes as many points once more. If the cost was another one, the differences were noise: only
   the swarm continues. Else a descent starts from the best point then.
   `Probe`: where the cost along two lines in a row falls far less than the slopes say, or a line is a
   parabola but not that of the differences, six points close together show whether values have an
   error, the latter up to three times.
3. `Test`, once, after the first descent: whether the function is a sum of functions of one
   coordinate each. From 30 coordinates on, where no Hessian is affordable, it comes before.
4. `Descent` from the best point so far, else from the middle of the box: smooth functions of one
   basin, however ill-conditioned, are solved here, in a few tens of evaluations per dimension. The
   first is cut short after 100 D evaluations and continues as if it were a restart. Restarts from
   random points, or where gradients are dear from what the swarm has found, take the place of the
   many small runs of BIPOP (Hansen 2009, GECCO workshop): half as many evaluations as the swarm
   while the best point is theirs, else an eighth. Where points beside a good one fail, descents are
   by regression, which does without them.
5. `Axes`, only if the test says so: each coordinate is searched by itself.
6. `Mutate`, after 2,000 evaluations per dimension: mutations of the best point, an eighth of the
   swarm's evaluations. Each changes a few coordinates and keeps the others, which helps where
   coordinates belong to different functions.
7. `Scan`, once in each run of the swarm, when it has become narrow: a few points along each axis
   through the best point. Where coordinates have a meaning of their own, as parameters do, the basin
   beside it is often one step along an axis away, which a narrow swarm does not see.
8. `SwarmPhase`, whose population doubles at each restart (IPOP: Auger & Hansen 2005, IEEE CEC).

Above 100 coordinates `LimitedMemory` and `SeparableSwarm` take the places of the two that keep
matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import array
from pyswarmopt.hybrid.axis_search import AxisSearch, SeparabilityTest
from pyswarmopt.hybrid.cma_es import CovarianceSwarm, SeparableSwarm, default_population
from pyswarmopt.hybrid.descent import (
    FIRST_DIFFERENCE,
    PROBED,
    LineSearchDescent,
    NoiseProbe,
    QuasiNewton,
    RepeatedCall,
)
from pyswarmopt.hybrid.limited_memory import LimitedMemory
from pyswarmopt.hybrid.proposals import Mutations, Proposals
from pyswarmopt.hybrid.regression import RegressionDescent
from pyswarmopt.hybrid.search import Phase, PhasedSearch

MODELLED_DIM = 20  # most parameters for a model of the costs
MODELLED_NUMBERS = 1024  # most coordinates for a model, each label counted
MODELLED_NOISY = 500  # most evaluations under noise for which a model proposes all points
MATRIX_DIM = 100  # most coordinates for D x D matrices
MODELLED = 5  # evaluations per dimension proposed by the model
BESIDE = 200  # up to this many points the model also proposes while a round is pending, or at once
ROUGH = 10  # in total, if the first descent's differences are no slopes
FIRST_DESCENT = 100  # evaluations per dimension reserved for the first descent
# evaluations of later descents for each of the swarm's; of mutations as of descents that are behind
SHARE_AHEAD = 0.5
SHARE_BEHIND = 0.125
LATE = 2000  # evaluations per dimension before mutations start
SIGMA = 0.2  # first step size of the swarm, as a share of the box
LEAST_POPULATION = 4
GROWTH = 2  # growth of its population at a restart
NEWTON_BUDGET = 0.25  # largest share of all evaluations for measuring one Hessian
TEST_FIRST = 30  # coordinates from which on gradients are dear where no Hessian is affordable
# evaluations per dimension of the first descent, if the axes can be searched next
SEPARABLE_DESCENT = 10
# difference between two costs of a point, as a share of the gradient's differences
NOISE = 0.01
MOST_PROBED = 3 * PROBED  # evaluations for detecting errors
MEANT = 10_000  # roundings of a double; a larger error belongs to the values
SCANNED = 16  # points on each axis through the best point, once the swarm is narrow
NARROW = 1e-3  # widest standard deviation of a narrow swarm, as a share of the box
LEAST_DESCENT = 3  # with fewer evaluations per dimension gradients are useless


class ModelPhase(Phase):
    """Points proposed by a Gaussian process, for few parameters."""

    name = "model"
    kinds = (Proposals,)

    def points(self, s: PhasedSearch) -> int:
        """Number of evaluations that the model proposes."""
        return MODELLED * s.box.dim

    def due(self, s: PhasedSearch) -> bool:
        if self.run is None:
            few_numbers = len(s.kinds.levels) <= MODELLED_NUMBERS
            return s.kinds.count <= MODELLED_DIM and few_numbers
        return not self.run.done

    def over(self, s: PhasedSearch) -> bool:
        return False

    def begin(self, s: PhasedSearch) -> Proposals:
        last = self.points(s) + s.known
        budget = last if s.max_evals is None else min(s.max_evals + s.known, last)
        first = min(max(4, s.kinds.count + 1), max(3, budget // 4))
        return Proposals(s.kinds, first, last, self._at_once(s, last))

    def _at_once(self, s: PhasedSearch, last: int) -> int:
        """Points proposed at a time: a population, within the remaining evaluations, and few enough
        to be proposed in minutes.
        """
        population = s.progress.population or 1
        affordable = population if s.max_evals is None else min(population, s.max_evals)
        return min(affordable, max(last, BESIDE))

    def resize(self, s: PhasedSearch) -> None:
        if self.run is not None:
            self.run.at_once = self._at_once(s, self.run.last)

    def propose(self, s: PhasedSearch) -> Floats:
        if self.run is not None:
            self.run.under_way = s.unit_under_way()
        return super().propose(s)

    def beside(self, s: PhasedSearch) -> Floats | None:
        under_way = s.unit_under_way()
        if self.run is None or len(self.run.points) + len(under_way) >= BESIDE:
            return None
        self.run.under_way = under_way
        point: Floats = self.run.propose(s.random)[0]
        return point

    def hear(self, s: PhasedSearch, points: Floats, costs: Floats) -> None:
        if self.run is None and self.due(s):
            self.run = self.begin(s)
        if self.run is not None and len(self.run.points) < BESIDE:
            self.keep(s, points, costs)

    def keep(self, s: PhasedSearch, points: Floats, costs: Floats) -> None:
        """Give the model the costs, (n,), of points, (n, free coordinates)."""
        self.run.take_in(points, costs)


class Check(Phase):
    """A second call of the best point, if differences may be noise."""

    name = "repeat"
    kinds = (RepeatedCall,)
    calls_again = True

    def due(self, s: MemeticSwarm) -> bool:
        descent = s.phase(Descent).run
        return self.run is None and descent is not None and descent.doubtful

    def begin(self, s: MemeticSwarm) -> RepeatedCall:
        slope = math.sqrt(float(np.mean(s.phase(Descent).run.gradient ** 2)))
        return RepeatedCall(s.best_unit(), s.known_cost, NOISE * FIRST_DIFFERENCE * slope)

    def learn(self, s: MemeticSwarm, costs: Floats) -> None:
        """Let the model, if any, continue, and then a new descent start from the best point."""
        super().learn(s, costs)
        model = s.phase(ModelPhase).run
        if model is not None:
            model.last = ROUGH * s.box.dim
            model.done = False
            s.phase(Descent).run = None


class Probe(Phase):
    """A few points close to the best one, if a descent's slopes may be errors."""

    name = "probe"
    kinds = (NoiseProbe,)

    def due(self, s: MemeticSwarm) -> bool:
        descent = s.phase(Descent).run
        unsure = self.spent < MOST_PROBED and not s.resolution.ripple
        return descent is not None and descent.suspect and unsure

    def begin(self, s: MemeticSwarm) -> NoiseProbe:
        descent = s.phase(Descent).run
        return NoiseProbe(descent.x, descent.cost)

    def learn(self, s: MemeticSwarm, costs: Floats) -> None:
        super().learn(s, costs)
        s.phase(Descent).run.misled = 0
        error = self.run.error
        rounding = s.phase(Descent).run.rounding()
        if error > MEANT * rounding:
            s.resolution.ripple = min(1.0, error / max(abs(self.run.cost), 1e-300))


class Test(Phase):
    """The separability test, on the first descent's function."""

    name = "test"
    kinds = (SeparabilityTest,)

    def due(self, s: MemeticSwarm) -> bool:
        begun = self.run is None and s.phase(Descent).run is not None and s.has_slopes
        return begun and (gradients_are_dear(s) or not s.phase(Descent).alone(s))

    def begin(self, s: MemeticSwarm) -> SeparabilityTest:
        return SeparabilityTest(s.best_unit(), s.known_cost, s.resolution.error(s.known_cost))

    @property
    def separable(self) -> bool:
        return self.run is not None and self.run.separable


@dataclass(repr=False, eq=False)
class Descent(Phase):
    """The first descent, and later ones beside the swarm."""

    name = "descent"
    kinds = (QuasiNewton, LimitedMemory, RegressionDescent)
    granted: int = 0  # evaluations before the swarm or the axes began
    interrupted: bool = False  # whether points beside a good one have failed
    regressed: float = math.inf  # best cost when the latest descent by regression started there

    def due(self, s: MemeticSwarm) -> bool:
        return s.has_slopes and (self.alone(s) or self._descent_due(s))

    def alone(self, s: MemeticSwarm) -> bool:
        """Whether the first descent has the search for itself: until its end, within its grant."""
        if self.run is None:
            return s.phase(Test).run is None
        if s.phase(Axes).run is not None or s.phase(SwarmPhase).run is not None:
            return False
        if self._is_misled(s):
            return True
        per_dim = (
            SEPARABLE_DESCENT
            if gradients_are_dear(s) and s.phase(Test).separable
            else FIRST_DESCENT
        )
        ended = self.run.ended if gradients_are_dear(s) else self.run.done
        return not ended and self.granted < per_dim * s.box.dim

    def _is_misled(self, s: MemeticSwarm) -> bool:
        """Whether it descends by differences that are no slopes, or fail."""
        return needs_regression(s) and not isinstance(self.run, RegressionDescent)

    def _descent_due(self, s: MemeticSwarm) -> bool:
        """Whether later descents have had less than their share."""
        ended = gradients_are_dear(s) and self.run is not None and self.run.ended
        ahead = s.progress.best_by == self.name and not ended
        share = SHARE_AHEAD if ahead else SHARE_BEHIND
        return share * s.phase(SwarmPhase).spent > self.spent - self.granted

    def over(self, s: MemeticSwarm) -> bool:
        if self._is_misled(s):
            return True
        superseded = (
            gradients_are_dear(s)
            and s.progress.best_by == s.phase(SwarmPhase).name
            and self.run.ended
        )
        return self.run.done or superseded

    def propose(self, s: MemeticSwarm) -> Floats:
        if self.run is not None:
            self.run.error = s.resolution.error(s.known_cost)
        return super().propose(s)

    def begin(self, s: MemeticSwarm) -> LineSearchDescent | RegressionDescent:
        """Start from the first point, later from random ones, or with expensive gradients from the
        swarm's best.
        """
        if needs_regression(s):
            return self._by_regression(s)
        first = self.run is None
        x = s.first_point() if first else s.random.random(s.box.dim)
        cost = math.inf
        if first or (gradients_are_dear(s) and s.progress.best_by == s.phase(SwarmPhase).name):
            cost = s.known_cost
            x = s.best_unit() if math.isfinite(cost) else x
        if s.box.dim > MATRIX_DIM:
            return LimitedMemory(x, cost)
        return QuasiNewton(x, cost, affords_hessian(s))

    def _by_regression(self, s: MemeticSwarm) -> RegressionDescent:
        """Start by regression from the best point if new, first with all the model's points, and by
        differences on its lines; else from a random point.
        """
        if not s.known_cost < self.regressed:
            return RegressionDescent(s.random.random(s.box.dim))
        self.regressed = s.known_cost
        x = s.best_unit()
        model = s.phase(ModelPhase).run
        if model is not None and s.progress.best_by == s.phase(ModelPhase).name:
            return RegressionDescent(x, model.points, model.costs)
        if isinstance(self.run, QuasiNewton) and len(self.run.points):
            return RegressionDescent(x, *self._on_lines(model))
        return RegressionDescent(x, x[None], np.array([s.known_cost]))

    def _on_lines(self, model: Proposals | None) -> tuple[Floats, Floats]:
        """Points, (n, D), and costs, (n,), of the model and of the present descent's lines."""
        if model is None:
            return self.run.points, self.run.costs
        points = np.concatenate([model.points, self.run.points])
        return points, np.concatenate([model.costs, self.run.costs])

    def learn(self, s: MemeticSwarm, costs: Floats) -> None:
        super().learn(s, costs)
        self.interrupted |= self.run.interrupted and not s.cut_short
        if s.phase(Axes).run is None and s.phase(SwarmPhase).run is None:
            self.granted = self.spent


class Axes(Phase):
    """A search along each axis, if the function is separable."""

    name = "axes"
    kinds = (AxisSearch,)

    def due(self, s: MemeticSwarm) -> bool:
        unsearched = self.run is None or not self.run.done
        return s.has_slopes and s.phase(Test).separable and unsearched

    def begin(self, s: MemeticSwarm) -> AxisSearch:
        return AxisSearch(s.best_unit(), s.known_cost)


class Mutate(Phase):
    """Mutations of the overall best point."""

    name = "mutations"
    kinds = (Mutations,)

    def due(self, s: PhasedSearch) -> bool:
        late = s.evaluations > LATE * s.box.dim and not s.noisy
        return late and SHARE_BEHIND * s.phase(SwarmPhase).spent > self.spent

    def begin(self, s: PhasedSearch) -> Mutations:
        return Mutations(s.kinds, s.best_point(), s.known_cost)

    def propose(self, s: PhasedSearch) -> Floats:
        if self.run is not None and s.known_cost < self.run.cost:
            self.run = self.begin(s)
        return super().propose(s)


@dataclass(repr=False, eq=False)
class Scan(Phase):
    """A short search along each axis through the best point, once in each run of the swarm."""

    name = "scan"
    kinds = (AxisSearch,)
    beside_swarm: int = 0  # population of the latest swarm beside which it started
    tried: float = math.inf  # best cost when it started
    credit: str = ""  # phase that found its starting point, credited with its results
    origin: Floats = array("D")  # that point

    def due(self, s: MemeticSwarm) -> bool:
        begun = self.run is not None and not self.run.done
        return begun or (
            self._is_new(s) and s.phase(SwarmPhase).is_narrow and s.box.dim <= MATRIX_DIM
        )

    def _is_new(self, s: MemeticSwarm) -> bool:
        """Whether neither this run of the swarm nor this best point has had a scan, nor every axis
        its own search.
        """
        unseen = s.phase(SwarmPhase).population > self.beside_swarm and s.known_cost < self.tried
        return unseen and s.has_slopes and not s.phase(Test).separable

    def begin(self, s: MemeticSwarm) -> AxisSearch:
        self.beside_swarm = s.phase(SwarmPhase).population
        self.tried = s.known_cost
        self.credit = s.progress.best_by
        self.origin = s.best_unit()
        return AxisSearch(s.best_unit(), s.known_cost, SCANNED)

    def learn(self, s: MemeticSwarm, costs: Floats) -> None:
        """Let the next descent start where it has found another basin."""
        super().learn(s, costs)
        if s.progress.best_by == self.name:
            s.progress.best_by = self.credit
        if self.run.done and np.abs(s.best_unit() - self.origin).max() > NARROW:
            s.phase(Descent).run = None


@dataclass(repr=False, eq=False)
class SwarmPhase(Phase):
    """A swarm that adapts its covariance; each new one is larger."""

    name = "swarm"
    kinds = (CovarianceSwarm, SeparableSwarm)
    population: int = 0  # population of the present one

    @property
    def is_narrow(self) -> bool:
        """Whether the present one has become narrow."""
        return self.run is not None and (self.run.done or self.run.width < NARROW)

    def due(self, s: PhasedSearch) -> bool:
        return True

    def begin(self, s: PhasedSearch) -> CovarianceSwarm:
        mean = None
        dim = self.dim(s.kinds)
        if self.population:
            self.population *= GROWTH
        else:
            mean = self.start(s)
            self.population = self._first_population(s, dim)
        if mean is None:
            mean = s.random.random(dim)
        kind = SeparableSwarm if s.box.dim > MATRIX_DIM else CovarianceSwarm
        return kind(mean, SIGMA, self.population)

    def start(self, s: PhasedSearch) -> Floats | None:
        """Start of the first swarm: None, a random point, after a descent."""
        known = len(s.progress.start) or gradients_are_dear(s) or s.noisy
        return s.first_point() if known else None

    def _first_population(self, s: PhasedSearch, dim: int) -> int:
        """The given population, else the default; with many coordinates at most the evaluations
        left.
        """
        if s.progress.population:
            return max(s.progress.population, LEAST_POPULATION)
        usual = default_population(dim)
        if s.max_evals is None or dim <= MATRIX_DIM:
            return usual
        return min(usual, max(s.max_evals, LEAST_POPULATION))


class MemeticSwarm(PhasedSearch):
    """The default search as an `Optimizer` on NumPy arrays, for your own loops.

    With up to 20 coordinates a Gaussian process proposes the first 5 D points; then descents and a
    swarm take turns. It works in the unit box, so units and offsets of x make no difference. Up to
    100 coordinates it keeps D x D matrices, beyond only vectors.

    Args:
        bounds: the box; see `pyswarmopt.boundary.make_box`.
        positions: starting points, (n, D), evaluated first.
        maximize: whether larger values are better.
        seed: None takes one from the operating system, a NumPy `Generator` draws one.
        max_evals: number of evaluations, if known; it only keeps short searches from measuring
            Hessians.
        max_iter: stop after this many rounds; the first one counts 0.
        target: stop when the best value is at least as good.
        population: particles of the first swarm, at least 4, doubled at restarts, by default 4 + 3
            ln D; and points that the Gaussian process proposes at a time, by default one, at most
            200.

    Raises:
        ValueError: arguments that do not fit each other.

    Example:
        >>> import pyswarmopt as pso
        >>> search = pso.MemeticSwarm([(-5, 5)] * 4, seed=0, target=1e-8)
        >>> while not search.stop():
        ...     x = search.ask()  # (m, 4) float64, m from 1 to some tens
        ...     search.tell(x, pso.functions.rosenbrock(x))
        >>> search.evaluations < 400
        True
    """

    PHASES: ClassVar = (ModelPhase, Check, Probe, Test, Descent, Axes, Mutate, Scan, SwarmPhase)

    @property
    def noisy(self) -> bool:
        check = self.phase(Check).run
        return check is not None and check.noisy

    @property
    def has_slopes(self) -> bool:
        """Whether differences are slopes, with enough evaluations for them."""
        few = self.max_evals is not None and self.max_evals < LEAST_DESCENT * self.box.dim
        return not self.noisy and not (few and gradients_are_dear(self))


def needs_regression(s: MemeticSwarm) -> bool:
    """Whether descents use regression: differences are no slopes or fail, and the model is
    affordable.
    """
    unusable = s.phase(Descent).interrupted or s.resolution.error(s.known_cost) > 0
    return unusable and s.box.dim <= MODELLED_DIM


def affords_hessian(s: PhasedSearch) -> bool:
    """Whether a Hessian may be measured."""
    points = (s.box.dim + 1) * (s.box.dim + 2) // 2
    within = s.max_evals is None or points <= NEWTON_BUDGET * s.max_evals
    return s.box.dim <= MATRIX_DIM and within


def gradients_are_dear(s: PhasedSearch) -> bool:
    """Whether there are many coordinates, and no affordable Hessian."""
    return s.box.dim >= TEST_FIRST and not affords_hessian(s)
