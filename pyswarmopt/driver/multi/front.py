"""`minimize_multi`: the Pareto front of several objectives in one call; and the search behind it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import as_count
from pyswarmopt.base.spelling import suggesting
from pyswarmopt.driver.algorithm import phased_search
from pyswarmopt.driver.call import Objective, OnError, Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.history import History, imported_pandas
from pyswarmopt.driver.judge import Evaluated, Found, RowJudge, TakesRows, check_value
from pyswarmopt.driver.multi.pareto import non_dominated
from pyswarmopt.driver.multi.smpso import FrontSwarm
from pyswarmopt.driver.options import Callback, Options, Problem, Start
from pyswarmopt.driver.problem.constraints import Breach
from pyswarmopt.driver.result import Result, lines
from pyswarmopt.driver.search import Search

if TYPE_CHECKING:
    from concurrent.futures import Executor

MAX_EVALS = 10_000
# evaluations per particle; with constraints more particles see more of the feasible region
PARTICLE_SHARE = 25
CONSTRAINED_SHARE = 10
SMPSO = "smpso"
MODELLED_SMPSO = "sms-ego, smpso"


@dataclass(frozen=True, repr=False, eq=False)
class MultiResult(Result):
    """The front found by a search. Fields not listed here are as in `pyswarmopt.Result`.

    Attributes:
        x: (K, D) float64, all evaluated points that no other dominates; without a feasible point,
            the one that violates the constraints least.
        fun: (K, M) their objectives, sorted by the first; infinite if no point is feasible.
        success: whether a feasible point with finite objectives was found.
        maxcv: 0, or the summed constraint violation of x if no point is feasible.
        params: with ``space=``, the parameters of each point by name; else None.
        algorithm: what ran: "sms-ego, smpso" (Ponweiser et al. 2008, then Nebro et al. 2009), or
            "smpso" with more than 20 parameters.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], max_evals=300, seed=1)
        >>> r.fun.shape[1], len(r.x) == len(r.fun)
        (2, True)
    """

    if TYPE_CHECKING:
        fun: Floats  # type: ignore[assignment]
        params: list[dict[str, Any]] | None  # type: ignore[assignment, misc]

    def to_pandas(self) -> Any:
        """The front as a `pandas.DataFrame`: a row for each point, a column for each coordinate or
        parameter, and a column for each objective: fun0, fun1, ...
        """
        pd = imported_pandas("to_pandas()")
        points = pd.DataFrame(self.x).add_prefix("x")
        if self.params is not None:
            points = pd.DataFrame(self.params)
        return points.join(pd.DataFrame(self.fun).add_prefix("fun"))

    def __repr__(self) -> str:
        return lines({name: self[name] for name in ("message", "status", "nfev", "x", "fun")})


@suggesting
def minimize_multi(
    fun: Objective,
    bounds: Any = None,
    n_objectives: int = 2,
    population: int | None = None,
    *,
    max_evals: int | None = None,
    seed: int | np.random.Generator | None = None,
    workers: int | Executor = 1,
    vectorized: bool = False,
    callback: Callback | None = None,
    x0: Start | None = None,
    on_error: OnError = "raise",
    integrality: npt.ArrayLike | None = None,
    constraints: Any = None,
    categorical: npt.ArrayLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    space: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> MultiResult:
    """Find the Pareto front of several objectives in a box.

    With up to 20 parameters, Gaussian processes propose the first 200 points (in the manner of
    SMS-EGO: Ponweiser, Wagner, Biermann & Vincze 2008, PPSN X). SMPSO continues from there (Nebro,
    Durillo, Garcia-Nieto, Coello Coello, Luna & Alba 2009, IEEE MCDM).

    Args:
        fun: ``(D,) -> (M,)`` or ``(m, D) -> (m, M)``, all M to be minimised: negate those to
            maximise. A point with a value that is not finite is never kept.
        bounds: as in `pyswarmopt.minimize`. Pass either this or `space`.
        n_objectives: M.
        population: number of particles, by default `max_evals` / 25 (or / 10 with constraints), but
            at least 10 and at most 100; also the number of points that the Gaussian processes
            propose at a time, by default 5.
        max_evals: the maximum number of calls of `fun`, including points that violate a constraint.
        seed: as in `pyswarmopt.minimize`.
        workers: as in `pyswarmopt.minimize`, which also describes `vectorized`, `on_error`,
            `integrality`, `constraints` and `categorical`.
        vectorized: whether `fun` takes (m, D).
        callback: called with the front so far after each iteration; return True, or raise
            StopIteration, to stop.
        x0: starting points, (D,) or (n, D).
        on_error: what to do when `fun` raises.
        integrality: mask of the integer coordinates.
        constraints: see `pyswarmopt.driver.problem.constraints`; with "returned", `fun` returns
            ``(values, constraints)``.
        categorical: mask of the categorical coordinates.
        checkpoint: as in `pyswarmopt.minimize`.
        space: parameters by name, as in `pyswarmopt.minimize`; `MultiResult.params` contains
            those of the front.
        timeout: as in `pyswarmopt.minimize`.

    Returns:
        The points of the front, and how they were found.

    Raises:
        TypeError: see `pyswarmopt.driver.problem.space.Space`.
        ValueError: arguments that are invalid or do not match the checkpoint.
        Exception: whatever `fun` raises, depending on `on_error`; its attribute `result` is the
            front so far.

    Example:
        A trade-off between being close to 0 and close to 2:

        >>> import pyswarmopt as pso
        >>> r = minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], 2, max_evals=2000, seed=1)
        >>> bool((r.x > -0.1).all() and (r.x < 2.1).all()), round(pso.pareto.hypervolume(r.fun, [4, 4]), 1)
        (True, 13.3)

        Parameters by name:

        >>> space = {"rate": (0.0, 1.0), "kind": ["a", "b"]}
        >>> r = minimize_multi(lambda rate, kind: [rate, (kind == "b") - rate], space=space, max_evals=500, seed=1)
        >>> {params["kind"] for params in r.params}
        {'a'}
    """

    given = Options(
        fun, bounds, population=population, max_evals=max_evals, seed=seed, workers=workers,
        vectorized=vectorized, callback=callback, x0=x0, on_error=on_error,
        integrality=integrality, constraints=constraints, categorical=categorical,
        checkpoint=checkpoint, space=space, timeout=timeout,
    )  # fmt: skip
    return FrontSearch(given, as_count("n_objectives", n_objectives, 1)).run()


class FrontJudge(RowJudge):
    """Like `Judge`, for a search whose best point is the one that violates the constraints least.

    Args:
        history: all points with their M objectives, of which the front is made.
        search: as in `Judge`.
        problem: as in `Judge`.
        evaluator: as in `Judge`.
    """

    def __init__(
        self, history: History, search: TakesRows, problem: Problem, evaluator: Evaluator
    ) -> None:
        self._objectives = history.objectives
        self._history = history
        super().__init__(search, problem, evaluator)

    def draft(self, x: Floats) -> Evaluated:
        return super().draft(x)._replace(cost=np.full(self._objectives, math.nan))

    def read(self, draft: Evaluated, value: Value | None) -> Evaluated:
        if value is None:
            return draft
        row = np.atleast_1d(value)
        if len(row) <= self._objectives:  # without constraints, or a call that failed
            violation = draft.violation
            if self._returned:
                violation = math.inf
            cost = np.broadcast_to(row, self._objectives)
            return draft._replace(cost=cost, violation=violation, counts=True)
        amounts = np.nan_to_num(row[self._objectives :], nan=math.inf, posinf=math.inf)
        violation = float(np.maximum(amounts, 0.0).sum())
        return draft._replace(cost=row[: self._objectives], violation=violation, counts=True)

    def _values(self, judged: Sequence[Evaluated]) -> Floats:
        """The violation of each point, (N,), infinite if objectives are missing."""
        violations = np.array([each.violation for each in judged])
        known = np.isfinite(self._rows(judged)).all(axis=1)
        return np.where(known | (violations > 0), violations, math.inf)

    def _rows(self, judged: Sequence[Evaluated]) -> Floats:
        """The objectives of each point, (N, M)."""
        rows = np.array([each.cost for each in judged])
        return np.where(np.isfinite(rows), rows, math.inf)

    def keep(self, judged: Sequence[Evaluated]) -> None:
        self.calls = self._evaluator.calls

    def front(self) -> tuple[Floats, Floats]:
        """Points that none dominates, (K, D), and their objectives, (K, M), sorted."""
        x, values = self._history.evaluated()
        values, first = np.unique(values, axis=0, return_index=True)
        best = non_dominated(values)
        return x.reshape(len(x), len(self.best.x))[first[best]], values[best]

    def found(self) -> Found:
        """The front so far; without a feasible point, the one that violates the constraints least."""
        x, values = self.front()
        violation = 0.0
        least = self._search.best.value
        if not len(x) and 0 < least < math.inf:
            x = self._best_position()[None]
            values = np.full((1, self._objectives), math.inf)
            violation = least
        return Found(x, values, Breach.of(np.array([violation]), np.zeros(1)))

    def final(self, scale: float) -> Found:
        return self.found()


class FrontSearch(Search[MultiResult]):
    """One search for a front; all options are checked before the first evaluation."""

    _result_type = MultiResult
    _algorithm = MODELLED_SMPSO
    _swarm: FrontSwarm
    _judge: FrontJudge

    def __init__(self, arguments: Options, objectives: int, told: bool = False) -> None:
        self._objectives = objectives
        for name in ("target", "known", "patience", "recipe"):
            if getattr(arguments, name) is not None:
                raise ValueError(f"{name}= is not supported with several objectives; omit it")
        limit = arguments.max_evals or MAX_EVALS
        given = replace(arguments, max_evals=limit, history="particles")
        super().__init__(given, told=told)

    def _make(self, maximize: bool) -> None:
        options = self._options
        self.evaluator = self._make_evaluator(confirms=False)
        self._history = self._make_history()
        share = PARTICLE_SHARE
        if self.problem.constraints:
            share = CONSTRAINED_SHARE
        kind = partial(FrontSwarm, share=share, objectives=self._objectives)
        self._swarm = phased_search(kind, options, self.problem, maximize)
        self._judge = FrontJudge(self._history, self._swarm, self.problem, self.evaluator)
        self._identity |= {
            "maximize": maximize,
            "noisy": options.noisy,
            "recipe": self._algorithm,
            "population": options.population,
            "objectives": self._objectives,
        }
        if not self._swarm.model.due():
            self._algorithm = SMPSO

    def _check_objective(self, path: Path) -> None:
        """Evaluate a point of the front once more."""
        x, values = self._judge.front()
        if len(x):
            scale = np.abs(values).max(axis=0)
            now = np.atleast_1d(self.evaluator.recheck(x[0]))[: self._objectives]
            check_value(path, values[0], now, scale)


__all__ = ["MultiResult", "minimize_multi"]
