"""One search, behind `minimize` and `maximize`: ask, decode, evaluate, tell, write down."""

from __future__ import annotations

import logging
import math
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base import checkpoint as checkpoints
from pyswarmopt.driver.algorithm import (
    Problem,
    algorithm,
    make_optimizer,
    name_of,
    useful_starts,
    warn_of_idle_workers,
)  # fmt: skip
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.history import History
from pyswarmopt.driver.judge import ByAmounts, ByOrder, Judged
from pyswarmopt.driver.loop import Loop, Reasons, describe
from pyswarmopt.driver.options import Options, in_coordinates
from pyswarmopt.driver.problem.constraints import Constraints
from pyswarmopt.driver.problem.encoding import check_inside, make_coding
from pyswarmopt.driver.resampling import FINAL_DRAWS, FINAL_SHARE, ByMeans
from pyswarmopt.driver.result import FAILED, INTERRUPTED, TIMEOUT, Result, message
from pyswarmopt.driver.start import ROUNDING, check_value, starting_points
from pyswarmopt.hybrid.constrained import ConstrainedSearch
from pyswarmopt.hybrid.search import PhasedSearch
from pyswarmopt.parts.bounds import read_bounds

if TYPE_CHECKING:
    from pyswarmopt.swarm import Swarm

LOGGER = logging.getLogger("pyswarmopt")
CONFIRMED_FROM = 50  # evaluations of which one is for the result once more
BAR = 20  # signs in the progress bar


class Search(Loop[Result]):
    """One search; all options are checked before the first evaluation.

    Raises:
        ValueError: options that do not make sense.
    """

    _swarm: Swarm | PhasedSearch

    def __init__(self, arguments: Options, maximize: bool = False) -> None:
        options, self._space = in_coordinates(arguments)
        self._checkpoint = (
            None if options.checkpoint is None else checkpoints.place(options.checkpoint)
        )
        start = None if options.x0 is None else starting_points(options.x0, useful_starts(options))
        bounds = read_bounds(options.bounds, None if start is None else start.shape[1])
        dim = len(bounds[0])
        if start is not None:
            check_inside(start, *bounds)
        self._constraints = Constraints(options.constraints, dim)
        self._coding = make_coding(bounds, options.integrality, options.categorical)
        problem = Problem(self._coding, self._constraints, self._space)
        recipe = algorithm(options, problem)
        self._algorithm = name_of(recipe)
        limited = (
            options.max_iter is not None
            or options.timeout is not None
            or (recipe is not None and recipe.stop)
        )
        if options.max_evals is None and not limited:
            options = replace(options, max_evals=1000 * dim)
        self._options, self._callback = options, options.callback
        self._max_evals, self._target = options.max_evals, options.target
        # costs are lower for better
        self._maximize, self._sign = maximize, -1.0 if maximize else 1.0
        self._began = time.monotonic()
        self._timeout = math.inf if options.timeout is None else options.timeout
        granularity = "iteration" if options.history is None else options.history
        self._history = History(granularity, space=self._space)
        limit, reserve = math.inf if self._max_evals is None else self._max_evals, None
        if options.noisy and self._max_evals is not None:
            reserve = 2 * min(self._max_evals // FINAL_SHARE, FINAL_DRAWS)
            limit -= reserve
        self._evaluator = Evaluator(
            options.fun, options.vectorized, options.workers, options.on_error, limit
        )
        # not of a recipe by name: the last iteration of a swarm would be cut
        self._evaluator.confirms = recipe is None and limit >= CONFIRMED_FROM
        self._evaluator.limit_time(self._began + self._timeout, options.evaluation_timeout)
        if self._space is not None:
            self._evaluator.tensors = False  # known, like vectorized: no trial is needed
        self._swarm = make_optimizer(options, problem, recipe, start, maximize)
        if isinstance(self._swarm, PhasedSearch):
            population = options.population
            warn_of_idle_workers(self._swarm, options, self._evaluator.workers.count)
        else:
            population = len(self._swarm.positions)
        self._judge = self._make_judge(reserve)
        self._problem = {
            **describe(
                self._coding, bounds, start, options.seed, bool(self._constraints), self._space
            ),
            "recipe": self._algorithm,
            "population": population,
            "maximize": maximize,
            "noisy": options.noisy,
        }

    def _make_judge(self, reserve: int | None) -> ByOrder:
        given = self._swarm, self._constraints, self._evaluator, self._coding, self._sign
        if self._options.noisy:
            return ByMeans(*given, target=self._target, reserve=reserve)
        by_amounts = isinstance(self._swarm, ConstrainedSearch)
        return ByAmounts(*given) if by_amounts else ByOrder(*given)

    # ---- the loop ----

    def _iterate(self) -> None:
        x = self._swarm.ask()
        points = self._coding.decode(np.asarray(x))
        judged = self._judge.judge(points)
        self._judge.tell(x, points, judged)
        values = np.where(judged.valued, self._sign * judged.costs, math.nan)
        iteration, best = self._swarm.iteration, self._judge.value
        calls, evaluated = self._evaluator.calls, judged.evaluated
        self._history.add(iteration, calls, best, values, points, evaluated)
        self._write_down()

    def _reasons(self) -> Reasons:
        reasons = self._swarm.stop()
        if self._elapsed() >= self._timeout:
            reasons[TIMEOUT] = self._elapsed()
        if self._max_evals is not None and self._evaluator.left == 0:
            reasons["max_evals"] = self._max_evals
        if self._target is not None:
            reasons |= self._judge.reached(self._target)
        return reasons

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _show_progress(self, end: str = "") -> None:
        if self._options.progress:
            best = f"evaluations {self._evaluator.calls}  best {self._judge.value:.6g}"
            sys.stderr.write(f"\r{_bar(self._share(), self._elapsed()) + best:<78}{end}")
            sys.stderr.flush()

    def _share(self) -> float:
        """How much of the limit that comes first has been used, from 0 to 1."""
        shares = [self._elapsed() / self._timeout]
        if self._max_evals is not None:
            shares.append((self._evaluator.calls + self._evaluator.skipped) / self._max_evals)
        if self._options.max_iter:
            shares.append(self._swarm.iteration / self._options.max_iter)
        return min(max(shares), 1.0)

    # ---- the result ----

    def _result(self, stop: Reasons, final: bool = False) -> Result:
        judge = self._judge
        if final:
            judge.choose()
        x = judge.found.best.x
        maxcv, feasible = self._constraints.breach(x)
        worth = (
            judge.final_worth(feasible, self._history.first_value())
            if final
            else judge.worth(feasible)
        )
        fun = worth.fun
        result = Result(
            x=x,
            fun=fun,
            nfev=self._evaluator.calls,
            nit=self._swarm.iteration,
            success=math.isfinite(fun) and feasible and self._succeeded(stop, fun),
            message=message(stop, fun, feasible, maxcv) + worth.note,
            stop=stop,
            history=self._history,
            fun_stderr=worth.stderr,
            n_best=worth.n,
            maxcv=maxcv,
            algorithm=self._algorithm,
            params=None if self._space is None else self._space.decode(x),
            space=self._space,
            maximize=self._maximize,
            feasible=feasible,
        )
        if final:
            best = f"best {fun:.6g} after {result.nfev} evaluations"
            LOGGER.info("%s: %s; %s", result.algorithm, result.message, best)
        return result

    def _succeeded(self, stop: Reasons, fun: float) -> bool:
        """Whether the search ended by itself, at the target if there is one, as far as `fun`, the
        value there now, bears that out.
        """
        if self._target is None:
            return not stop.keys() & {INTERRUPTED, FAILED}
        missed = self._sign * (fun - self._target) > ROUNDING * abs(self._target)
        return "target" in stop and not (missed and not self._judge.noisy)

    def _failed(self) -> Result:
        unreported = self._evaluator.unreported
        if unreported is None or self._judge.noisy:
            return super()._failed()
        points, values = unreported
        finite = np.isfinite(values)
        violations = self._constraints.excess(points).sum(axis=1)
        self._judge.keep(points, Judged(self._sign * values, violations, finite))
        result, number = super()._failed(), self._swarm.iteration + int(self._swarm.evaluations > 0)
        if finite.any():
            self._history.add(number, result.nfev, result.fun, values, points, finite)
        return result

    # ---- saving ----

    def _saved(self) -> tuple[Any, ...]:
        return self._swarm, self._evaluator, self._history, self._judge

    def _check_objective(self, path: Path) -> None:
        """Evaluate the best point once more: the objective, or a constraint, may be another one.

        Not under noise, where another value says nothing.
        """
        best, value = self._judge.found.best, self._judge.value
        violation = float(self._constraints.excess(best.x[None]).sum())
        if best.violation > 0 or violation > 0:
            check_value(path, best.violation, violation, 0.0, "constraints were broken by")
        elif math.isfinite(value) and not self._judge.noisy:
            check_value(path, value, self._evaluator.again(best.x), self._history.first_value())

    @property
    def _found_after(self) -> int:
        return self._judge.found.calls


def _bar(share: float, elapsed: float) -> str:
    """Progress as a bar with the share done and the time left."""
    done = int(BAR * share)
    left = str(timedelta(seconds=round(elapsed / share - elapsed))) if share else "?"
    return f"[{'#' * done}{'.' * (BAR - done)}] {share:4.0%}  {left} left  "
