"""One search: its loop, what is recorded, shown and saved, and its result.

`minimize`, `maximize` and `Study` run on it; `pyswarmopt.driver.multi` has the one for fronts.
"""

from __future__ import annotations

import math
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import check_target
from pyswarmopt.base.optimizer import Optimizer
from pyswarmopt.base.words import without_addresses
from pyswarmopt.driver.algorithm import algorithm, default_search, phased_search, recipe_swarm
from pyswarmopt.driver.call import Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.history import History, ParticleRecord
from pyswarmopt.driver.interrupts import Interrupts
from pyswarmopt.driver.judge import ROUNDING, AmountsJudge, Evaluated, Gains, Judge, check_value
from pyswarmopt.driver.loop import ObjectiveLoop
from pyswarmopt.driver.options import Options, Problem, read_problem
from pyswarmopt.driver.result import (
    EXHAUSTED,
    FAILED,
    INTERRUPTED,
    TIMEOUT,
    Result,
    failed_calls,
    keep_in,
    message,
    status,
    wants_to_stop,
)
from pyswarmopt.parts.stopping import Patience

if TYPE_CHECKING:
    from pathlib import Path

    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.driver.checkpointer import Checkpointer

Reasons = dict[str, float]
R = TypeVar("R", bound=Result)
EVALS_PER_DIM = 1000  # of a search that nothing else ends
CONFIRMED_FROM = 50  # from this many evaluations on, one is reserved for the result
ANSWERS = "answers"  # entry of a saved search: of the final evaluations
IDLE = 1000  # after this many known points in a row nothing new is expected


class Saved(Protocol):
    """A part of a search whose state is saved."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed for resuming."""

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""


class Resumable(Optimizer, Saved, Protocol):
    """An optimizer that counts its iterations, and whose state can be saved."""

    @property
    def iteration(self) -> int:
        """Completed rounds after the first one."""


class Search(ABC, Generic[R]):
    """One search; all options are checked before the first evaluation.

    The result so far is never lost: exceptions carry it, Ctrl-C returns it.

    Args:
        arguments: of `minimize`.
        maximize: whether larger values are better.
        told: whether values are told, and there is no function to call.

    Attributes:
        loop: asks the optimizer, and tells it.

    Raises:
        ValueError: invalid or inconsistent options.
    """

    _result_type: type[R]
    _algorithm = "default"
    _recipe = ""
    _objectives = 0  # of a search for a front
    evaluator: Evaluator
    _swarm: Resumable
    _judge: Judge[Optimizer]
    _history: History

    def __init__(self, arguments: Options, maximize: bool = False, told: bool = False) -> None:
        check_target(arguments.target, maximize)
        self._began = time.monotonic()
        self._told = told
        self._options, self.problem = read_problem(arguments, self._objectives or 1)
        self._sign = -1.0 if maximize else 1.0  # lower costs are better
        self._identity = dict(self.problem.identity)
        self._checkpointer: Checkpointer | None = None
        if self._options.checkpoint is not None:
            # imported on use: it takes as long as a short search
            from pyswarmopt.driver.checkpointer import Checkpointer

            self._checkpointer = Checkpointer(self._options.checkpoint)
        self._gains = Gains()
        self._record: list[ParticleRecord] = []  # of the iteration under way
        self._make(maximize)
        if self._checkpointer is not None:
            self.evaluator.replay_from(self._checkpointer.journal)
        if told:
            self._identity["study"] = True
        if self._options.asynchronous:
            self._check_asynchronous()
        self.loop = ObjectiveLoop(
            self._swarm, self.problem, self.evaluator, self._judge, self._note, self._completed
        )

    def _make_history(self) -> History:
        options = self._options
        constrained = bool(self.problem.constraints)
        granularity = options.history or "iteration"
        return History(granularity, self.problem.space, constrained, self._objectives)

    def _make_evaluator(self, confirms: bool) -> Evaluator:
        deadline = self._began + (self._options.timeout or math.inf)
        return Evaluator(self._options, self.problem, self._objectives, confirms, deadline)

    @abstractmethod
    def _make(self, maximize: bool) -> None:
        """Make `_swarm`, `evaluator`, `_history` and `_judge`, and complete `_identity`."""

    @abstractmethod
    def _check_objective(self, path: Path) -> None:
        """Evaluate a point once more: objective or constraints may have changed.

        Raises:
            ValueError: they have.
        """

    def _check_asynchronous(self) -> None:
        if self._options.noisy:
            raise ValueError(
                "asynchronous=True is not supported with noisy=True, which re-evaluates the best "
                "points after each iteration"
            )
        if self._options.vectorized:
            raise ValueError(
                "asynchronous=True evaluates one point at a time; remove vectorized=True"
            )
        self._identity["asynchronous"] = True

    # ---- the loop ----

    def run(self) -> R:
        """Search until there is a reason to stop, Ctrl-C included; the result."""
        interrupts = Interrupts()
        try:
            if self._checkpointer is not None:
                self._resume(self._checkpointer)
            return self._run()
        except KeyboardInterrupt:
            self._show_progress(end="\n")
            if interrupts.again:
                raise
            self.evaluator.calls = self._judge.calls
            return self._result({INTERRUPTED: 1.0})
        finally:
            interrupts.close()
            if self._checkpointer is not None:
                self._checkpointer.journal.flush()

    def _run(self) -> R:
        callback = self._options.callback
        try:
            with self.evaluator.workers:
                stop = self.reasons()
                while not stop:
                    self._iterate()
                    stop = self.reasons()
                    if callback is not None and wants_to_stop(callback, self._result(stop)):
                        stop = {**stop, "callback": 1.0}
                result = self._final_result(self._after_pending(stop))
                self._show_progress(end="\n")
                return result
        except Exception as error:
            self._write_record(self._swarm.rounds)
            keep_in(error, self._result({FAILED: 1.0}))
            raise

    def _final_result(self, stop: Reasons) -> R:
        """The result after the final evaluations, whose answers are saved with the state before
        them: the search can be continued from there, or ended once more without a call.
        """
        if self._checkpointer is None:
            return self._result(stop, final=True)
        state = self._state()
        calls = self.evaluator.calls
        result = self._result(stop, final=True)
        state[ANSWERS] = self._checkpointer.journal.kept(after=calls)
        self._checkpointer.save(lambda: state)
        return result

    def _iterate(self) -> None:
        """One iteration."""
        if self._options.asynchronous:
            self.loop.run_round()
        else:
            self.loop.together(forgives=not self._options.noisy)  # single draws say little

    def take(self, x: Floats, value: Value) -> None:
        """Record the value of a point, (D,), that was called elsewhere, asked for or not."""
        self.loop.take(x, value)
        self._write_record(self._swarm.rounds)

    def _completed(self, iteration: int) -> None:
        """Record, save and show an iteration that has ended."""
        self._write_record(iteration)
        if self._checkpointer is not None and self._checkpointer.due:
            self._checkpointer.save(self._state)
        self._show_progress()

    def _after_pending(self, stop: Reasons) -> Reasons:
        """Wait for pending calls, which already count; return the reasons to stop afterwards."""
        if not (self.evaluator.workers.busy or self._record):
            return stop
        while self.evaluator.workers.busy:
            self.loop.hear()
        self._completed(self._swarm.rounds)
        return {**self.reasons(), **stop}

    def reasons(self) -> Reasons:
        """Reasons to stop; empty to continue."""
        reasons: Reasons = dict(self._swarm.stop())
        if self.evaluator.late:
            reasons[TIMEOUT] = time.monotonic() - self._began
        knows_all = len(self.evaluator.memory.known) >= self.problem.coding.count
        if self.evaluator.idle >= IDLE or knows_all:
            reasons[EXHAUSTED] = self.evaluator.calls
        limit = self._options.max_evals
        if limit and not self.evaluator.left:
            reasons["max_evals"] = limit
        patience = self._options.patience
        if patience and self._gains.idle(self._judge.best, self.evaluator.calls, patience):
            reasons[Patience.reason] = patience
        return reasons | self._judge.reached()

    # ---- what is shown and written ----

    def _note(self, iteration: int, particles: Iterable[int], judged: Sequence[Evaluated]) -> None:
        """Keep evaluations for the history."""
        for particle, each in zip(particles, judged, strict=True):
            if each.counts:
                value = self._sign * each.cost
                self._record.append(
                    ParticleRecord(iteration, particle, value, each.x, each.violation, each.again)
                )

    def _write_record(self, iteration: int) -> None:
        """Record the evaluations of an iteration."""
        self._history.add(iteration, self.evaluator.calls, self._judge.value, self._record)
        self._record = []

    def _show_progress(self, end: str = "") -> None:
        """Show the evaluations and the best value on standard error, on one line."""
        if self._options.progress:
            line = f"evaluations {self.evaluator.calls}, best {self._judge.value:.6g}"
            sys.stderr.write(f"\r{line:<60}{end}")
            sys.stderr.flush()

    # ---- the result ----

    def result(self) -> R:
        """The result so far."""
        return self._result(self.reasons())

    def _result(self, stop: Reasons, final: bool = False) -> R:
        """The result so far, or, at the end, with the final evaluations."""
        if final:
            found = self._judge.final(self._history.first_value())
        else:
            found = self._judge.found()
        feasible = found.breach.feasible
        finite = np.size(found.fun) > 0 and bool(np.isfinite(found.fun).all())
        calls = self.evaluator.calls
        failures = self.evaluator.failures
        remarks = failed_calls(failures, calls) + self._swarm.remark + found.note
        return self._result_type(
            x=found.x,
            fun=found.fun,
            nfev=calls,
            nit=self._swarm.iteration,
            success=finite and feasible and self._succeeded(stop, found.fun),
            message=message(stop, finite, found.breach) + remarks,
            stop=stop,
            history=self._history,
            fun_stderr=found.stderr,
            n_best=found.n,
            maxcv=found.breach.most,
            params=self.problem.params(found.x),
            feasible=feasible,
            status=status(stop, finite, feasible),
            failures=dict(failures),
            algorithm=self._algorithm,
            space=self.problem.space,
            maximize=self._sign < 0,
            recipe=self._recipe,
            seed=self._identity["seed"],
        )

    def _succeeded(self, stop: Reasons, fun: Any) -> bool:
        """Whether the search ended by itself, and at the target if there is one, judged by `fun`,
        the latest value.
        """
        target = self._options.target
        if target is None:
            return not stop.keys() & {INTERRUPTED, FAILED}
        missed = self._sign * (fun - target) > ROUNDING * abs(target)
        return "target" in stop and not (missed and not self._options.noisy)

    # ---- saving ----

    def _parts(self) -> tuple[Saved, ...]:
        """The parts that hold the state, besides the evaluator, which is restored first."""
        return self._swarm, self.evaluator.memory, self._judge, self._history

    def _state(self) -> dict[str, Any]:
        """Everything needed for resuming."""
        state: dict[str, Any] = {"problem": self._identity, ANSWERS: []}
        state |= self.evaluator.state_dict("evaluator.") | self._gains.state_dict("gains.")
        for part in self._parts():
            state |= part.state_dict()
        return state

    def _resume(self, checkpointer: Checkpointer) -> None:
        """Continue from the checkpoint if there is one, else write the first."""
        if checkpointer.exists:
            self.load(checkpointer.path)
            self._check_objective(checkpointer.path)
        else:
            checkpointer.save(self._state)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything needed for resuming."""
        from pyswarmopt.base.checkpoint import write

        write(path, self._state())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Continue from the file of a search for the same problem."""
        from pyswarmopt.base.checkpoint import read_search, taking_over

        saved = read_search(path, self._identity)
        with taking_over(path):
            self._restore(saved)

    def _restore(self, saved: dict[str, Any]) -> None:
        self.evaluator.restore(saved, "evaluator.")
        self._gains.restore(saved, "gains.")
        for part in self._parts():
            part.load_state_dict(saved)
        self.loop.resume()
        answers = saved[ANSWERS]
        goes_on = not self.reasons()  # with a larger limit, instead of ending once more
        if answers and goes_on:
            if self._options.noisy:  # the final draws were made, and count
                self.evaluator.calls += len(answers)
            answers = []
        if self._checkpointer is not None:
            self._checkpointer.journal.load(self.evaluator.calls, answers)


class ValueSearch(Search[Result]):
    """A search for the best value of one function."""

    _result_type = Result

    def _make(self, maximize: bool) -> None:
        recipe = algorithm(self._options, self.problem)
        self._options = options = _with_limit(self._options, self.problem, recipe)
        # not for a named recipe: a swarm's last iteration would be cut
        once_more = recipe is None and not (options.noisy or self._told)
        confirms = once_more and (options.max_evals or math.inf) >= CONFIRMED_FROM
        self.evaluator = self._make_evaluator(confirms)
        self._history = self._make_history()
        self._identity |= {
            "maximize": maximize,
            "noisy": options.noisy,
            "recipe": self._algorithm,
            "population": options.population,
        }
        if recipe is not None:
            self._make_swarm(recipe, maximize)
        elif options.noisy:
            self._make_noisy_search(maximize)
        else:
            self._make_default_search(maximize)

    def _make_swarm(self, recipe: Recipe, maximize: bool) -> None:
        """The recipe's swarm, which receives an order of the points, or their means under noise."""
        options = self._options
        together = self._told or not options.asynchronous  # a study hands out rounds
        swarm = recipe_swarm(options, self.problem, recipe, maximize, together)
        self._swarm = swarm
        self._algorithm = recipe.name
        self._recipe = str(recipe)
        self._identity |= {"recipe": recipe.name, "population": len(swarm.positions)}
        if recipe.options is None:  # two user recipes may have the same name
            self._identity["parts"] = without_addresses(self._recipe)
        if not options.noisy:
            self._judge = Judge(swarm, self.problem, self.evaluator, self._sign)
            return
        # imported on use, for a faster start of searches
        from pyswarmopt.driver.resampling import ByMeans

        self._judge = ByMeans(swarm, self.problem, self.evaluator, self._sign, options.target)

    def _make_default_search(self, maximize: bool) -> None:
        """The default search, which uses the amounts of constraints."""
        search = default_search(self._options, self.problem, maximize)
        kind = AmountsJudge if self.problem.constraints else Judge
        self._swarm = search
        self._judge = kind(search, self.problem, self.evaluator, self._sign)

    def _make_noisy_search(self, maximize: bool) -> None:
        """The default search under noise, which learns single draws."""
        from pyswarmopt.default.mixed import NoisySearch
        from pyswarmopt.driver.resampling import ByProcess

        options = self._options
        search = phased_search(NoisySearch, options, self.problem, maximize)
        self._swarm = search
        self._judge = ByProcess(search, self.problem, self.evaluator, self._sign, options.target)

    def _check_objective(self, path: Path) -> None:
        """Evaluate the best point once more; not under noise, where another value means nothing."""
        best = self._judge.best
        violation = best.violation
        if not self.problem.constraints.returned:
            violation = self._judge.draft(best.x).violation
        if best.violation > 0 or violation > 0:
            check_value(path, best.violation, violation, 0.0, "constraints were violated by")
        elif math.isfinite(self._judge.value) and not self._options.noisy:
            again = np.ravel(self.evaluator.recheck(best.x))[0]
            check_value(path, self._judge.value, again, self._history.first_value())


def _with_limit(options: Options, problem: Problem, recipe: Recipe | None) -> Options:
    """The options, with a limit of evaluations if nothing else ends the search."""
    ends = recipe is not None and bool(recipe.stop)
    for limit in (options.max_evals, options.max_iter, options.timeout):
        ends = ends or limit is not None
    if ends:
        return options
    return replace(options, max_evals=EVALS_PER_DIM * problem.dim)
