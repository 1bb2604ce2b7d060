"""One search: ask, evaluate, tell, record, call back, until there is a reason to stop.

`minimize`, `maximize` and `Study` run on it; `pyswarmopt.driver.multi` has the one for fronts.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import check_target
from pyswarmopt.base.optimizer import Ticket
from pyswarmopt.base.words import without_addresses
from pyswarmopt.driver.algorithm import algorithm, make_optimizer, search_for
from pyswarmopt.driver.call import Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.history import History, ParticleRecord, plain
from pyswarmopt.driver.interrupts import Interrupts
from pyswarmopt.driver.judge import ROUNDING, Evaluated, Gains, Judge, check_value
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
    from pyswarmopt.base.checkpoint import Writer

Reasons = dict[str, float]
CONFIRMED_FROM = 50  # from this many evaluations on, one is reserved for the result
IDLE = 1000  # after this many known points in a row nothing new is expected
UNASKED = -1  # particle number of an unrequested point


class Search:
    """One search; all options are checked before the first evaluation.

    The result so far is never lost: exceptions carry it, Ctrl-C returns it.

    Args:
        arguments: of `minimize`.
        maximize: whether larger values are better.
        told: whether values are told, and there is no function to call.

    Attributes:
        pending: number of a ticket -> its point, (D,), under way.

    Raises:
        ValueError: invalid or inconsistent options.
    """

    _kind: type[Result] = Result  # of the result
    _objectives = 0  # if there are several
    _search_for: Callable[..., Callable[..., Any]] = staticmethod(search_for)
    _algorithm = "default"
    _recipe = ""
    _swarm: Any
    _judge: Judge

    def __init__(self, arguments: Options, maximize: bool = False, told: bool = False) -> None:
        check_target(arguments.target, maximize)
        self._began = time.monotonic()
        self._told = told
        self._options, self.problem = read_problem(arguments)
        self._sign = -1.0 if maximize else 1.0  # lower costs are better
        self._identity = dict(self.problem.identity)
        self._checkpoint: Writer | None = None
        if self._options.checkpoint is not None:
            # imported on use: it takes as long as a short search
            from pyswarmopt.base.checkpoint import Writer

            self._checkpoint = Writer(self._options.checkpoint)
        self._gains = Gains()
        self._record: list[ParticleRecord] = []  # of the iteration under way
        self.pending: dict[int, Floats] = {}
        self._alike: dict[bytes, list[Ticket]] = {}  # pending, by the keys of their points
        self._again: list[Ticket] = []  # under way when the checkpoint was written
        self._make(maximize)
        if told:
            self._identity["study"] = True
        if self._options.asynchronous:
            self._check_asynchronous()

    def _make(self, maximize: bool) -> None:
        """Algorithm, evaluator, judge and history."""
        recipe = None
        if not self._objectives:
            recipe = algorithm(self._options, self.problem)
        self._options = options = _with_limit(self._options, self.problem, recipe)
        self._phased = recipe is None  # the default search
        # not for a named recipe: a swarm's last iteration would be cut
        once_more = self._phased and not (options.noisy or self._told or self._objectives)
        confirms = once_more and (options.max_evals or math.inf) >= CONFIRMED_FROM
        deadline = self._began + (options.timeout or math.inf)
        self.evaluator = Evaluator(options, self.problem, self._objectives, confirms, deadline)
        self._swarm = make_optimizer(options, self.problem, recipe, maximize, self._search_for)
        constrained = bool(self.problem.constraints)
        self._history = History(
            options.history or "iteration", self.problem.space, constrained, self._objectives
        )
        self._judge = self._make_judge()
        population = options.population
        if recipe is not None:
            population = len(self._swarm.positions)
            self._algorithm = recipe.name
            self._recipe = str(recipe)
            if recipe.options is None:  # two user recipes may have the same name
                self._identity["parts"] = without_addresses(self._recipe)
        self._identity |= {
            "maximize": maximize,
            "noisy": options.noisy,
            "recipe": self._algorithm,
            "population": population,
        }

    def _make_judge(self) -> Judge:
        given = self._swarm, self.problem, self.evaluator, self._sign
        if self._options.noisy:
            # imported on use, for a faster start of searches
            from pyswarmopt.driver.resampling import ByMeans, ByProcess

            if self._phased:
                return ByProcess(*given, target=self._options.target)
            return ByMeans(*given, target=self._options.target)
        return Judge(*given, by_amounts=self._phased and bool(self.problem.constraints))

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
        if not (self._told or self._phased):
            raise ValueError(
                "asynchronous=True is supported by the default search only, but recipe "
                f"{self._algorithm} runs here; omit asynchronous=True"
            )
        self._identity["asynchronous"] = True

    # ---- the loop ----

    def run(self) -> Any:
        """Search until there is a reason to stop, Ctrl-C included; the result."""
        interrupts = Interrupts()
        try:
            if self._checkpoint is not None and os.path.lexists(self._checkpoint.path):
                self.load(self._checkpoint.path)
                self._check_objective(self._checkpoint.path)
            return self._run()
        except KeyboardInterrupt:
            self._show_progress(end="\n")
            if interrupts.again:
                raise
            self.evaluator.calls = self._judge.calls
            return self._result({INTERRUPTED: 1.0})
        finally:
            interrupts.close()
            if self._checkpoint is not None:
                self._checkpoint.flush()

    def _run(self) -> Any:
        callback = self._options.callback
        try:
            with self.evaluator.workers:
                stop = self.reasons()
                while not stop:
                    self._iterate()
                    stop = self.reasons()
                    if callback is not None and wants_to_stop(callback, self._result(stop)):
                        stop = {**stop, "callback": 1.0}
                result = self._result(self._finish(stop), final=True)
                self._show_progress(end="\n")
                return result
        except Exception as error:
            self._write_record(self._swarm.rounds)
            keep_in(error, self._result({FAILED: 1.0}))
            raise

    def _iterate(self) -> None:
        """One iteration, in a round or one by one."""
        if self._options.asynchronous:
            self._one_by_one()
            return
        iteration = self._swarm.rounds
        x = self._swarm.ask()
        points = self.problem.decode(x)
        judged, error = self._judge.judge(points)
        for row, each in enumerate(judged):
            self._note(iteration, row, each)
        if error is not None:
            if not self._options.noisy:  # single draws say little
                self._judge.keep(judged)
            raise error
        self._judge.tell(x, judged)
        self._write_record(iteration)
        self._write_down()

    def _one_by_one(self) -> None:
        """As many evaluations as there are particles, of any particles: a free worker gets a point
        at once. Calls under way at the end continue into the next iteration.
        """
        swarm = self._swarm
        began = swarm.rounds
        while swarm.rounds == began and not swarm.stop():
            ticket = None
            if self.evaluator.free:
                ticket = self.next_ticket()
            if ticket is not None:
                x = self.take_up(ticket)
                if x is not None:
                    self.evaluator.workers.send(self.evaluator.memory.key(x), x)
            elif self.evaluator.workers.busy:
                self._answer(*self.evaluator.hear())
            else:
                break  # budget or time is used up

    def next_ticket(self) -> Ticket | None:
        """The next point; of a swarm one of its round, and None while the others are pending."""
        if self._again:
            return self._again.pop(0)
        if self._phased:
            ticket: Ticket | None = self._swarm.ask_one()
            return ticket
        round_of_swarm = self._swarm.tickets()
        return next((each for each in round_of_swarm if each.number not in self.pending), None)

    def take_up(self, ticket: Ticket) -> Floats | None:
        """The point of a ticket, (D,), if it is to be called. One that needs no call is told at
        once; one that equals another under way is told with it.
        """
        x = self.problem.decode(ticket.x[None])[0]
        draft = self._judge.draft(x)
        if draft.counts:
            self.evaluator.skipped += 1
            self._tell_one(ticket, draft)
            return None
        key = self.evaluator.memory.key(x)
        known = self.evaluator.memory.known.get(key)
        if known is not None:
            self.evaluator.idle += 1
            self._tell_one(ticket, self._judge.read(draft._replace(again=True), known))
            return None
        alike = self._alike.setdefault(key, [])
        alike.append(ticket)
        self.pending[ticket.number] = x
        if len(alike) > 1:
            return None
        return x

    def _answer(self, key: bytes, x: Floats, value: Value) -> Evaluated | None:
        """Tell the value of a point, (D,), for all tickets that it answers; the point if none."""
        self.evaluator.learn(key, value)
        judged = self._judge.read(self._judge.draft(x), value)
        tickets = self._alike.pop(key, [])
        for ticket in tickets:
            del self.pending[ticket.number]
            self._tell_one(ticket, judged)
            judged = judged._replace(again=True)
        if tickets:
            return None
        return judged

    def take(self, x: Floats, value: Value) -> None:
        """Record the value of a point, (D,), that was called elsewhere, asked for or not."""
        self.evaluator.calls += 1
        unasked = self._answer(self.evaluator.memory.key(x), x, value)
        if unasked is not None:
            self._judge.take_in([unasked])
            self._note(self._swarm.rounds, UNASKED, unasked)
        self._write_record(self._swarm.rounds)

    def expect_together(self, count: int) -> None:
        """Have the default search propose this many points at a time, if it proposes any itself."""
        if self._phased:
            self._swarm.expect_together(count)

    def _tell_one(self, ticket: Ticket, judged: Evaluated) -> None:
        iteration = self._swarm.rounds
        self._judge.tell(ticket, [judged])
        self._note(iteration, ticket.particle, judged)
        if self._swarm.rounds > iteration:
            self._write_record(iteration)
            self._write_down()

    def _finish(self, stop: Reasons) -> Reasons:
        """Wait for pending calls, which already count; return the reasons to stop afterwards."""
        if not (self.evaluator.workers.busy or self._record):
            return stop
        while self.evaluator.workers.busy:
            self._answer(*self.evaluator.hear())
        self._write_record(self._swarm.rounds)
        self._write_down()
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

    def _note(self, iteration: int, particle: int, judged: Evaluated) -> None:
        """Keep an evaluation for the history."""
        if judged.counts:
            value = plain(self._sign * judged.cost)
            found = value, judged.x, judged.violation, judged.again
            self._record.append(ParticleRecord(iteration, particle, *found))

    def _write_record(self, iteration: int) -> None:
        """Record the evaluations of an iteration."""
        self._history.add(iteration, self.evaluator.calls, self._judge.value, self._record)
        self._record = []

    def _write_down(self) -> None:
        """Save and show an iteration."""
        if self._checkpoint is not None:
            self._checkpoint.keep(self._state())
        self._show_progress()

    def _show_progress(self, end: str = "") -> None:
        """Show the evaluations and the best value on standard error, on one line."""
        if self._options.progress:
            line = f"evaluations {self.evaluator.calls}, best {self._judge.value:.6g}"
            sys.stderr.write(f"\r{line:<60}{end}")
            sys.stderr.flush()

    # ---- the result ----

    def result(self) -> Any:
        """The result so far."""
        return self._result(self.reasons())

    def _result(self, stop: Reasons, final: bool = False) -> Any:
        if final:
            found = self._judge.final(self._history.first_value())
        else:
            found = self._judge.found()
        feasible = found.breach.feasible
        finite = np.size(found.fun) > 0 and bool(np.isfinite(found.fun).all())
        calls = self.evaluator.calls
        failures = self.evaluator.failures
        remarks = failed_calls(failures, calls)
        if self._phased:
            remarks += self._swarm.remark
        return self._kind(
            x=found.x,
            fun=found.fun,
            nfev=calls,
            nit=self._swarm.iteration,
            success=finite and feasible and self._succeeded(stop, found.fun),
            message=message(stop, finite, found.breach) + remarks + found.note,
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

    def _succeeded(self, stop: Reasons, fun: float) -> bool:
        """Whether the search ended by itself, and at the target if there is one, judged by `fun`,
        the latest value.
        """
        target = self._options.target
        if target is None:
            return not stop.keys() & {INTERRUPTED, FAILED}
        missed = self._sign * (fun - target) > ROUNDING * abs(target)
        return "target" in stop and not (missed and not self._options.noisy)

    # ---- saving ----

    def _parts(self) -> tuple[Any, ...]:
        """The parts that hold the state, besides the evaluator, which is restored first."""
        return self._swarm, self.evaluator.memory, self._judge, self._history

    def _state(self) -> dict[str, Any]:
        """Everything needed for resuming."""
        state: dict[str, Any] = {"problem": self._identity}
        state |= self.evaluator.state_dict("evaluator.") | self._gains.state_dict("gains.")
        for part in self._parts():
            state |= part.state_dict()
        return state

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
        self.pending = {}
        self._alike = {}
        if self._options.asynchronous and self._phased:
            self._again = self._swarm.tickets()

    def _check_objective(self, path: Path) -> None:
        """Evaluate the best point once more: objective or constraints may have changed.

        Skipped under noise, where another value means nothing.
        """
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
    limits = options.max_evals, options.max_iter, options.timeout
    if limits != (None, None, None) or (recipe is not None and recipe.stop):
        return options
    return replace(options, max_evals=1000 * problem.dim)
