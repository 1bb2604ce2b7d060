"""The default search with constraints: descents by quadratic programs, models of cost and
constraints, and a swarm.

The phases, in order, are `ConstrainedSearch.PHASES`:

1. `ProgramDescent` from the middle of the box, or from the best given position, up to 40 D
   evaluations. Later descents run alongside the other phases, with as many evaluations as these:
   from the best point if it is new, and every other one from a random point.
2. `ConstrainedModel`, up to 20 coordinates: a Gaussian process of the cost and of each constraint
   proposes 60 points. It finds other basins, and continues if values have few digits.
3. `OrderSwarm`, which needs only the order of the points.

With whole numbers or labels (`ConstrainedMixedSearch`), the models come first, for 200 points, and
`EarlyMutate` mutates the best point. The descents are `GridDescent`, which also moves whole
numbers, from the best point if it is new, else from its neighbour or a random point. They have as
many evaluations as all other phases while the best point is theirs, else a quarter. If all numbers
have two values (`ConstrainedBinarySearch`), models and mutations propose all points.

The best point follows Deb's rules: a feasible one is better than an infeasible one.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import array
from pyswarmopt.default.cma_es import CovarianceSwarm
from pyswarmopt.default.constrained_descent import ConstrainedDescent, GridDescent
from pyswarmopt.default.constrained_models import ConstrainedProposals
from pyswarmopt.default.continuous import ModelPhase, SwarmPhase
from pyswarmopt.default.mixed import EarlyMutate, Flips, LongModel
from pyswarmopt.default.phases import Phase, PhasedSearch

FIRST_DESCENT = 40  # evaluations per dimension reserved for the first descent
IDLE = 5  # evaluations per dimension without a better point after which others have their turn
BETTER = 1e-3  # least gain of such a point, as a share of all gains since the first feasible one
BESIDE = 0.02  # first step size of the swarm in their place, as a share of the box
SHARE_IDLE = 0.125  # evaluations of descents for each of the others, as long as they find nothing
LAST = 0.1  # share of evaluations reserved for feasibility if nothing is feasible
NEAR = 0.8  # share of the best point's neighbours among the starts of later descents on a grid
WIDTHS = (1e-3, 0.3)  # their distance, as a share of the range
# with whole numbers or labels: evaluations of descents for each other evaluation, while the best
# point is theirs, and else
SHARE_AHEAD = 1.0
SHARE_BEHIND = 0.25


class ProgramDescent(Phase["ConstrainedSearch"]):
    """Descents that use costs and constraints."""

    name = "descent"
    granted: int = 0  # evaluations before the other phases began
    idle: int = 0  # evaluations without a better point, or a whole step of one from the best
    reached: float = math.inf  # best cost at the latest clear gain
    first: float = math.inf  # cost of the first feasible point
    tried: float = math.inf  # best cost when the latest descent began
    from_best: bool = False  # its starting point
    rescuing: bool = False  # whether only feasibility counts
    kinked: Floats = array()  # (J,): 1 for constraints whose slopes jumped where it was stuck

    def due(self) -> bool:
        """Whether there are numbers to move, and a descent is to be begun or has its turn; where
        nothing is feasible at the end, a new one from the best point.
        """
        if not (self.search.kinds.smooth | self.search.kinds.whole).any():
            return False
        if not self._needs_rescue():
            return self._has_turn()
        return not (self.rescuing and self.run.done)

    def _needs_rescue(self) -> bool:
        """Whether nothing is feasible although the evaluations are nearly spent."""
        s = self.search
        row = s.progress.best_row
        if s.max_evals is None or not len(row):
            return False
        late = s.evaluations - s.evaluated_before >= (1 - LAST) * s.max_evals
        return late and bool((row[1:] > 0).any())

    def propose(self) -> Floats:
        rescuing = self._needs_rescue()
        if rescuing and not self.rescuing:
            self.run = None  # a new one, from the best point
        self.rescuing = rescuing
        return super().propose()

    def _has_turn(self) -> bool:
        """Whether it is the first descent, or later ones have had fewer evaluations than the
        others, an eighth of them while they find nothing.
        """
        if self.run is None:
            return True
        others = self._others()
        if self.is_stuck():
            return SHARE_IDLE * others > self.spent - self.granted
        if not others:
            return not self.run.done and self.spent < FIRST_DESCENT * self.search.box.dim
        return others > self.spent - self.granted

    def is_stuck(self) -> bool:
        """Whether descents find nothing better."""
        return self.idle > IDLE * self.search.box.dim

    def _others(self) -> int:
        """Evaluations of all other phases."""
        return sum(phase.spent for phase in self.search.phases.values()) - self.spent

    def begin(self) -> ConstrainedDescent:
        s = self.search
        cost = s.progress.best_cost
        self.from_best = self.run is None or (
            cost < self.tried and not (self.from_best and self.run.started)
        )
        self.tried = cost
        if not s.kinds.smooth.all():
            return self._on_grid()
        x = s.first_point()
        if not self.from_best:
            x = s.random.random(len(x))
        return ConstrainedDescent(x, np.arange(len(x)))

    def _on_grid(self) -> GridDescent:
        kinds = self.search.kinds
        random = self.search.random
        x = kinds.snap(self.search.first_point()[None])
        if not self.from_best:
            width = WIDTHS[0] * (WIDTHS[1] / WIDTHS[0]) ** random.random(1)
            if random.random() < NEAR:
                x = kinds.neighbours(x, width, random)
            else:
                x = kinds.draw(1, random)
        moving = np.flatnonzero(kinds.smooth | kinds.whole)
        return GridDescent(x[0], moving, units=kinds.units[moving])

    def learn(self, costs: Floats) -> None:
        s = self.search
        here = s.rows[0]
        if len(self.run.values):
            here = self.run.values
        self.run.error = s.resolution.error(float(here[0]))
        rows = s.rows
        if self.rescuing:
            rows = rows.copy()
            rows[np.isfinite(rows[:, 0]), 0] = 0.0
        super().learn(rows)
        self.idle += len(costs)
        whole_step = self.run.mode == "gradient" and self.run.tries == 1
        if self._is_better() or (self.from_best and whole_step):
            self.idle = 0
        if self.is_stuck() and self.run.kinked.any():
            self.kinked = self.run.kinked
        if not self._others():
            self.granted = self.spent

    def _is_better(self) -> bool:
        """Whether there is a clear gain since the latest one."""
        progress = self.search.progress
        cost = progress.best_cost
        gain = self.reached - cost
        feasible = len(progress.best_row) and bool((progress.best_row[1:] <= 0).all())
        if feasible and math.isinf(self.first):
            self.first = cost
        if not gain > 0:
            return False
        if feasible and math.isfinite(gain) and gain < BETTER * (self.first - cost):
            return False
        self.reached = cost
        return True


class ConstrainedModel(ModelPhase["ConstrainedSearch"]):
    """Points proposed by models of cost and constraints."""

    runs = ConstrainedProposals
    most = 60

    def propose(self) -> Floats:
        s = self.search
        best = s.best_snapped()
        row = s.progress.best_row
        if self.run is not None and len(row) and not (self.run.points == best).all(axis=1).any():
            self.run.take_in_rows(best[None], row[None])
        return super().propose()

    def keep(self, points: Floats, costs: Floats) -> None:
        self.run.take_in_rows(points, self.search.rows)


class OrderSwarm(SwarmPhase["ConstrainedSearch"]):
    """A swarm on the order of the points; once descents are stuck, one starts there."""

    followed: bool = False  # whether one has started there

    def over(self) -> bool:
        return super().over() or self._starts_beside()

    def _starts_beside(self) -> bool:
        return not self.followed and self.search.descent.is_stuck()

    def begin(self) -> CovarianceSwarm:
        s = self.search
        starts_beside = self._starts_beside()
        if starts_beside:
            self.population = 0  # as the first one
        run = super().begin()
        if starts_beside:
            self.followed = True
            run.mean = s.best_unit()
            if s.descent.run.leads(s.progress.best_row):
                run.mean = s.descent.run.x.copy()
            run.sigma = BESIDE
        return run


class ConstrainedSearch(PhasedSearch):
    """A search with constraints; its values are told in Deb's order."""

    PHASES: ClassVar[tuple[type[Phase[Any]], ...]] = (
        ProgramDescent,
        ConstrainedModel,
        OrderSwarm,
    )
    descent: ProgramDescent

    @property
    def remark(self) -> str:
        """How to help descents over kinks, where they find nothing."""
        descent = self.phases.get(ProgramDescent.name)
        if not isinstance(descent, ProgramDescent) or not descent.kinked.any():
            return ""
        kinked = descent.kinked
        which = "the constraint"
        if len(kinked) > 1:
            which = f"constraint {int(kinked.argmax()) + 1} of {len(kinked)}"
        return f"; {which} has kinks; return its parts as a vector, one number per limit"


class MixedDescent(ProgramDescent):
    """Descents beside a model and mutations."""

    def _has_turn(self) -> bool:
        others = self._others()
        share = SHARE_BEHIND
        if self.search.progress.best_by == self.name:
            share = SHARE_AHEAD
        return self.spent < share * others


class LongConstrainedModel(ConstrainedModel):
    """Points proposed by models before all other phases."""

    most = LongModel.most


class ConstrainedMixedSearch(ConstrainedSearch):
    """A search of real numbers, integers and categories together, with constraints."""

    PHASES: ClassVar = (MixedDescent, LongConstrainedModel, EarlyMutate, OrderSwarm)


class ConstrainedBinarySearch(ConstrainedSearch):
    """A search of numbers with two values each, with constraints.

    It asks for all lower and all upper ones first: limits such as "at most k of n" allow almost
    nothing else that is drawn.
    """

    PHASES: ClassVar = (LongConstrainedModel, Flips)

    def __init__(self, bounds: Any, **options: Any) -> None:
        super().__init__(bounds, **options)
        if not len(self.progress.start):  # no point given
            corners = np.outer([0.0, 1.0], np.ones(self.box.dim))
            self.progress.start = self.box.decode(self.kinds.snap(corners))
