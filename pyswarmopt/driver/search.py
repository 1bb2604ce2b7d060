"""One search, the loop behind `minimize` and `maximize`: ask, decode, evaluate, tell, write down."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base import checkpoint as checkpoints
from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.inputs import as_seed
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.history import History
from pyswarmopt.driver.options import (
    Options,
    Problem,
    Start,
    algorithm,
    in_coordinates,
    name_of,
    useful_starts,
)  # fmt: skip
from pyswarmopt.driver.problem.constraints import INFEASIBLE, Constraints
from pyswarmopt.driver.problem.encoding import Coding, check_inside, make_coding
from pyswarmopt.driver.problem.feasibility import ByAmounts, ByOrder, Incumbent, Judged, judge_for
from pyswarmopt.driver.problem.space import Real
from pyswarmopt.driver.resampling import Resampler, Sample
from pyswarmopt.driver.result import FAILED, INTERRUPTED, Result, keep_in, message, wants_to_stop
from pyswarmopt.driver.same_objective import check_mean, check_value, source_digest, warn_of_source
from pyswarmopt.hybrid.constrained.swarm import ConstrainedSearch
from pyswarmopt.hybrid.memetic import MemeticSearch
from pyswarmopt.hybrid.mixed import MixedSearch
from pyswarmopt.parts.bounds import read_bounds
from pyswarmopt.parts.stopping import MaxIter, MaxTime, StopRule, Target

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.swarm import Swarm

LOGGER = logging.getLogger("pyswarmopt")
FINAL_DRAWS = 100  # the most evaluations with which a noisy search chooses its result, and with which it reports it
FINAL_SHARE = 10  # of this many evaluations one
DECISIVE_DRAWS = 10  # without these a mean does not count as reaching the target
IDLE_SHARE = 10  # workers that wait during one of this many evaluations, or more, are warned of
BAR = 20  # signs in the progress bar
SURE_DRAWS = 30  # of a best that seems to reach it: of hundreds of bests some are lucky ten times


class Search:
    """One search; all options are checked before the first evaluation.

    Raises:
        ValueError: options that do not make sense.
    """

    _swarm: Swarm | MemeticSearch
    _judge: ByOrder | ByAmounts

    def __init__(self, given: Options) -> None:
        options, self._space = in_coordinates(given)
        self._checkpoint = None if options.checkpoint is None else checkpoints.place(options.checkpoint)
        start = None if options.x0 is None else _start(options.x0, useful_starts(options))
        bounds = read_bounds(options.bounds, None if start is None else start.shape[1])
        dim = len(bounds[0])
        if start is not None:
            check_inside(start, *bounds)
        self._constraints = Constraints(options.constraints, dim)
        self._coding = make_coding(bounds, options.integrality, options.categorical)
        whole = bool(self._coding.integers.any() or self._coding.categories.any())
        self._discrete = whole or (self._space is not None and self._space.discrete)
        self._smooth = self._smooth_coordinates()
        constrained, strict = bool(self._constraints), self._constraints.strict
        smooth = bool(self._smooth.any())
        problem = Problem(dim, self._coding.size, constrained, self._discrete, strict, smooth)
        recipe = algorithm(options, problem)
        self._algorithm = name_of(recipe)
        max_evals = options.max_evals
        limited = options.max_iter is not None or options.timeout is not None or (recipe is not None and recipe.stop)
        if max_evals is None and not limited:
            max_evals = 1000 * dim
        self._max_evals = max_evals
        self._target = options.target
        self._max_iter, self._maximize = options.max_iter, options.maximize
        self._began, self._timeout = time.monotonic(), math.inf if options.timeout is None else options.timeout
        self._callback = options.callback
        self._progress = options.progress
        self._sign = -1.0 if options.maximize else 1.0  # costs are lower for better
        self._history = History("iteration" if options.history is None else options.history)
        self._resampler = Resampler(self._coding.decode, options.maximize) if options.noisy else None
        self._reserve = 2 * min(max_evals // FINAL_SHARE, FINAL_DRAWS) if options.noisy and max_evals else 0
        limit = math.inf if max_evals is None else max_evals - self._reserve
        self._evaluator = Evaluator(options.fun, options.vectorized, options.workers, options.on_error, limit)
        self._evaluator.limit_time(self._began + self._timeout, options.evaluation_timeout)
        if self._space is not None:
            self._evaluator.tensors = False  # known, like vectorized: no trial is needed
        self._swarm = self._make_swarm(options, recipe, start)
        # What draws its particles again under noise; a memetic search sees to noise itself.
        self._particles = None if isinstance(self._swarm, MemeticSearch) else self._swarm
        self._judge = judge_for(self._swarm, self._constraints, self._draw)
        self._incumbent: Incumbent | None = None
        self._source = None if options.checkpoint is None else source_digest(given.fun)
        self._look()
        self._problem = self._describe(options, recipe, bounds, start)

    def _smooth_coordinates(self) -> Bools:
        """Mask of the swarm's coordinates, (M,), that are real numbers for the objective, too."""
        coding = self._coding
        real = ~(coding.integers | coding.categories)
        if self._space is not None:
            real &= [type(self._space.parameter(name)) is Real for name in self._space.names]
        smooth = np.zeros(coding.size, dtype=np.bool_)
        smooth[coding.first[real]] = True
        return smooth

    def _make_swarm(self, options: Options, recipe: Recipe | None, start: Floats | None) -> Swarm | MemeticSearch:
        # A single lucky draw must not count as the target, so a noisy search looks at means itself.
        target = None if options.noisy else options.target
        bounds, encoded = self._coding.bounds(), None if start is None else self._coding.encode(start)
        population = options.population
        if recipe is None:
            limits = self._max_evals, options.max_iter, target
            chosen = bounds, encoded, options.maximize, options.seed, *limits
            if self._constraints:
                return ConstrainedSearch(*chosen, population=population, smooth=self._smooth)
            search: MemeticSearch
            if self._discrete:
                levels, parameter = self._coding.levels, self._coding.parameter
                search = MixedSearch(*chosen, population=population, levels=levels, parameter=parameter)
            else:
                search = MemeticSearch(*chosen, population=population)
            if population is None:
                self._warn_of_idle_workers(search)
            return search
        from pyswarmopt.swarm import Swarm

        if start is not None:  # each of them is a particle
            population = max(recipe.population if population is None else population, len(start))
        return Swarm(
            bounds=bounds,
            population=population,
            positions=encoded,
            recipe=replace(recipe, stop=_stop_rules(recipe, options.max_iter, target)),
            maximize=options.maximize,
            seed=options.seed,
        )

    def _warn_of_idle_workers(self, search: MemeticSearch) -> None:
        workers = self._evaluator.workers.count
        one_by_one = search.modelled if search.modelling else 0
        if self._max_evals is not None and IDLE_SHARE * one_by_one < self._max_evals:
            return
        if workers > 1 and one_by_one:
            warnings.warn(
                f"{workers} workers, but the first {one_by_one} points are proposed one at a time, so {workers - 1} "
                f"wait; population={workers} proposes {workers} at a time, which is another search",
                stacklevel=7,
            )

    def _describe(
        self, options: Options, recipe: Recipe | None, bounds: tuple[Floats, Floats], start: Floats | None
    ) -> dict[str, Any]:
        """What a checkpoint must have been written for, so that the search can go on from it."""
        return {
            "bounds": [side.tolist() for side in bounds],
            "recipe": name_of(recipe),
            "population": options.population if self._particles is None else len(self._particles.positions),
            "maximize": options.maximize,
            "seed": as_seed(options.seed),
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
            if self._progress:
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
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            return result
        points, values = points[known], values[known]
        result = self._with_better(result, points, values)
        number = self._swarm.iteration + int(self._swarm.evaluations > 0)
        self._history.add(number, result.nfev, result.fun, values, points, particles=known)
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
            stop = self._reasons()
            while not stop:
                self._iterate()
                stop = self._reasons()
                if self._callback is not None and wants_to_stop(self._callback, self._result(stop, final=False)):
                    stop = {**stop, "callback": 1.0}
            stop = self._finish(stop)
            if self._progress:
                sys.stderr.write("\n")
            found = self._result(stop, final=True)
            best = f"best {found.fun:.6g} after {found.nfev} evaluations"
            LOGGER.info("%s: %s; %s", found.algorithm, found.message, best)
            return found

    def _iterate(self) -> None:
        swarm = self._swarm
        x = swarm.ask()
        points = self._coding.decode(np.asarray(x))
        judged = self._judge.judge(points)
        self._evaluator.skipped += judged.skipped
        valued = judged.evaluated & (judged.violations == 0)
        if self._resampler is not None and self._particles is not None:
            means = self._resampler.judge(self._particles, points, judged.costs, self._draw, valued)
            judged = judged._replace(costs=means)
        self._judge.tell(x, judged, self._sign)
        if self._resampler is not None and self._particles is not None:
            self._make_sure_of_target(self._particles, self._resampler)
            self._resampler.forget(self._particles)
        self._remember(points, judged)
        values = np.where(valued, self._sign * judged.costs, math.nan)
        best, evaluated = self._best_value(), judged.evaluated
        self._history.add(swarm.iteration, self._evaluator.calls, best, values, points, evaluated)
        self._write_down(swarm.iteration)

    def _make_sure_of_target(self, swarm: Swarm, resampler: Resampler) -> None:
        """Draw a best that seems to reach the target until that is decided: a small swarm draws none so often."""
        if self._target is None:
            return
        x = self._coding.decode(np.asarray(swarm.best.x)[None])[0]
        sample = resampler.sample(x)
        if sample.n and sample.mean <= self._sign * self._target:
            resampler.insist(swarm, self._draw, x, SURE_DRAWS)

    def _write_down(self, iteration: int) -> None:
        """What is on disk and on the screen after an iteration."""
        if self._checkpoint is not None:
            self._save(self._checkpoint)
        if self._progress:
            best = f"evaluations {self._evaluator.calls}  best {self._best_value():.6g}"
            sys.stderr.write(f"\r{_bar(self._share(iteration), self._elapsed()) + best:<78}")
            sys.stderr.flush()

    def _share(self, iteration: int) -> float:
        """How much of the limit that comes first has been used, from 0 to 1."""
        shares = [self._elapsed() / self._timeout]
        if self._max_evals is not None:
            shares.append((self._evaluator.calls + self._evaluator.skipped) / self._max_evals)
        if self._max_iter:
            shares.append(iteration / self._max_iter)
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
            reasons[MaxTime.reason] = self._elapsed()
        evaluator = self._evaluator
        if self._max_evals is not None and evaluator.left == 0:
            spent = evaluator.calls + evaluator.skipped + self._reserve + (1 if evaluator.vectorized else 0)
            reasons["max_evals"] = min(spent, self._max_evals)
        if self._resampler is not None and self._target is not None:
            sample = self._resampler.sample(self._best_point())
            # Two standard errors on the safe side.
            if sample.n >= DECISIVE_DRAWS and sample.mean + 2 * sample.stderr <= self._sign * self._target:
                reasons["target"] = self._sign * sample.mean
        return reasons

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    # ---- what was found ----

    def _remember(self, points: Floats, judged: Judged) -> None:
        """Keep the best of all points, and of those that were judged now, (n, D); under noise the swarm says which."""
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

    def _best_point(self) -> Floats:
        return self._best.x

    def _best_value(self) -> float:
        """The best value of a feasible point, infinitely bad if there is none."""
        known = self._best.violation == 0 and math.isfinite(self._best.cost)
        return self._sign * (self._best.cost if known else math.inf)

    def _result(self, stop: dict[str, float], final: bool) -> Result:
        if self._resampler is not None and final:
            self._settle(self._resampler)
        x, fun, stderr, n = self._best_point(), self._best_value(), 0.0, 1
        maxcv, feasible = self._constraints.breach(x)
        if self._resampler is not None and feasible:
            sample = self._final_sample(x, self._resampler) if final else self._resampler.sample(x)
            fun, stderr, n = self._sign * sample.mean if sample.n else fun, sample.stderr, sample.n
        elif final:
            cost = self._best.cost
            value = self._sign * cost if math.isfinite(cost) else fun
            fun = self._evaluator.confirm(x, value, known=not math.isnan(cost))
        return Result(
            x=x,
            fun=fun,
            nfev=self._evaluator.calls,
            nit=self._swarm.iteration,
            success=math.isfinite(fun) and feasible and self._succeeded(stop),
            message=message(stop, fun, feasible, maxcv),
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

    def _succeeded(self, stop: dict[str, float]) -> bool:
        """Whether the search ended by itself, at the target if there is one."""
        return not stop.keys() & {INTERRUPTED, FAILED} and (self._target is None or "target" in stop)

    def _final_draws(self) -> int:
        return self._reserve // 2 if self._max_evals else min(max(self._evaluator.calls // 10, 2), FINAL_DRAWS)

    def _settle(self, resampler: Resampler) -> None:
        """Choose among the bests by some more draws: the last round's may be lucky ones."""
        count = self._final_draws()
        self._evaluator.max_evals += self._reserve
        if self._particles is not None:
            resampler.settle(self._particles, self._draw, count)
        self._look()

    def _final_sample(self, x: Floats, resampler: Resampler) -> Sample:
        """Fresh draws at the chosen point: those that had it chosen were lucky ones."""
        costs, evaluated = self._draw(np.repeat(x[None], self._final_draws(), axis=0))
        sample = Sample()
        for cost in costs[evaluated]:
            sample = sample.add(float(cost))
        return sample if sample.n > 1 else resampler.sample(x)

    # ---- saving ----

    def _save(self, path: Path) -> None:
        state = {**self._swarm.state_dict(), **self._evaluator.state_dict(), **self._history.state_dict()}
        if self._resampler is not None:
            state |= self._resampler.state_dict()
        if self._incumbent is not None:
            state |= self._incumbent.state_dict()
        checkpoints.write(path, {**state, "problem": json.dumps(self._problem), "source": self._source})

    def _resume(self, path: Path) -> None:
        saved = checkpoints.read_search(path, self._problem)
        with checkpoints.taking_over(path):
            self._restore(saved)
            self._look()
        self._check_objective(path)
        warn_of_source(path, saved.get("source"), self._source)

    def _check_objective(self, path: Path) -> None:
        """Evaluate the best point once more: the objective, or a constraint, may be another one."""
        x, value, before = self._best.x, self._best_value(), self._best.violation
        violation = float(self._constraints.excess(x[None]).sum())
        if before > 0 or violation > 0:
            check_value(path, before, violation, 0.0, "constraints were broken by")
        elif math.isfinite(value) and self._resampler is None:
            check_value(path, value, self._evaluator.again(x), self._history.first_value())
        elif self._resampler is not None:
            known = self._resampler.sample(x)
            if known.n and math.isfinite(known.mean):
                known = replace(known, mean=self._sign * known.mean)
                check_mean(path, known, self._resampler.spread, lambda: float(self._evaluator.again(x)))

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


def _stop_rules(recipe: Recipe, max_iter: int | None, target: float | None) -> tuple[StopRule, ...]:
    """The recipe's rules and the user's, whose limit of iterations takes the place of the recipe's."""
    rules = [rule for rule in recipe.stop if max_iter is None or not isinstance(rule, MaxIter)]
    if max_iter is not None:
        rules.append(MaxIter(max_iter))
    if target is not None:
        rules.append(Target(target))
    return tuple(rules)


def _start(x0: Start, limit: int) -> Floats:
    """Starting points, (n, D): those given, the result of another run, or the bests of its checkpoint."""
    if isinstance(x0, Result):
        return x0.x[None]
    if isinstance(x0, str | os.PathLike):
        saved = checkpoints.read(x0)
        with checkpoints.taking_over(x0):
            return _bests_of(saved)[:limit]
    try:
        start = np.atleast_2d(np.asarray(x0, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(
            f"x0={x0!r}: use a point, several, the Result of another run or the path of a checkpoint"
        ) from None
    if start.ndim != 2 or start.size == 0:
        raise ValueError(f"x0 must have shape (D,) or (n, D), got {start.shape}")
    return start


def _bests_of(saved: dict[str, Any]) -> Floats:
    """The personal bests that a checkpoint holds, the best first."""
    if getattr(saved.get("best_positions"), "ndim", 0) != 2:
        raise ValueError("holds no points to start from")
    checkpoints.check(saved, {"best_costs": ("float64", "N")}, {"N": len(saved["best_positions"])})
    costs = saved["best_costs"]
    order = np.argsort(costs, kind="stable")
    positions = saved["best_positions"].astype(np.float64)[order][np.isfinite(costs[order])]
    if "problem" not in saved:
        return positions
    return _coding_of(json.loads(saved["problem"])).decode(positions)


def _coding_of(problem: dict[str, Any]) -> Coding:
    low, high = (np.array(side, dtype=np.float64) for side in problem["bounds"])
    return make_coding((low, high), problem["integrality"], problem["categorical"])
