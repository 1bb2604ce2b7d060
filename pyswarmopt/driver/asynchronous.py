"""The loop of `minimize(asynchronous=True)`: a particle moves as soon as its own value arrives."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.call import CallOutcome
from pyswarmopt.driver.judge import Judged
from pyswarmopt.driver.options import Options
from pyswarmopt.driver.search import Search
from pyswarmopt.driver.workers import TURN

if TYPE_CHECKING:
    from pyswarmopt.base.in_flight import Ticket


class _PendingCall(NamedTuple):
    """A call under way: its particle, point, time limit, and start."""

    ticket: Ticket
    point: Floats
    tries: int
    began: float


class AsynchronousSearch(Search):
    """A search that keeps all workers busy.

    An iteration is as many evaluations as there are particles, of any particles. Calls under way at
    its end continue into the next one. Only completed calls count; a resumed search repeats the
    calls that were under way when its checkpoint was written.

    Raises:
        ValueError: incompatible options.
    """

    def __init__(self, options: Options, maximize: bool = False) -> None:
        super().__init__(options, maximize)
        refused = {
            "cannot be noisy=True: bests are evaluated again after whole iterations": options.noisy,
            "evaluates one point at a time: fun cannot be vectorized=True": options.vectorized
            is True,
        }
        for why, holds in refused.items():
            if holds:
                raise ValueError(f"asynchronous=True {why}")
        self._identity["asynchronous"] = True
        self._calls: dict[Future[CallOutcome], _PendingCall] = {}
        self._again: list[Ticket] = []  # under way when the checkpoint was written
        # particle, value and point, in this iteration
        self._told: list[tuple[int, float, float, Floats]] = []

    @cached_property
    def _answered(self) -> SimpleQueue[Future[CallOutcome]]:
        """Finished calls; made at the first call, for a `Study` makes none and can be pickled."""
        return SimpleQueue()

    def _iterate(self) -> None:
        swarm = self._swarm
        began = self._swarm.rounds
        for again in self._again:
            self._send(again)
        self._again = []
        capacity = self._evaluator.workers.count
        while swarm.rounds == began and not swarm.stop():
            free = len(self._calls) < min(capacity, self._evaluator.left)
            ticket = swarm.ask_one() if free and not self._evaluator.late else None
            if ticket is not None:
                self._send(ticket)
            elif self._calls:
                self._hear()
            else:
                break  # budget or time is used up

    def _finish(self, stop: dict[str, float]) -> dict[str, float]:
        if not (self._calls or self._told):
            return stop
        while self._calls:  # they are paid for
            self._hear()
        if self._told:
            self._note_part()
            self._write_down()
        return {**self.reasons(), **stop}

    # ---- one evaluation ----

    def _send(self, ticket: Ticket) -> None:
        points = self._problem.coding.decode(np.asarray(ticket.x)[None])
        if self._answers(ticket, points[0]):
            return
        # the first call, which shows what fun accepts, is made alone
        if not self._evaluator.form.settled:
            self._tell(ticket, points[0], self._first_call(points))
        else:
            self._call(ticket, points[0], tries=1)

    def _answers(self, ticket: Ticket, point: Floats) -> bool:
        """Whether the point, (D,), needs no call; it is then told."""
        needless = self._judge.needless(point[None])
        self._evaluator.afresh = self._calls_again
        known = self._evaluator.recall(point)
        if needless[0] > 0:
            self._evaluator.skipped += 1
            self._take_in(ticket, point, Judged(np.array([math.nan]), needless, np.array([True])))
        elif known is not None:
            self._tell(ticket, point, known)
        return bool(needless[0] > 0) or known is not None

    def _first_call(self, points: Floats) -> Floats | float:
        values, _, error = self._evaluator(points)
        if error is not None:
            raise error
        if self._evaluator.form.vectorized:
            raise ValueError(
                "asynchronous=True evaluates one point at a time, but fun takes only many at once"
            )
        value: Floats | float = values[0]
        return value

    def _call(self, ticket: Ticket, point: Floats, tries: int) -> None:
        future = self._evaluator.workers.submit(point)
        if not hasattr(future, "add_done_callback"):
            raise ValueError(
                "asynchronous=True needs workers whose futures have add_done_callback, which "
                f"{type(future).__name__} has not"
            )
        self._calls[future] = _PendingCall(ticket, point, tries, time.monotonic())
        future.add_done_callback(self._answered.put)

    def _hear(self) -> None:
        """Wait for one answer and take it in, or abandon a call that is too late."""
        evaluator = self._evaluator
        future, outcome = self._next_answer()
        ticket, point, tries, _ = self._calls.pop(future)
        evaluator.calls += 1
        if outcome is None:
            outcome = evaluator.workers.answer(future)
        last = evaluator.left <= len(self._calls) or evaluator.late
        if tries <= evaluator.retries and not last and evaluator.failed(outcome):
            self._call(ticket, point, tries + 1)
        else:
            value = evaluator.value(outcome, last)
            evaluator.learn(point, value)
            self._tell(ticket, point, value)

    def _next_answer(self) -> tuple[Future[CallOutcome], CallOutcome | None]:
        """The next finished call, and its outcome if it was abandoned."""
        patience = self._evaluator.patience
        while True:
            oldest = min(self._calls, key=lambda future: self._calls[future].began)
            left = self._calls[oldest].began + patience - time.monotonic()
            try:
                future = self._answered.get(timeout=max(min(left, TURN), 0.0))
            except Empty:
                if left > TURN:
                    continue
                self._evaluator.workers.give_up(oldest)
                slow = TimeoutError(f"fun took longer than evaluation_timeout={patience} s")
                return oldest, CallOutcome(None, slow)
            if future in self._calls:  # otherwise abandoned
                return future, None

    def _tell(self, ticket: Ticket, point: Floats, value: Floats | float) -> None:
        self._take_in(ticket, point, self._judge.judge_one(point, value))

    def _take_in(self, ticket: Ticket, point: Floats, judged: Judged) -> None:
        iteration = self._swarm.rounds
        self._judge.tell_one(ticket, judged)
        self._remember(ticket.particle, point, judged)
        if self._swarm.rounds > iteration:
            self._record(iteration)
            self._write_down()

    def _remember(self, particle: int, point: Floats, judged: Judged) -> None:
        """Store the outcome of a point, (D,)."""
        self._judge.keep(point[None], judged)
        value = self._sign * float(judged.costs[0])
        self._told.append((particle, value, float(judged.violations[0]), point))

    # ---- writing down ----

    def _record(self, iteration: int) -> None:
        particles, values, violations, points = map(np.array, zip(*self._told, strict=True))
        self._told = []
        self._add(iteration, values, points, particles, violations)

    def _note_part(self) -> None:
        if self._told:
            self._record(self._swarm.rounds)

    def _restore(self, saved: dict[str, Any]) -> None:
        super()._restore(saved)
        self._again = self._swarm.tickets()
