"""One search, behind `minimize` and `maximize`: its algorithm, limits and result."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.words import counted, without_addresses
from pyswarmopt.driver.algorithm import algorithm, make_optimizer, warn_of_idle_workers
from pyswarmopt.driver.gains import Gains
from pyswarmopt.driver.history import Granularity, History
from pyswarmopt.driver.judge import ByAmounts, ByOrder, ByReturned, Judged
from pyswarmopt.driver.loop import Loop, Reasons
from pyswarmopt.driver.options import Options, Problem
from pyswarmopt.driver.result import FAILED, INTERRUPTED, Result, failed_calls, message, status
from pyswarmopt.driver.start import ROUNDING, check_value
from pyswarmopt.hybrid.search import PhasedSearch
from pyswarmopt.parts.stopping import Patience

if TYPE_CHECKING:
    from pathlib import Path

    from pyswarmopt.algorithms.recipe import Recipe

CONFIRMED_FROM = 50  # from this many evaluations on, one is reserved for the result
BAR = 20  # characters in the progress bar
LINES = 10  # of progress in a file, which does not go back to the start of its line


class Search(Loop[Result]):
    """One search; all options are checked before the first evaluation.

    Raises:
        ValueError: invalid options.
    """

    def __init__(self, arguments: Options, maximize: bool) -> None:
        super().__init__(arguments)
        recipe = algorithm(self._options, self._problem)
        self._algorithm = "default" if recipe is None else recipe.name
        self._recipe = "" if recipe is None else str(recipe)
        self._options = options = _with_limit(self._options, self._problem, recipe)
        # lower costs are better
        self._maximize = maximize
        self._sign = -1.0 if maximize else 1.0
        self._history = self._make_history()
        self._gains = Gains()
        self._lines = 0  # of progress, so far
        limit = math.inf if options.max_evals is None else options.max_evals
        self._evaluator = self._make_evaluator(limit)
        # not for a named recipe: a swarm's last iteration would be cut
        unsure = recipe is None and not options.noisy
        self._evaluator.confirms = unsure and limit >= CONFIRMED_FROM
        self._swarm = make_optimizer(options, self._problem, recipe, maximize)
        if recipe is None:
            warn_of_idle_workers(self._swarm, options, self._evaluator.workers.count)
        self._judge = self._make_judge(by_order=recipe is not None)
        self._identity |= {
            "recipe": self._algorithm,
            "population": options.population if recipe is None else len(self._swarm.positions),
            "maximize": maximize,
            "noisy": options.noisy,
        }
        if recipe is not None and recipe.options is None:  # two user recipes may have the same name
            self._identity["parts"] = without_addresses(self._recipe)

    def _make_history(self) -> History:
        """History of every evaluation, if requested or if parameters have names."""
        space = self._problem.space
        usual: Granularity = "iteration" if space is None else "particles"
        constrained = bool(self._problem.constraints)
        return History(self._options.history or usual, space=space, constrained=constrained)

    def _make_judge(self, by_order: bool) -> ByOrder:
        given = self._swarm, self._problem, self._evaluator, self._sign
        if self._options.noisy:
            # imported on use, for a faster start of searches
            from pyswarmopt.driver.resampling import ByMeans, ByProcess

            judge = ByProcess if isinstance(self._swarm, PhasedSearch) else ByMeans
            return judge(*given, target=self._options.target)
        if self._problem.constraints.returned:
            return ByReturned(*given)
        by_order = by_order or not self._problem.constraints
        return ByOrder(*given) if by_order else ByAmounts(*given)

    # ---- the loop ----

    def _ask(self) -> Any:
        self._iteration = self._swarm.rounds
        x = super()._ask()
        self._evaluator.afresh = self._calls_again
        return x

    @property
    def _calls_again(self) -> bool:
        """Whether to call the requested points although they are known."""
        return isinstance(self._swarm, PhasedSearch) and self._swarm.calls_again

    def _note(self, points: Floats, judged: Judged) -> None:
        rows = np.flatnonzero(judged.evaluated)
        values = self._sign * judged.costs[rows]
        self._add(self._iteration, values, points[rows], rows, judged.violations[rows])

    def _add(
        self, iteration: int, values: Floats, points: Floats, particles: Ints, violations: Floats
    ) -> None:
        calls = self._evaluator.calls
        best = self._judge.value
        # without a finite value an infeasible point was not called
        called = np.where((violations == 0) | np.isfinite(values), values, math.nan)
        self._history.add(iteration, calls, best, called, points, particles, violations)

    def reasons(self) -> Reasons:
        reasons: Reasons = self._swarm.stop() | self._ends()
        if self._options.max_evals is not None and self._evaluator.left == 0:
            reasons["max_evals"] = self._options.max_evals
        if self._gains.idle(self._judge.best, self._evaluator.calls, self._options.patience):
            reasons[Patience.reason] = self._options.patience or 0
        return reasons | self._judge.reached()

    def _show_progress(self, end: str = "") -> None:
        if not self._options.progress:
            return
        share = self._share()
        best = f"evaluations {self._evaluator.calls}  best {self._judge.value:.6g}"
        line = _bar(share, self._elapsed()) + best
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line:<78}{end}")
        elif int(share * LINES) > self._lines or (end and share < 1):
            self._lines = int(share * LINES)
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def _share(self) -> float:
        """Share of the nearest limit that is used up, from 0 to 1."""
        options = self._options
        used = self._evaluator.calls + self._evaluator.skipped
        share = self._elapsed() / self._timeout
        for done, limit in (used, options.max_evals), (self._swarm.iteration, options.max_iter):
            share = max(share, done / limit if limit else 0.0)
        return min(share, 1.0)

    # ---- the result ----

    def _result(self, stop: Reasons, final: bool = False) -> Result:
        judge = self._judge
        space = self._problem.space
        worth = judge.final_worth(self._history.first_value()) if final else judge.worth()
        x = judge.best.x
        fun = worth.fun
        breach = judge.breach()
        finite = math.isfinite(fun)
        failures = dict(self._evaluator.failures)
        result = Result(
            x=x.copy(),  # a callback may change it
            fun=fun,
            nfev=self._evaluator.calls,
            nit=self._swarm.iteration,
            success=finite and breach.feasible and self._succeeded(stop, fun),
            message=message(stop, finite, breach)
            + failed_calls(failures, self._evaluator.calls)
            + self._digits(fun)
            + worth.note,
            stop=stop,
            history=self._history,
            fun_stderr=worth.stderr,
            n_best=worth.n,
            maxcv=breach.most,
            algorithm=self._algorithm,
            params=None if space is None else space.decode(x),
            space=space,
            maximize=self._maximize,
            feasible=breach.feasible,
            recipe=self._recipe,
            seed=self._options.seed if isinstance(self._options.seed, int) else None,
            status=status(stop, finite, breach.feasible),
            failures=failures,
        )
        if final:
            _log(result)
        return result

    def _digits(self, fun: float) -> str:
        """A sentence on how many digits the values have, if few."""
        if not isinstance(self._swarm, PhasedSearch) or not math.isfinite(fun):
            return ""
        digits = self._swarm.resolution.digits_of(fun)
        return f"; values have about {counted(digits, 'digit')}" if digits else ""

    def _succeeded(self, stop: Reasons, fun: float) -> bool:
        """Whether the search ended by itself, and at the target if there is one, judged by `fun`,
        the latest value.
        """
        target = self._options.target
        if target is None:
            return not stop.keys() & {INTERRUPTED, FAILED}
        missed = self._sign * (fun - target) > ROUNDING * abs(target)
        return "target" in stop and not (missed and not self._judge.noisy)

    # ---- saving ----

    def _saved(self) -> tuple[Any, ...]:
        return *super()._saved(), self._history, self._gains

    def _restore(self, saved: dict[str, Any]) -> None:
        super()._restore(saved)
        if self._history.dim not in (None, self._problem.dim):
            raise ValueError("a history of other coordinates")

    def _check_objective(self, path: Path) -> None:
        """Evaluate the best point once more: objective or constraints may have changed.

        Skipped under noise, where another value means nothing.
        """
        best = self._judge.best
        value = self._judge.value
        violation = best.violation
        if not self._problem.constraints.returned:
            violation = float(self._problem.constraints.violations(best.x[None])[0])
        if best.violation > 0 or violation > 0:
            check_value(path, best.violation, violation, 0.0, "constraints were broken by")
        elif math.isfinite(value) and not self._judge.noisy:
            again = np.ravel(self._evaluator.again(best.x))[0]
            check_value(path, value, again, self._history.first_value())


def _log(result: Result) -> None:
    """Log a result."""
    logging = sys.modules.get("logging")
    if logging is None:  # no one listens
        return
    best = f"best {result.fun:.6g} after {result.nfev} evaluations"
    logging.getLogger("pyswarmopt").info("%s: %s; %s", result.algorithm, result.message, best)


def _with_limit(options: Options, problem: Problem, recipe: Recipe | None) -> Options:
    """The options, with a limit of evaluations if nothing else ends the search."""
    limits = options.max_evals, options.max_iter, options.timeout
    if limits != (None, None, None) or (recipe is not None and recipe.stop):
        return options
    return replace(options, max_evals=1000 * problem.dim)


def _bar(share: float, elapsed: float) -> str:
    """Progress as a bar, with the share done and the time left."""
    done = int(BAR * share)
    left = str(timedelta(seconds=round(elapsed / share - elapsed))) if share else "?"
    return f"[{'#' * done}{'.' * (BAR - done)}] {share:4.0%}  {left} left  "
