"""One search: ask, evaluate, tell, record, call back, until there is a reason to stop.

`minimize`, `maximize` and `Study` run on it; `pyswarmopt.driver.multi` has the one for fronts.
"""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.words import without_addresses
from pyswarmopt.driver.algorithm import algorithm, make_optimizer
from pyswarmopt.driver.call import Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.history import History, ParticleRecord
from pyswarmopt.driver.judge import Evaluated, Gains, Judge
from pyswarmopt.driver.options import Options, read_problem
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
from pyswarmopt.driver.start import ROUNDING, check_value
from pyswarmopt.driver.workers import number_of_workers
from pyswarmopt.parts.stopping import Patience

if TYPE_CHECKING:
    from pathlib import Path

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

    Raises:
        ValueError: options that do not make sense.
    """

    def __init__(self, arguments: Options, maximize: bool = False, told: bool = False) -> None:
        self._began = time.monotonic()
        self._told = told
        self._options, self.problem = read_problem(arguments)
        self._timeout = self._options.timeout or math.inf
        self._sign = -1.0 if maximize else 1.0  # lower costs are better
        self._distinct = self.problem.coding.count  # points
        self._checkpoint: Writer | None = None
        if self._options.checkpoint is not None:
            # imported on use: it takes as long as a short search
            from pyswarmopt.base.checkpoint import Writer, checked_path

            self._checkpoint = Writer(checked_path(self._options.checkpoint))
        self._gains = Gains()
        self._record: list[ParticleRecord] = []  # of the iteration under way
        self._pending: dict[Any, list[Ticket]] = {}  # calls under way, by their points' keys
        self._again: list[Ticket] = []  # under way when the checkpoint was written
        self._identity = self.problem.identity | self._make()
        self._identity |= {
            "maximize": maximize,
            "noisy": self._options.noisy,
            "asynchronous": self._options.asynchronous,
            "study": told,
            "history": self._history.granularity,
        }

    def _make(self) -> dict[str, Any]:
        """Make algorithm, evaluator, judge and history; what must also match in a checkpoint."""
        problem = self.problem
        recipe = algorithm(self._options, problem, number_of_workers(self._options.workers))
        self._phased = recipe is None
        self._algorithm = "default" if recipe is None else recipe.name
        options = self._options
        unlimited = options.max_evals is options.max_iter is options.timeout is None
        if unlimited and (recipe is None or not recipe.stop):
            self._options = options = replace(options, max_evals=1000 * problem.dim)
        limit = options.max_evals or math.inf
        # not for a named recipe: a swarm's last iteration would be cut
        sure = options.noisy or self._told or limit < CONFIRMED_FROM
        confirms = self._phased and not sure
        deadline = self._began + self._timeout
        self.evaluator = Evaluator(options, problem, limit, deadline, confirms=confirms)
        self._swarm: Any = make_optimizer(options, problem, recipe, self._sign < 0)
        self._judge = self._make_judge()
        kept = options.history or ("iteration" if problem.space is None else "particles")
        self._history = History(kept, problem.space)
        return {
            "recipe": without_addresses(str(recipe or self._algorithm)),
            "population": options.population if self._phased else len(self._swarm.positions),
        }

    def _make_judge(self) -> Judge:
        given = self._swarm, self.problem, self.evaluator, self._sign
        if self._options.noisy:
            # imported on use, for a faster start of searches
            from pyswarmopt.driver.resampling import ByMeans, ByProcess

            judge = ByProcess if self._phased else ByMeans
            return judge(*given, target=self._options.target)
        return Judge(*given, by_amounts=self._phased and bool(self.problem.constraints))

    # ---- the loop ----

    def run(self) -> Any:
        """Search until there is a reason to stop, Ctrl-C included; the result."""
        try:
            if self._checkpoint is not None and os.path.lexists(self._checkpoint.path):
                self.load(self._checkpoint.path)
                self._check_objective(self._checkpoint.path)
            with self.evaluator.workers:
                return self._run()
        except KeyboardInterrupt:
            self.evaluator.calls = self._judge.calls
            return self._result({INTERRUPTED: 1.0})
        finally:
            if self._checkpoint is not None:
                self._checkpoint.flush()
            self._show_progress(end="\n")

    def _run(self) -> Any:
        callback = self._options.callback
        try:
            stop = self.reasons()
            while not stop:
                if self._options.asynchronous:
                    self._one_by_one()
                else:
                    self._round()
                stop = self.reasons()
                if callback is not None and wants_to_stop(callback, self._result(stop)):
                    stop = {**stop, "callback": 1.0}
            result = self._result(self._finish(stop), final=True)
            _log(result)
            return result
        except Exception as error:
            self._write_record(self._swarm.rounds)
            keep_in(error, self._result({FAILED: 1.0}))
            raise

    def _round(self) -> None:
        """One iteration, whose points are all evaluated before it is told."""
        iteration = self._swarm.rounds
        x = self._swarm.ask()
        points = self.problem.decode(x)
        self.evaluator.afresh = self._phased and self._swarm.calls_again
        judged, error = self._judge.judge(points)
        for row, each in enumerate(judged):
            self._note(iteration, row, each)
        if error is not None:
            self._judge.salvage(judged)
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
            ticket = self.next_ticket() if self.evaluator.free else None
            if ticket is not None:
                x = self.problem.decode(ticket.x[None])[0]
                if not self.answers(ticket, x) and self.hand_out(ticket, x):
                    self.evaluator.workers.send(self.evaluator.key(x), x)
            elif self.evaluator.workers.busy:
                self._take(*self.evaluator.hear())
            else:
                break  # budget or time is used up

    def next_ticket(self) -> Ticket | None:
        """The next point to evaluate; None while values must come first."""
        ticket: Ticket | None = self._again.pop(0) if self._again else self._swarm.ask_one()
        return ticket

    def answers(self, ticket: Ticket, x: Floats) -> bool:
        """Whether the point, (D,), needs no call; it is then told."""
        draft = self._judge.draft(x)
        self.evaluator.afresh = self._phased and self._swarm.calls_again
        if not self._judge.needs_call(draft):
            self.evaluator.skipped += 1
            self._tell_one(ticket, draft)
            return True
        known = self.evaluator.recall(self.evaluator.key(x))
        if known is not None:
            self._tell_one(ticket, self._judge.read(draft, known))
        return known is not None

    def hand_out(self, ticket: Ticket, x: Floats) -> bool:
        """Note that a point is under way; whether it is the only one: equal ones are told together."""
        alike = self._pending.setdefault(self.evaluator.key(x), [])
        alike.append(ticket)
        return len(alike) == 1

    def _take(self, key: bytes, x: Floats, value: Value) -> tuple[Evaluated, list[Ticket]]:
        """Take in the value of a point, (D,), with this key, and the tickets that it answers."""
        self.evaluator.learn(key, value)
        judged = self._judge.read(self._judge.draft(x), value)
        tickets = self._pending.pop(key, [])
        for ticket in tickets:
            self._tell_one(ticket, judged)
        return judged, tickets

    def take(self, x: Floats, value: Value) -> list[Ticket]:
        """Take in the value of a point, (D,), that was called elsewhere, asked for or not; the
        tickets that it answers.
        """
        self.evaluator.calls += 1
        judged, tickets = self._take(self.evaluator.key(x), x, value)
        if not tickets:
            self._judge.take_in(judged)
            self._note(self._swarm.rounds, UNASKED, judged)
        self._write_record(self._swarm.rounds)
        return tickets

    def _tell_one(self, ticket: Ticket, judged: Evaluated) -> None:
        iteration = self._swarm.rounds
        self._judge.tell_one(ticket, judged)
        self._note(iteration, ticket.particle, judged)
        if self._swarm.rounds > iteration:
            self._write_record(iteration)
            self._write_down()

    def _finish(self, stop: Reasons) -> Reasons:
        """Wait for calls under way, which are paid for; the reasons to stop afterwards."""
        if not (self.evaluator.workers.busy or self._record):
            return stop
        while self.evaluator.workers.busy:
            self._take(*self.evaluator.hear())
        self._write_record(self._swarm.rounds)
        self._write_down()
        return {**self.reasons(), **stop}

    def reasons(self) -> Reasons:
        """Reasons to stop; empty to go on."""
        reasons: Reasons = self._swarm.stop() | self._judge.reached()
        options = self._options
        evaluator = self.evaluator
        elapsed = time.monotonic() - self._began
        if elapsed >= self._timeout:
            reasons[TIMEOUT] = elapsed
        knows_all = evaluator.memory is not None and len(evaluator.memory) >= self._distinct
        if evaluator.idle >= IDLE or knows_all:
            reasons[EXHAUSTED] = evaluator.calls
        if options.max_evals is not None and evaluator.left == 0:
            reasons["max_evals"] = options.max_evals
        patience = options.patience
        if patience and self._gains.idle(self._judge.best, evaluator.calls, patience):
            reasons[Patience.reason] = patience
        return reasons

    # ---- what is shown and written ----

    def _note(self, iteration: int, particle: int, judged: Evaluated) -> None:
        """Keep an evaluation for the history."""
        if judged.counts:
            value = self._sign * judged.cost
            record = ParticleRecord(iteration, particle, value, judged.x, judged.violation)
            self._record.append(record)

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
        if self._options.progress:
            limit = self._options.max_evals or "?"
            line = f"{self.evaluator.calls} of {limit} evaluations, best {self._judge.value:.6g}"
            print(f"\r{line:<60}", end=end, file=sys.stderr, flush=True)

    # ---- the result ----

    def result(self) -> Any:
        """The result so far."""
        return self._result(self.reasons())

    def _result(self, stop: Reasons, final: bool = False) -> Any:
        judge = self._judge
        space = self.problem.space
        worth = judge.final_worth(self._history.first_value()) if final else judge.worth()
        x = judge.best.x
        fun = float(worth.fun)
        breach = judge.breach()
        finite = math.isfinite(fun)
        failures = dict(self.evaluator.failures)
        remarks = failed_calls(failures, self.evaluator.calls) + worth.note
        if self._phased and finite:
            digits = self._swarm.resolution.digits_of(fun)
            few = f"; values have about {digits} digits" if digits else ""
            remarks += few + self._swarm.remark
        return Result(
            x=x.copy(),  # a callback may change it
            fun=fun,
            nfev=self.evaluator.calls,
            nit=self._swarm.iteration,
            success=finite and breach.feasible and self._succeeded(stop, fun),
            message=message(stop, finite, breach) + remarks,
            stop=stop,
            history=self._history,
            fun_stderr=worth.stderr,
            n_best=worth.n,
            maxcv=breach.most,
            algorithm=self._algorithm,
            params=None if space is None else space.decode(x),
            space=space,
            maximize=self._sign < 0,
            feasible=breach.feasible,
            seed=self._options.seed if isinstance(self._options.seed, int) else None,
            status=status(stop, finite, breach.feasible),
            failures=failures,
        )

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
        """What holds the state, in the order of restoring."""
        return self._swarm, self.evaluator, self._judge, self._history

    def _state(self) -> dict[str, Any]:
        """Everything needed for resuming."""
        import json  # imported on use, for a faster start of searches

        state: dict[str, Any] = {"problem": json.dumps(self._identity)}
        for part in self._saved():
            state |= part.state_dict()
        return state | self._gains.state_dict("gains")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything needed for resuming."""
        from pyswarmopt.base.checkpoint import checked_path, write

        write(checked_path(path), self._state())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from the file of a search for the same problem."""
        from pyswarmopt.base.checkpoint import checked_path, read_search, taking_over

        file = checked_path(path)
        saved = read_search(file, self._identity)
        with taking_over(file):
            for part in self._saved():
                part.load_state_dict(saved)
            self._gains = Gains.from_state(saved, "gains", {})
            self._pending = {}
            self._again = self._swarm.tickets() if self._options.asynchronous else []

    def _check_objective(self, path: Path) -> None:
        """Evaluate the best point once more: objective or constraints may have changed.

        Skipped under noise, where another value means nothing.
        """
        judge = self._judge
        best = judge.best
        if not self.problem.constraints.returned:
            broken = judge.draft(best.x).violation
            check_value(path, best.violation, broken, 0.0, "constraints were broken by")
        if math.isfinite(judge.value) and not judge.noisy:
            again = np.ravel(self.evaluator.recheck(best.x))[0]
            check_value(path, judge.value, again, self._history.first_value())


def _log(result: Result) -> None:
    """Log a result, if anybody listens."""
    logging = sys.modules.get("logging")
    if logging is not None:
        words = "%s: %s; best %s after %d evaluations"
        found = result.algorithm, result.message, result.fun, result.nfev
        logging.getLogger("pyswarmopt").info(words, *found)
