"""`minimize_multi`: the Pareto front of several objectives in one call; and the search behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.inputs import as_count
from pyswarmopt.base.spelling import answered
from pyswarmopt.driver.call import Objective, Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.history import History
from pyswarmopt.driver.judge import Evaluated, Judge
from pyswarmopt.driver.multi.front_model import FrontProposals
from pyswarmopt.driver.multi.pareto import hypervolume, non_dominated
from pyswarmopt.driver.multi.smpso import MultiSwarm
from pyswarmopt.driver.options import Arguments, Options
from pyswarmopt.driver.problem.constraints import Breach
from pyswarmopt.driver.result import FAILED, INTERRUPTED, Result, failed_calls, message, status
from pyswarmopt.driver.search import Reasons, Search
from pyswarmopt.driver.start import check_value
from pyswarmopt.hybrid.box import UnitBox
from pyswarmopt.hybrid.memetic import MODELLED_DIM, MODELLED_NUMBERS

MAX_EVALS = 10_000
# evaluations per particle; with constraints more particles see more of the feasible region
PARTICLE_SHARE = 25
CONSTRAINED_SHARE = 10
PARTICLES = (10, 100)  # default population, at least and at most
MODELLED = 200  # evaluations of points that the models propose
AT_ONCE = 5  # points proposed by the models at a time
FIRST = 2  # points per parameter before the first model, plus one


@dataclass(frozen=True, repr=False, eq=False)
class MultiResult(Result):
    """The front found by a search; fields that are not listed are those of `Result`.

    Attributes:
        x: (K, D) float64, all points seen that no other dominates; without a feasible point, the one
            that breaks the constraints least.
        fun: (K, M) their objectives, sorted by the first; infinite without a feasible point.
        success: whether a feasible point with finite objectives was found.
        maxcv: the largest amount by which a point breaks a constraint; an equality counts as met
            within ``equality_tolerance``.
        params: with ``space=``, the parameters of each point by name; else None.
        algorithm: what ran: "sms-ego, smpso" (Ponweiser et al. 2008, then Nebro et al. 2009), or "smpso" with
            more than 20 parameters.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], max_evals=300, seed=1)
        >>> r.fun.shape[1], len(r.x) == len(r.fun)
        (2, True)
    """

    fun: Any
    params: Any = None

    def to_pandas(self) -> Any:
        """The front as a `pandas.DataFrame`: a row for each point, a column for each coordinate or
        parameter and each objective, fun0, fun1, ...
        """
        import pandas as pd

        points = self.params or [{f"x{i}": n for i, n in enumerate(x)} for x in self.x.tolist()]
        values = pd.DataFrame(self.fun).add_prefix("fun")
        return pd.DataFrame(points).join(values)

    def hypervolume(self, reference: npt.ArrayLike) -> float:
        """The volume dominated by the front, up to `reference`, (M,); see
        `pyswarmopt.pareto.hypervolume`.
        """
        return hypervolume(self.fun, reference)


@answered(Arguments)
def minimize_multi(
    fun: Objective,
    bounds: Any = None,
    n_objectives: int = 2,
    population: int | None = None,
    **options: Unpack[Arguments],
) -> MultiResult:
    """Find points of a box that are best in several objectives, each in its own way (a Pareto
    front).

    Up to 20 parameters, Gaussian processes propose the first 200 points (in the manner of SMS-EGO:
    Ponweiser, Wagner, Biermann & Vincze 2008, PPSN X). SMPSO goes on from there (Nebro, Durillo,
    Garcia-Nieto, Coello Coello, Luna & Alba 2009, IEEE MCDM).

    Args:
        fun: ``(D,) -> (M,)`` or ``(m, D) -> (m, M)``, all M to be minimised: negate what should be
            large. A point with a value that is not finite is never kept.
        bounds: as in `pyswarmopt.minimize`. Either this or `space`.
        n_objectives: M.
        population: particles, by default a 25th of `max_evals`, with constraints a tenth, from 10 to
            100; and points that the processes propose at a time, by default 5.
        max_evals: the most calls of `fun`, and of points that break a constraint.
        seed: as in `pyswarmopt.minimize`.
        workers: as in `pyswarmopt.minimize`, and so are `vectorized`, `on_error`, `integrality`,
            `constraints` and `categorical`.
        vectorized: whether `fun` takes (m, D).
        callback: called with the front so far after each iteration; return True, or raise
            StopIteration, to stop.
        x0: starting points, (D,) or (n, D).
        on_error: what to do when `fun` raises.
        integrality: mask of the integers.
        constraints: see `pyswarmopt.driver.problem.constraints`.
        categorical: mask of the categories.
        checkpoint: as in `pyswarmopt.minimize`.
        space: parameters by name, as in `pyswarmopt.minimize`; `MultiResult.params` has those of
            the front.
        equality_tolerance: by how much an equality may be missed.
        timeout: as in `pyswarmopt.minimize`.

    Returns:
        The points of the front, and how they were found.

    Raises:
        TypeError: see `pyswarmopt.driver.problem.space.Space`.
        ValueError: arguments that do not make sense or do not fit the checkpoint.
        Exception: whatever `fun` raises, if `on_error` says so; its attribute `result` is the front
            so far.

    Example:
        Close to 0 and close to 2, which no x can be at once:

        >>> r = minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], 2, max_evals=2000, seed=1)
        >>> bool((r.x > -0.1).all() and (r.x < 2.1).all()), round(r.hypervolume([4, 4]), 1)
        (True, 13.3)

        Parameters by name:

        >>> space = {"rate": (0.0, 1.0), "kind": ["a", "b"]}
        >>> r = minimize_multi(lambda rate, kind: [rate, (kind == "b") - rate], space=space, max_evals=500, seed=1)
        >>> {params["kind"] for params in r.params}
        {'a'}
    """

    given = Options(fun, bounds, population=population, **options)
    found: MultiResult = FrontSearch(given, as_count("n_objectives", n_objectives, 1)).run()
    return found


class FrontJudge(Judge):
    """As `Judge`, for a swarm that keeps its best points itself."""

    def draft(self, x: Floats) -> Evaluated:
        missing = np.full(self._search.objectives, math.nan)
        return super().draft(x)._replace(cost=missing)

    def read(self, draft: Evaluated, value: Value | None) -> Evaluated:
        if value is None:
            return draft._replace(counts=False)
        return draft._replace(cost=np.broadcast_to(value, self._search.objectives))

    def tell(self, positions: Any, judged: Sequence[Evaluated]) -> None:
        self._search.tell(judged)
        self.keep(judged)

    def tell_one(self, ticket: Ticket, judged: Evaluated) -> None:
        self._search.tell_one(ticket, judged)
        self.keep([judged])

    def take_in(self, judged: Evaluated) -> None:
        self.salvage([judged])

    def salvage(self, judged: Sequence[Evaluated]) -> None:
        points = np.array([each.x for each in judged])
        self._search.take_in(self._coding.encode(points), judged)
        self.keep(judged)

    def keep(self, judged: Sequence[Evaluated]) -> None:
        self.calls = self._evaluator.calls

    def _best_position(self) -> Floats:
        return self._coding.low


class FrontSearch(Search):
    """One search for a front; all options are checked before the first evaluation."""

    _swarm: MultiSwarm

    def __init__(self, arguments: Options, objectives: int, told: bool = False) -> None:
        self._objectives = objectives
        for name in ("target", "known", "patience", "recipe", "noisy", "max_iter", "progress"):
            if getattr(arguments, name) is not getattr(Options, name):
                raise ValueError(f"{name}= is for one objective; a front has none")
        super().__init__(arguments, told=told)

    def _make(self) -> dict[str, Any]:
        problem = self.problem
        if problem.constraints.returned:
            raise ValueError(
                "constraints='returned': with several objectives they are functions, at most 0 "
                "where x is allowed"
            )
        limit = self._options.max_evals or MAX_EVALS
        self._options = options = replace(self._options, max_evals=limit)
        deadline = self._began + self._timeout
        self.evaluator = Evaluator(options, problem, limit, deadline, outputs=self._objectives)
        coding = problem.coding
        bounds = coding.bounds()
        start = bounds[0][None][:0] if problem.start is None else problem.start
        share = CONSTRAINED_SHARE if problem.constraints else PARTICLE_SHARE
        usual = max(int(np.clip(limit // share, *PARTICLES)), len(start))
        population = options.population or usual
        model = None
        self._algorithm = "smpso"
        if coding.kinds.count <= MODELLED_DIM and coding.size <= MODELLED_NUMBERS:
            kinds = coding.kinds.of(UnitBox(*bounds).free)
            last = min(limit, MODELLED)
            first = min(FIRST * kinds.count + 1, max(last // 4, 1))
            model = FrontProposals(kinds, first, last, options.population or AT_ONCE)
            self._algorithm = "sms-ego, smpso"
        self._swarm = MultiSwarm(bounds, population, self._objectives, options.seed, start, model)
        self._judge = FrontJudge(self._swarm, problem, self.evaluator)
        self._history = History("particles", problem.space, self._objectives)
        self._phased = False
        return {
            "objectives": self._objectives,
            "population": population,
            "recipe": self._algorithm,
        }

    def _front(self) -> tuple[Floats, Floats]:
        """Points that none dominates, (K, D), and their objectives, (K, M), sorted."""
        x, values = self._history.evaluated()
        if not len(x):
            return np.empty((0, self.problem.dim)), np.empty((0, self._objectives))
        values, first = np.unique(values, axis=0, return_index=True)
        best = non_dominated(values)
        return x[first[best]], values[best]

    def _result(self, stop: Reasons, final: bool = False) -> MultiResult:
        problem = self.problem
        space = problem.space
        x, values = self._front()
        broken = [record for record in self._history if record.violation > 0]
        if broken and not len(x):
            x = min(broken, key=lambda record: record.violation).x[None]
            values = np.full((1, self._objectives), math.inf)
        breaches = [problem.constraints.breach(point, math.inf) for point in x]
        worst = max(breaches, key=lambda b: (not b.feasible, b.most), default=Breach(0.0, True, ""))
        found = len(x) > 0 and worst.feasible
        failures = dict(self.evaluator.failures)
        return MultiResult(
            x=x,
            fun=values,
            nfev=self.evaluator.calls,
            nit=self._swarm.iteration,
            success=found and not stop.keys() & {INTERRUPTED, FAILED},
            message=message(stop, found, worst) + failed_calls(failures, self.evaluator.calls),
            stop=stop,
            history=self._history,
            maxcv=worst.most,
            algorithm=self._algorithm,
            params=None if space is None else [space.decode(point) for point in x],
            space=space,
            feasible=worst.feasible,
            seed=self._options.seed if isinstance(self._options.seed, int) else None,
            status=status(stop, found, worst.feasible),
            failures=failures,
        )

    def _check_objective(self, path: Path) -> None:
        """Evaluate a point of the front once more."""
        x, values = self._front()
        if len(x):
            scale = np.abs(values).max(axis=0)
            check_value(path, values[0], self.evaluator.recheck(x[0]), scale)


__all__ = ["MultiResult", "minimize_multi"]
