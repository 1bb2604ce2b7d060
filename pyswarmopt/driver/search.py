"""One search, the loop behind `minimize` and `maximize`: ask, decode, evaluate, tell, write
down.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base import checkpoint as checkpoints
from pyswarmopt.base.arrays import Bools, Floats
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
from pyswarmopt.driver.options import Options, in_coordinates
from pyswarmopt.driver.problem.constraints import INFEASIBLE, Constraints
from pyswarmopt.driver.problem.encoding import check_inside, make_coding
from pyswarmopt.driver.problem.feasibility import ByAmounts, ByOrder, Incumbent, Judged, judge_for
from pyswarmopt.driver.resampling import Resampler
from pyswarmopt.driver.result import (
    FAILED,
    INTERRUPTED,
    TIMEOUT,
    Result,
    keep_in,
    message,
    wants_to_stop,
)
from pyswarmopt.driver.start import ROUNDING, check_value, same_but_rounding, starting_points
from pyswarmopt.hybrid.search import PhasedSearch
from pyswarmopt.parts.bounds import read_bounds

if TYPE_CHECKING:
    from pyswarmopt.swarm import Swarm

NOISE = (
    "; fun gave {:.6g} at x and {:.6g} when it was called there again, so it has noise and its least "
    "value is luck: say noisy=True"
)
LOGGER = logging.getLogger("pyswarmopt")
# the most evaluations with which a noisy search chooses its result, and with which it reports it
FINAL_DRAWS = 100
FINAL_SHARE = 10  # of this many evaluations one
CONFIRMED_FROM = 50  # evaluations of which one is for the result once more
BAR = 20  # signs in the progress bar


class Search:
    """One search; all options are checked before the first evaluation.

    Raises:
        ValueError: options that do not make sense.
    """

    _swarm: Swarm | PhasedSearch
    _judge: ByOrder | ByAmounts

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
        self._options, self._max_evals, self._target = options, options.max_evals, options.target
        # costs are lower for better
        self._maximize, self._sign = maximize, -1.0 if maximize else 1.0
        self._began, self._timeout = (
            time.monotonic(),
            math.inf if options.timeout is None else options.timeout,
        )
        granularity = "iteration" if options.history is None else options.history
        self._history = History(granularity, space=self._space)
        self._reserve = 0
        if options.noisy and self._max_evals:
            self._reserve = 2 * min(self._max_evals // FINAL_SHARE, FINAL_DRAWS)
        limit = math.inf if self._max_evals is None else self._max_evals - self._reserve
        self._evaluator = Evaluator(
            options.fun, options.vectorized, options.workers, options.on_error, limit
        )
        # not of a recipe by name: the last iteration of a swarm would be cut
        self._evaluator.confirms = recipe is None and limit >= CONFIRMED_FROM
        self._evaluator.limit_time(self._began + self._timeout, options.evaluation_timeout)
        if self._space is not None:
            self._evaluator.tensors = False  # known, like vectorized: no trial is needed
        self._swarm = make_optimizer(options, problem, recipe, start, maximize)
        if isinstance(self._swarm, PhasedSearch):  # sees to noise itself
            self._resampler = None
            warn_of_idle_workers(self._swarm, options, self._evaluator.workers.count)
        else:
            swarm = self._swarm
            self._resampler = (
                Resampler(swarm, self._draw, self._coding.decode, maximize)
                if options.noisy
                else None
            )
        self._judge = judge_for(self._swarm, self._constraints, self._draw)
        self._incumbent: Incumbent | None = None
        self._look()
        self._problem = self._describe(bounds, start)

    def _describe(self, bounds: tuple[Floats, Floats], start: Floats | None) -> dict[str, Any]:
        """What a checkpoint must have been written for, so that the search can go on from it."""
        options, swarm = self._options, self._swarm
        return {
            "bounds": [side.tolist() for side in bounds],
            "recipe": self._algorithm,
            "population": options.population
            if isinstance(swarm, PhasedSearch)
            else len(swarm.positions),
            "maximize": self._maximize,
            "seed": options.seed,
            "x0": None if start is None else start.tolist(),
            "integrality": self._coding.integers.tolist(),
            "categorical": self._coding.categories.tolist(),
            "constraints": bool(self._constraints),
            "noisy": options.noisy,
            **({} if self._space is None else {"space": self._space.describe()}),
        }

    # ---- the loop ----

    def run(self) -> Result:
        """Search until there is a reason to stop; Ctrl-C is one."""
        try:
            return self._run()
        except KeyboardInterrupt:
            if self._options.progress:
                sys.stderr.write("\n")
            self._evaluator.calls = self._counted  # what the result rests on, and the checkpoint
            return self._result({INTERRUPTED: 1.0}, final=False)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Have an exception take the result so far with it."""
        try:
            yield
        except Exception as error:
            if self._evaluator.calls:
                keep_in(error, self._rescued())
            raise

    def _rescued(self) -> Result:
        """The result so far, with what the iteration that an exception ended has evaluated."""
        result = self._result({FAILED: 1.0}, final=False)
        if self._evaluator.unreported is None or self._resampler is not None:
            return result
        points, values = self._evaluator.unreported
        finite = np.flatnonzero(np.isfinite(values))
        if not len(finite):
            return result
        points, values = points[finite], values[finite]
        result = self._with_better(result, points, values)
        number = self._swarm.iteration + int(self._swarm.evaluations > 0)
        self._history.add(number, result.nfev, result.fun, values, points, particles=finite)
        return result

    def _with_better(self, result: Result, points: Floats, values: Floats) -> Result:
        """The result, or that of the best of these points, (m, D), if it is better."""
        broken = self._constraints.excess(points).sum(axis=1) > 0
        costs = np.where(broken, math.inf, self._sign * values)
        i = int(costs.argmin())
        best = self._sign * result.fun if result.feasible else math.inf
        if not costs[i] < best:
            return result
        x, fun = points[i], float(values[i])
        return replace(
            result,
            x=x,
            fun=fun,
            message=message(result.stop, fun, True, 0.0),
            params=None if self._space is None else self._space.decode(x),
            maxcv=self._constraints.breach(x)[0],
            feasible=True,
        )

    def _run(self) -> Result:
        if self._checkpoint is not None and os.path.lexists(self._checkpoint):
            self._resume(self._checkpoint)
        with self._kept(), self._evaluator.workers:
            stop, callback = self._reasons(), self._options.callback
            while not stop:
                self._iterate()
                stop = self._reasons()
                if callback is not None and wants_to_stop(
                    callback, self._result(stop, final=False)
                ):
                    stop = {**stop, "callback": 1.0}
            stop = self._finish(stop)
            result = self._result(stop, final=True)
            self._show_progress(result.nit)
            if self._options.progress:
                sys.stderr.write("\n")
            best = f"best {result.fun:.6g} after {result.nfev} evaluations"
            LOGGER.info("%s: %s; %s", result.algorithm, result.message, best)
            return result

    def _iterate(self) -> None:
        swarm = self._swarm
        x = swarm.ask()
        points = self._coding.decode(np.asarray(x))
        judged = self._judge.judge(points)
        self._evaluator.skipped += judged.skipped
        valued = judged.evaluated & (judged.violations == 0)
        if self._resampler is not None:
            judged = judged._replace(costs=self._resampler.judge(points, judged.costs, valued))
        self._judge.tell(x, judged, self._sign)
        if self._resampler is not None:
            if self._target is not None:
                self._resampler.decide(self._sign * self._target)
            self._resampler.forget()
        self._remember(points, judged)
        values = np.where(valued, self._sign * judged.costs, math.nan)
        best, evaluated = self._best_value(), judged.evaluated
        self._history.add(swarm.iteration, self._evaluator.calls, best, values, points, evaluated)
        self._write_down(swarm.iteration)

    def _write_down(self, iteration: int) -> None:
        """What is on disk and on the screen after an iteration."""
        if self._checkpoint is not None:
            self._save(self._checkpoint)
        self._show_progress(iteration)

    def _show_progress(self, iteration: int) -> None:
        if self._options.progress:
            best = f"evaluations {self._evaluator.calls}  best {self._best_value():.6g}"
            sys.stderr.write(f"\r{_bar(self._share(iteration), self._elapsed()) + best:<78}")
            sys.stderr.flush()

    def _share(self, iteration: int) -> float:
        """How much of the limit that comes first has been used, from 0 to 1."""
        shares = [self._elapsed() / self._timeout]
        if self._max_evals is not None:
            shares.append((self._evaluator.calls + self._evaluator.skipped) / self._max_evals)
        if self._options.max_iter:
            shares.append(iteration / self._options.max_iter)
        return min(max(shares), 1.0)

    def _finish(self, stop: dict[str, float]) -> dict[str, float]:
        """Wait for what is still under way; the reasons to stop as they are after that."""
        return stop

    def _draw(self, points: Floats) -> tuple[Floats, Bools]:
        values, evaluated = self._evaluator(points)
        return self._sign * values, evaluated

    def _reasons(self) -> dict[str, float]:
        reasons = self._swarm.stop()
        if self._elapsed() >= self._timeout:
            reasons[TIMEOUT] = self._elapsed()
        evaluator = self._evaluator
        if self._max_evals is not None and evaluator.left == 0:
            spent = evaluator.calls + evaluator.skipped + self._reserve + evaluator.kept_back
            reasons["max_evals"] = min(spent, self._max_evals)
        x, noise, target = self._best.x, self._resampler, self._target
        if noise is not None and target is not None and noise.reaches(x, self._sign * target):
            reasons["target"] = self._sign * noise.sample(x).mean
        return reasons

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    # ---- what was found ----

    def _remember(self, points: Floats, judged: Judged) -> None:
        """Keep the best of all points, and of those that were judged now, (n, D); under noise the
        swarm says which.
        """
        latest = Incumbent.among(points, judged) if self._resampler is None else None
        if latest is not None and latest.beats(self._incumbent):
            self._incumbent = latest
        self._look()

    def _look(self) -> None:
        """Keep the best and what it cost: an interrupt may come while the swarm changes."""
        self._best = self._of_swarm() if self._incumbent is None else self._incumbent
        self._counted = self._evaluator.calls

    def _of_swarm(self) -> Incumbent:
        """The best point as the swarm knows it."""
        best = self._swarm.best
        x, cost = self._coding.decode(np.asarray(best.x)[None])[0], self._sign * best.value
        if self._constraints and cost > INFEASIBLE:
            return Incumbent(x, math.nan, float(self._constraints.excess(x[None]).sum()))
        return Incumbent(x, cost, 0.0)

    def _best_value(self) -> float:
        """The best value of a feasible point, infinitely bad if there is none."""
        counts = self._best.violation == 0 and math.isfinite(self._best.cost)
        return self._sign * (self._best.cost if counts else math.inf)

    def _result(self, stop: dict[str, float], final: bool) -> Result:
        if self._resampler is not None and final:
            draws = self._final_draws()
            self._evaluator.max_evals += self._reserve
            self._resampler.settle(draws)
            self._look()
        x, fun, stderr, n = self._best.x, self._best_value(), 0.0, 1
        maxcv, feasible = self._constraints.breach(x)
        noise = ""
        if self._resampler is not None and feasible:
            sample = (
                self._resampler.fresh(x, self._final_draws())
                if final
                else self._resampler.sample(x)
            )
            fun, stderr, n = self._sign * sample.mean if sample.n else fun, sample.stderr, sample.n
        elif final:
            cost = self._best.cost
            value = self._sign * cost if math.isfinite(cost) else fun
            fun = self._evaluator.confirm(x, value, known=not math.isnan(cost))
            scale = self._history.first_value()
            if math.isfinite(cost) and not same_but_rounding(value, fun, scale):
                noise = NOISE.format(value, fun)
        return Result(
            x=x,
            fun=fun,
            nfev=self._evaluator.calls,
            nit=self._swarm.iteration,
            success=math.isfinite(fun) and feasible and self._succeeded(stop, fun),
            message=message(stop, fun, feasible, maxcv) + noise,
            stop=stop,
            history=self._history,
            fun_stderr=stderr,
            n_best=n,
            maxcv=maxcv,
            algorithm=self._algorithm,
            params=None if self._space is None else self._space.decode(x),
            space=self._space,
            maximize=self._maximize,
            feasible=feasible,
        )

    def _succeeded(self, stop: dict[str, float], fun: float) -> bool:
        """Whether the search ended by itself, at the target if there is one, as far as `fun`, the
        value there now, bears that out.
        """
        if self._target is None:
            return not stop.keys() & {INTERRUPTED, FAILED}
        missed = self._sign * (fun - self._target) > ROUNDING * abs(self._target)
        short = missed and self._resampler is None
        return "target" in stop and not short

    def _final_draws(self) -> int:
        return (
            self._reserve // 2
            if self._max_evals
            else min(max(self._evaluator.calls // 10, 2), FINAL_DRAWS)
        )

    # ---- saving ----

    def _save(self, path: Path) -> None:
        state = {
            **self._swarm.state_dict(),
            **self._evaluator.state_dict(),
            **self._history.state_dict(),
        }
        if self._resampler is not None:
            state |= self._resampler.state_dict()
        if self._incumbent is not None:
            state |= self._incumbent.state_dict()
        checkpoints.write(path, {**state, "problem": json.dumps(self._problem)})

    def _resume(self, path: Path) -> None:
        saved = checkpoints.read_search(path, self._problem)
        with checkpoints.taking_over(path):
            self._restore(saved)
            self._look()
        self._check_objective(path)

    def _check_objective(self, path: Path) -> None:
        """Evaluate the best point once more: the objective, or a constraint, may be another one.

        Not under noise, where another value says nothing.
        """
        x, value, before = self._best.x, self._best_value(), self._best.violation
        violation = float(self._constraints.excess(x[None]).sum())
        if before > 0 or violation > 0:
            check_value(path, before, violation, 0.0, "constraints were broken by")
        elif math.isfinite(value) and self._resampler is None:
            check_value(path, value, self._evaluator.again(x), self._history.first_value())

    def _restore(self, saved: dict[str, Any]) -> None:
        self._swarm.load_state_dict(saved)
        self._evaluator.load_state_dict(saved)
        self._history.load_state_dict(saved)
        if self._resampler is not None:
            self._resampler.load_state_dict(saved)
            return
        self._incumbent = Incumbent.from_state(saved)


def _bar(share: float, elapsed: float) -> str:
    """Progress as a bar with the share done and the time left."""
    done = int(BAR * share)
    left = str(timedelta(seconds=round(elapsed / share - elapsed))) if share else "?"
    return f"[{'#' * done}{'.' * (BAR - done)}] {share:4.0%}  {left} left  "
