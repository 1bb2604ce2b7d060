"""The default search: a quasi-Newton descent, then a swarm that adapts its covariance and restarts
ever larger.

What takes its turn, in this order:

1. Up to `MODELLED_DIM` coordinates: `ModelPhase`, a Gaussian process that proposes the first
   `MODELLED` evaluations per dimension.
2. `QuasiNewton` from the best of them, else from the middle of the box or the best given position:
   smooth functions of one basin, however ill-conditioned, are solved here, in a few tens of
   evaluations per dimension.
3. `SeparabilityTest`, five evaluations, and only if it says so `AxisSearch`.
4. `CovarianceSwarm` with a population that doubles at each restart (IPOP: Auger & Hansen 2005, IEEE
   CEC), beside quasi-Newton restarts from random points, which take the place of the many small
   runs of BIPOP (Hansen 2009, GECCO workshop): half as many evaluations as the swarm while the best
   point is theirs, else an eighth.

The first descent is cut short after 100 D evaluations and continues as if it were a restart. From
30 coordinates on, where no Hessian is affordable, the test comes first, and later descents start
from what the swarm has found.

Where the first step of the first descent changes the cost far less than differences predicted, or
four steps ever shorter find nothing better, the best point is evaluated again (`RepeatedCall`), and
the model proposes as many points once more. If the cost was another one, the differences were
noise: only the swarm continues. Else a descent starts from the best point then.

Above 100 coordinates `LimitedMemory` and `SeparableSwarm` take the places of the two that keep
matrices (`slots.py`).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import as_count
from pyswarmopt.hybrid.model.kinds import Kinds
from pyswarmopt.hybrid.phased_search import PhasedSearch, Turn
from pyswarmopt.hybrid.phases.axis_search import CheckedAxisSearch, SeparabilityTest
from pyswarmopt.hybrid.phases.bfgs import QuasiNewton
from pyswarmopt.hybrid.phases.cma_es import CovarianceSwarm, SeparableSwarm, default_population
from pyswarmopt.hybrid.phases.descent import FIRST_DIFFERENCE, Descent, RepeatedCall
from pyswarmopt.hybrid.phases.limited_memory import LimitedMemory
from pyswarmopt.hybrid.phases.mutations import Mutations
from pyswarmopt.hybrid.phases.phase import NONE, Phase
from pyswarmopt.hybrid.phases.proposals import ModelPhase
from pyswarmopt.hybrid.slots import KINDS, LARGE, MATRIX_DIM, MIDDLE, MODELLED_DIM, SMALL, slots_for

MODELLED = 5  # evaluations per dimension that the model proposes
BESIDE = 200  # points up to which the model also proposes where a round is waited for
ROUGH = 10  # in all, where the first descent's differences are no slopes
FIRST_DESCENT = 100  # evaluations per dimension that the first descent has for itself
SHARE_AHEAD, SHARE_BEHIND = 0.5, 0.125  # evaluations of later descents for each one of the swarm
SIGMA = 0.2  # first step size of the swarm, as a share of the box
LEAST_POPULATION = 4
GROWTH = 2  # of its population at a restart
OFF_CENTRE = 0.01  # of the box: in the very middle a symmetrical function has no slope
NEWTON_BUDGET = 0.25  # the most of all evaluations that measuring one Hessian may take
# Where no Hessian is affordable the test, which costs next to nothing, comes first and decides the
# descent's budget.
TEST_FIRST = 30  # coordinates
# evaluations per dimension of the first descent where the axes can be searched next
SEPARABLE_DESCENT = 10
# difference of two costs of a point, as a share of the differences that the gradient comes from
NOISE = 0.01
LEAST_DESCENT = 3  # evaluations per dimension without which gradients are of no use


class MemeticSearch(PhasedSearch):
    """The search on NumPy arrays, without torch; `pyswarmopt.hybrid.memetic_swarm.MemeticSwarm` is
    it on tensors.

    Its arguments are described there.
    """

    _kinds: ClassVar = KINDS
    _tables: ClassVar[tuple[dict[str, str], ...]] = (SMALL, MIDDLE, LARGE)

    def __init__(
        self, bounds: Any, *args: Any, population: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(bounds, *args, **kwargs)
        progress = self._progress
        progress.slots = slots_for(self._box.dim)
        progress.test_first = self._box.dim >= TEST_FIRST and not self._hessian_is_affordable()
        progress.spent = {"descent": 0, "swarm": 0}
        if population is not None:
            population = as_count("population", population, 1)
            progress.first_population = max(population, LEAST_POPULATION)
        self._at_once = population or 1  # points that the model proposes at a time

    # ---- whose turn it is ----

    def _turns(self) -> list[Turn]:
        first = Turn("descent", self._first_descent, self._begin_descent)
        test = Turn("test", self._untested, self._begin_test)
        return [
            Turn("model", lambda: self.modelling, self._begin_model),
            Turn("check", self._doubtful, self._begin_check),
            Turn("model", self._models_again, self._begin_model),
            Turn("swarm", lambda: self._noisy or self._too_short, self._begin_swarm),
            *((test, first) if self._progress.test_first else (first, test)),
            Turn("axes", self._separable, self._begin_axes),
            Turn("descent", self._owed, self._begin_descent),
            Turn("swarm", lambda: True, self._begin_swarm),
        ]

    def _next_turn(self) -> str:
        if not {"axes", "swarm"} & self._phases.keys():
            self._progress.granted = self._progress.spent.get("descent", 0)
        return super()._next_turn()

    @property
    def modelling(self) -> bool:
        """Whether the next points are the model's."""
        model = self._phases.get("model")
        if model is not None:
            return not model.done
        return "model" in self._progress.slots and 0 < self._axes.count <= MODELLED_DIM

    def _doubtful(self) -> bool:
        """Whether the first descent's differences may be noise, which has not been checked."""
        descent = self._phases.get("descent")
        unchecked = "check" in self._progress.slots.keys() - self._phases
        return unchecked and isinstance(descent, Descent) and descent.doubtful

    def _models_again(self) -> bool:
        """Whether the model is to propose more where the first descent's differences led nowhere;
        once.
        """
        model = self._phases.get("model")
        return (
            "check" in self._phases
            and isinstance(model, ModelPhase)
            and model.last <= self.modelled
        )

    @property
    def _noisy(self) -> bool:
        check = self._phases.get("check")
        return isinstance(check, RepeatedCall) and check.noisy

    @property
    def _too_short(self) -> bool:
        """Whether there are too few evaluations for dear gradients."""
        short = self._max_evals is not None and self._max_evals < LEAST_DESCENT * self._box.dim
        return short and self._progress.test_first

    def _first_descent(self) -> bool:
        """Whether the first descent has the search for itself: until its end, but no more than its
        grant.
        """
        descent = self._phases.get("descent")
        if descent is None:
            return "test" not in self._phases
        if {"axes", "swarm"} & self._phases.keys():
            return False
        test, dear = self._phases.get("test"), self._progress.test_first
        short = dear and isinstance(test, SeparabilityTest) and test.separable
        grant = (SEPARABLE_DESCENT if short else FIRST_DESCENT) * self._box.dim
        return not ((_ended(descent) if dear else descent.done) or self._progress.granted >= grant)

    def _untested(self) -> bool:
        return "descent" in self._phases and "test" not in self._phases

    def _separable(self) -> bool:
        """Whether the axes are to be searched one by one."""
        test, axes = self._phases.get("test"), self._phases.get("axes")
        return (
            isinstance(test, SeparabilityTest)
            and test.separable
            and not (axes is not None and axes.done)
        )

    def _owed(self) -> bool:
        """Whether later descents have had less than their share."""
        progress = self._progress
        ahead = progress.best_by == "descent" and not (
            progress.test_first and _ended(self._phases["descent"])
        )
        share = SHARE_AHEAD if ahead else SHARE_BEHIND
        return share * progress.spent["swarm"] - (progress.spent["descent"] - progress.granted) > 0

    def _outdone(self, phase: Phase) -> bool:
        progress = self._progress
        a_descent = progress.test_first and progress.turn == "descent"
        return a_descent and progress.best_by == "swarm" and _ended(phase)

    # ---- beside the rounds ----

    def _propose(self) -> Floats:
        if isinstance(model := self._phases.get("model"), ModelPhase):
            model.under_way = self._under_way()
        return super()._propose()

    def _beside(self) -> Floats:
        """What the model proposes while it has few points, else a mutation of the best one."""
        model, under_way = self._phases.get("model"), self._under_way()
        if isinstance(model, ModelPhase) and len(model.points) + len(under_way) < BESIDE:
            model.under_way = under_way
            return model.propose(self._random)[0]
        axes, best = self._axes, self._best_point()
        mutations = Mutations(axes.levels, axes.parameter, best, self._best_known)
        return mutations.propose(self._random)[0]

    def _learn_beside(self, x: Floats, cost: float) -> None:
        model = self._phases.get("model")
        if isinstance(model, ModelPhase) and len(model.points) < BESIDE:
            model.take_in(self._box.encode(x)[None], np.array([cost]))

    def _under_way(self) -> Floats:
        """The points under way in the unit box, (k, M), snapped."""
        points = [self._box.encode(ticket.x) for ticket in self.tickets()]
        return self._axes.snap(np.array(points).reshape(-1, self._box.dim))

    def _best_point(self) -> Floats:
        """The best point in the unit box, (M,), snapped."""
        return self._axes.snap(self._box.encode(self._best_x)[None])[0]

    # ---- what takes it ----

    def _take_start(self, costs: Floats) -> None:
        """Take in what the starting points cost, beyond the best of them."""
        if self.modelling:
            points = np.array([self._box.encode(x) for x in self._start])
            self._phases["model"] = self._model(self._axes.snap(points), costs)

    @property
    def _axes(self) -> Kinds:
        """What the free coordinates are."""
        return Kinds(np.zeros(self._box.dim, dtype=np.int64), np.arange(self._box.dim))

    @property
    def modelled(self) -> int:
        """How many evaluations the model proposes, where there is one."""
        return MODELLED * self._box.dim

    def _model(self, points: Floats, costs: Floats) -> ModelPhase:
        budget = self.modelled if self._max_evals is None else min(self._max_evals, self.modelled)
        first = min(max(4, self._axes.count + 1), max(3, budget // 4))
        axes = self._axes.levels, self._axes.parameter
        return ModelPhase(*axes, first, self.modelled, self._at_once, points, costs)

    def _begin_model(self) -> Phase:
        model = self._phases.get("model")
        if not isinstance(model, ModelPhase):
            return self._model(NONE, NONE)
        model.last, model.done = ROUGH * self._box.dim, False
        self._phases.pop("descent", None)  # the next one starts at the best point
        return model

    def _begin_check(self) -> Phase:
        descent = self._phases["descent"]
        slope = (
            math.sqrt(float(np.mean(descent.gradient**2))) if isinstance(descent, Descent) else 0.0
        )
        return RepeatedCall(
            self._box.encode(self._best_x), self._best_known, NOISE * FIRST_DIFFERENCE * slope
        )

    def _begin_test(self) -> Phase:
        return SeparabilityTest(self._box.encode(self._best_x), self._best_known)

    def _begin_axes(self) -> Phase:
        return CheckedAxisSearch(self._box.encode(self._best_x), self._best_known)

    def _begin_descent(self) -> Phase:
        """From the first point, then from random ones, or with dear gradients from the best if it
        is the swarm's.
        """
        first, progress = "descent" not in self._phases, self._progress
        x, cost = self._first_point() if first else self._random.random(self._box.dim), math.inf
        if first or (progress.test_first and progress.best_by == "swarm"):
            cost = self._best_known
            x = self._box.encode(self._best_x) if math.isfinite(cost) else x
        if progress.slots["descent"] == "LimitedMemory":
            return LimitedMemory(x, cost)
        return QuasiNewton(x, cost, self._hessian_is_affordable())

    def _hessian_is_affordable(self) -> bool:
        dim = self._box.dim
        if self._progress.slots["descent"] == "LimitedMemory":
            return False
        return (
            self._max_evals is None or (dim + 1) * (dim + 2) // 2 <= NEWTON_BUDGET * self._max_evals
        )

    def _begin_swarm(self) -> Phase:
        start = bool(len(self._start)) or self._progress.test_first or self._noisy
        first = self._first_point() if start and self._progress.population == 0 else None
        return self._swarm(self._box.dim, first)

    def _swarm(self, dim: int, first: Floats | None) -> CovarianceSwarm:
        """The first one, from the point `first` if there is one, or a larger one from a random
        point.
        """
        progress = self._progress
        begun = progress.population > 0
        if begun:
            progress.population *= GROWTH
        else:
            progress.population = progress.first_population or self._affordable(dim)
        mean = self._random.random(dim) if begun or first is None else first
        kind = SeparableSwarm if progress.slots["swarm"] == "SeparableSwarm" else CovarianceSwarm
        return kind(mean, SIGMA, progress.population)

    def _affordable(self, dim: int) -> int:
        """The usual population; with many coordinates no more points than are ever evaluated."""
        usual = default_population(dim)
        if self._max_evals is None or dim <= MATRIX_DIM:
            return usual
        return min(usual, max(self._max_evals, LEAST_POPULATION))

    def _first_point(self) -> Floats:
        if math.isfinite(self._best_cost) or len(self._start):
            return self._box.encode(self._best_x)
        return 0.5 + OFF_CENTRE * self._random.uniform(-1, 1, self._box.dim)


def _ended(descent: Phase) -> bool:
    """Whether a descent has come to its end, or so near that little more is to be gained."""
    return descent.done or (isinstance(descent, Descent) and descent.slow)
