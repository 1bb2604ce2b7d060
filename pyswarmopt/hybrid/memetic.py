"""The default search: a quasi-Newton descent, then a swarm that adapts its covariance and restarts ever larger.

What takes its turn, in this order:

1. Up to `MODELLED_DIM` coordinates: `ModelPhase`, a Gaussian process that proposes the first `MODELLED` evaluations per
   dimension.
2. `QuasiNewton` from the best of them, else from the middle of the box or the best given position: smooth functions of
   one basin, however ill-conditioned, are solved here, in a few tens of evaluations per dimension.
3. `SeparabilityTest`, five evaluations, and only if it says so `AxisSearch`.
4. `CovarianceSwarm` with a population that doubles at each restart (IPOP: Auger & Hansen 2005, IEEE CEC), beside
   quasi-Newton restarts from random points, which take the place of the many small runs of BIPOP (Hansen 2009, GECCO
   workshop): half as many evaluations as the swarm while the best point is theirs, else an eighth.

The first descent is cut short after 100 D evaluations and continues as if it were a restart. From 30 coordinates on,
where no Hessian is affordable, the test comes first, and later descents start from what the swarm has found.

Where the first step of the first descent changes the cost far less than differences predicted, or four steps ever
shorter find nothing better, the best point is evaluated again (`RepeatedCall`), and the model proposes as many points
once more. If the cost was another one, the differences were noise: only the swarm continues. Else a descent starts from
the best point then.

Above 100 coordinates `LimitedMemory` and `SeparableSwarm` take the places of the two that keep matrices (`slots.py`).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.model.kinds import Kinds
from pyswarmopt.hybrid.phased_search import PhasedSearch
from pyswarmopt.hybrid.phases.axis_search import SeparabilityTest
from pyswarmopt.hybrid.phases.bfgs import QuasiNewton
from pyswarmopt.hybrid.phases.cma_es import CovarianceSwarm, SeparableSwarm, default_population
from pyswarmopt.hybrid.phases.descent import FIRST_DIFFERENCE, Descent, RepeatedCall
from pyswarmopt.hybrid.phases.limited_memory import LimitedMemory
from pyswarmopt.hybrid.phases.phase import NONE, Phase
from pyswarmopt.hybrid.phases.proposals import ModelPhase
from pyswarmopt.hybrid.slots import KINDS, LARGE, MATRIX_DIM, MIDDLE, MODELLED_DIM, SMALL, slots_for

MODELLED = 5  # evaluations per dimension that the model proposes
ROUGH = 10  # in all, where the first descent's differences are no slopes
FIRST_DESCENT = 100  # evaluations per dimension that the first descent has for itself
SHARE_AHEAD, SHARE_BEHIND = 0.5, 0.125  # evaluations of later descents for each one of the swarm
SIGMA = 0.2  # first step size of the swarm, as a share of the box
LEAST_POPULATION = 4
GROWTH = 2  # of its population at a restart
OFF_CENTRE = 0.01  # of the box: in the very middle a symmetrical function has no slope
NEWTON_BUDGET = 0.25  # the most of all evaluations that measuring one Hessian may take
# Where no Hessian is affordable the test, which costs next to nothing, comes first and decides the descent's budget.
TEST_FIRST = 30  # coordinates
SEPARABLE_DESCENT = 10  # evaluations per dimension of the first descent where the axes can be searched next
NOISE = 0.01  # difference of two costs of a point, as a share of the differences that the gradient comes from
LEAST_DESCENT = 3  # evaluations per dimension without which gradients are of no use


class MemeticSearch(PhasedSearch):
    """The search on NumPy arrays, without torch; `pyswarmopt.hybrid.memetic_swarm.MemeticSwarm` is it on tensors.

    Its arguments are described there.
    """

    _kinds: ClassVar = KINDS
    _tables: ClassVar[tuple[dict[str, str], ...]] = (SMALL, MIDDLE, LARGE)
    _plain: ClassVar = PhasedSearch._plain | {
        "granted": int, "population": int, "first_population": (int, type(None)), "test_first": bool,
    }  # fmt: skip

    def __init__(self, bounds: Any, *args: Any, population: int | None = None, **kwargs: Any) -> None:
        super().__init__(bounds, *args, **kwargs)
        self._slots = slots_for(self._box.dim)
        self._test_first = self._box.dim >= TEST_FIRST and not self._hessian_is_affordable()
        self._spent = {"descent": 0, "swarm": 0}
        self._granted = 0  # evaluations of the first descent
        if population is not None and population < 1:
            raise ValueError(f"population={population}: it must be at least 1")
        self._first_population = None if population is None else max(population, LEAST_POPULATION)
        self._population = 0  # of the present swarm
        self._at_once = population or 1  # points that the model proposes at a time

    # ---- whose turn it is ----

    def _take_start(self, costs: Floats) -> None:
        """Take in what the starting points cost, beyond the best of them."""
        if self.modelling:
            points = np.array([self._box.encode(x) for x in self._start])
            self._phases["model"] = self._model(self._axes.snap(points), costs)

    def _outdone(self, phase: Phase) -> bool:
        return self._test_first and self._turn == "descent" and self._best_by == "swarm" and _ended(phase)

    def _next_turn(self) -> str:
        if not self._box.dim:
            return "start"
        if self.modelling:
            return "model"
        if self._doubtful():
            return "check"
        if self._look_again():
            return "model"
        if self._noisy:
            return "swarm"
        if self._test_first:
            return self._next_turn_after_test()
        test = self._phases.get("test")
        if test is None:
            descent = self._phases.get("descent")
            self._granted = self._spent["descent"]
            if descent is None or not (descent.done or self._granted >= FIRST_DESCENT * self._box.dim):
                return "descent"
            return "test"
        axes = self._phases.get("axes")
        if isinstance(test, SeparabilityTest) and test.separable and not (axes is not None and axes.done):
            return "axes"
        return self._shared_turn()

    @property
    def _axes(self) -> Kinds:
        """What the free coordinates are."""
        return Kinds(np.zeros(self._box.dim, dtype=np.int64), np.arange(self._box.dim))

    @property
    def modelling(self) -> bool:
        """Whether the next points are the model's."""
        model = self._phases.get("model")
        if model is not None:
            return not model.done
        return "model" in self._slots and 0 < self._axes.count <= MODELLED_DIM

    def _look_again(self) -> bool:
        """Let the model propose more where the first descent's differences led nowhere; once."""
        model = self._phases.get("model")
        if "check" not in self._phases or not isinstance(model, ModelPhase) or model.last > self.modelled:
            return False
        model.last, model.done = ROUGH * self._box.dim, False
        self._phases.pop("descent", None)  # the next one starts at the best point
        return True

    def _doubtful(self) -> bool:
        """Whether the first descent's differences may be noise, which has not been checked."""
        descent = self._phases.get("descent")
        return "check" in self._slots.keys() - self._phases and isinstance(descent, Descent) and descent.doubtful

    @property
    def _noisy(self) -> bool:
        check = self._phases.get("check")
        return isinstance(check, RepeatedCall) and check.noisy

    def _next_turn_after_test(self) -> str:
        """As `_next_turn`, where gradients are dear."""
        test, descent, axes = (self._phases.get(name) for name in ("test", "descent", "axes"))
        if self._max_evals is not None and self._max_evals < LEAST_DESCENT * self._box.dim:
            return "swarm"
        if descent is None:
            return "descent"
        if not isinstance(test, SeparabilityTest):
            return "test"
        if axes is None and "swarm" not in self._phases:
            self._granted = self._spent["descent"]
            grant = (SEPARABLE_DESCENT if test.separable else FIRST_DESCENT) * self._box.dim
            if not (_ended(descent) or self._granted >= grant):
                return "descent"
        if test.separable and not (axes is not None and axes.done):
            return "axes"
        return self._shared_turn()

    def _shared_turn(self) -> str:
        ahead = self._best_by == "descent" and not (self._test_first and _ended(self._phases["descent"]))
        share = SHARE_AHEAD if ahead else SHARE_BEHIND
        owed = share * self._spent["swarm"] - (self._spent["descent"] - self._granted)
        return "descent" if owed > 0 else "swarm"

    def _begin(self, name: str) -> Phase:
        if name == "model":
            return self._model(NONE, NONE)
        if name == "descent":
            return self._begin_descent()
        if name == "swarm":
            known = bool(len(self._start)) or self._test_first or self._noisy
            first = self._first_point() if known and self._population == 0 else None
            return self._begin_swarm(self._box.dim, first)
        if name == "check":
            slope = math.sqrt(float(np.mean(self._phases["descent"].gradient ** 2)))  # type: ignore[attr-defined]
            return RepeatedCall(self._box.encode(self._best_x), self._best_cost, NOISE * FIRST_DIFFERENCE * slope)
        return KINDS[self._slots[name]](self._box.encode(self._best_x), self._best_cost)  # type: ignore[call-arg]

    @property
    def modelled(self) -> int:
        """How many evaluations the model proposes, where there is one."""
        return MODELLED * self._box.dim

    def _model(self, points: Floats, costs: Floats) -> ModelPhase:
        budget = self.modelled if self._max_evals is None else min(self._max_evals, self.modelled)
        first = min(max(4, self._axes.count + 1), max(3, budget // 4))
        axes = self._axes.levels, self._axes.parameter
        return ModelPhase(*axes, first, self.modelled, self._at_once, points, costs)

    def _begin_descent(self) -> Phase:
        """From the first point, then from random ones, or with dear gradients from the best if it is the swarm's."""
        known, x = math.inf, self._random.random(self._box.dim) if "descent" in self._phases else self._first_point()
        if "descent" not in self._phases or (self._test_first and self._best_by == "swarm"):
            known = self._best_cost
            x = self._box.encode(self._best_x) if math.isfinite(known) else x
        if self._slots["descent"] == "LimitedMemory":
            return LimitedMemory(x, known)
        return QuasiNewton(x, known, self._hessian_is_affordable())

    def _hessian_is_affordable(self) -> bool:
        dim = self._box.dim
        if self._slots["descent"] == "LimitedMemory":
            return False
        return self._max_evals is None or (dim + 1) * (dim + 2) // 2 <= NEWTON_BUDGET * self._max_evals

    def _begin_swarm(self, dim: int, first: Floats | None) -> CovarianceSwarm:
        """The first one, from the point `first` if it is given, or a larger one from a random point."""
        begun = self._population > 0
        self._population = GROWTH * self._population if begun else self._first_population or self._affordable(dim)
        mean = self._random.random(dim) if begun or first is None else first
        kind = SeparableSwarm if self._slots["swarm"] == "SeparableSwarm" else CovarianceSwarm
        return kind(mean, SIGMA, self._population)

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
