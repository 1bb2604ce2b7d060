"""The loop of every search: an optimizer is asked for points, these are evaluated, and it is told
their outcomes, in rounds or one by one.

The optimizer has the only table of what is under way (`pyswarmopt.base.optimizer.UnderWay`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.optimizer import BESIDE, Optimizer, Ticket
from pyswarmopt.driver.call import Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.judge import Evaluated, Judge
from pyswarmopt.driver.options import Problem

MOST_REPEATS = 20  # after so many known or pending points in a row it waits for a value


class Loop:
    """Asks, has points evaluated, and tells.

    Args:
        optimizer: proposes points.
        problem: maps its positions to points.
        evaluator: calls the objective.
        judge: tells the optimizer, and keeps the best point.
        note: called with each point's iteration, its particle and what is known about it.
        completed: called with the number of each iteration that has ended.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        problem: Problem,
        evaluator: Evaluator,
        judge: Judge,
        note: Callable[[int, int, Evaluated], None],
        completed: Callable[[int], None],
    ) -> None:
        self.optimizer = optimizer
        self.judge = judge
        self._problem = problem
        self._evaluator = evaluator
        self._note = note
        self._completed = completed
        self._unanswered: list[Ticket] = []  # pending when the search was saved: to be asked again

    # ---- in rounds ----

    def together(self, forgives: bool = True) -> None:
        """Evaluate a round, and tell it as a whole.

        Args:
            forgives: whether points before an error count for the best one.

        Raises:
            Exception: the objective's error, after which nothing is told.
        """
        x = self.optimizer.ask()
        judged, error = self.judge.judge(self._problem.decode(x))
        if error is None:
            self._settle(x, judged, range(len(judged)))
            return
        self._note_all(self.optimizer.rounds, judged, range(len(judged)))
        if forgives:
            self.judge.keep(judged)
        raise error

    # ---- one by one ----

    def one_by_one(self) -> None:
        """As many evaluations as there are particles, of any particles: a free worker gets a point
        at once. Calls under way at the end continue into the next iteration.
        """
        began = self.optimizer.rounds
        repeats = 0
        while self.optimizer.rounds == began and not self.optimizer.stop():
            busy = self._evaluator.workers.busy
            ticket = None
            if self._evaluator.free and (repeats < MOST_REPEATS or not busy):
                ticket = self.next_ticket()
            if ticket is not None:
                x = self.take_up(ticket)
                repeats += 1
                if x is not None:
                    self._evaluator.send(x)
                    repeats = 0
            elif busy:
                self.hear()
                repeats = 0
            else:
                break  # budget or time is used up

    def next_ticket(self) -> Ticket | None:
        """The next point; None while values are missing."""
        if self._unanswered:
            return self._unanswered.pop(0)
        return next(iter(self.optimizer.ask(1)), None)

    def take_up(self, ticket: Ticket) -> Floats | None:
        """The point of a ticket, (D,), if it is to be called. One that needs no call is told at
        once; one that equals another under way is told with it.
        """
        x = self.point(ticket)
        draft = self.judge.draft(x)
        if draft.counts:
            self._evaluator.skipped += 1
            self._tell(ticket, draft)
            return None
        value = self._evaluator.recall(x)
        if value is not None:
            self._tell(ticket, self.judge.read(draft._replace(again=True), value))
            return None
        first = self._alike(x)[0]
        if first.number != ticket.number:
            return None
        return x

    def hear(self) -> None:
        """Tell the outcome of the next call that ends."""
        _, x, value = self._evaluator.hear()
        self._answer(x, value)

    def take(self, x: Floats, value: Value) -> None:
        """Record the value of a point, (D,), that was called elsewhere, asked for or not."""
        self._evaluator.calls += 1
        unasked = self._answer(x, value)
        if unasked is not None:
            self.judge.take_in([unasked])
            self._note(self.optimizer.rounds, BESIDE, unasked)

    def _answer(self, x: Floats, value: Value) -> Evaluated | None:
        """Tell the value of a point, (D,), for all tickets that it answers; the point if none."""
        tickets = self._alike(x)
        self._evaluator.learn(self._evaluator.memory.key(x), value)
        judged = self.judge.read(self.judge.draft(x), value)
        for ticket in tickets:
            self._tell(ticket, judged)
            judged = judged._replace(again=True)
        if tickets:
            return None
        return judged

    # ---- what is under way ----

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a value, oldest first."""
        return self.optimizer.pending

    @property
    def busy(self) -> int:
        """How many of them have been asked for since the search was made or loaded."""
        return len(self.pending) - len(self._unanswered)

    def point(self, ticket: Ticket) -> Floats:
        """The point of a ticket, (D,), as the objective sees it."""
        return self._problem.decode(ticket.x[None])[0]

    def _alike(self, x: Floats) -> list[Ticket]:
        """The tickets under way whose points the objective cannot tell from x, (D,)."""
        key = self._evaluator.memory.key
        tickets = self.pending
        if not tickets:
            return []
        points = self._problem.decode(np.array([ticket.x for ticket in tickets]))
        return [t for t, y in zip(tickets, points, strict=True) if key(y) == key(x)]

    def resume(self) -> None:
        """Ask again for the points that were pending when the optimizer was saved."""
        self._unanswered = self.pending

    # ---- telling ----

    def _tell(self, ticket: Ticket, judged: Evaluated) -> None:
        self._unanswered = [each for each in self._unanswered if each.number != ticket.number]
        self._settle(ticket, [judged], [ticket.particle])

    def _settle(self, asked: Any, judged: Sequence[Evaluated], particles: Iterable[int]) -> None:
        """Tell the outcomes of a round's positions, or of a ticket."""
        iteration = self.optimizer.rounds
        self._note_all(iteration, judged, particles)
        self.judge.tell(asked, judged)
        if self.optimizer.rounds > iteration:
            self._completed(iteration)

    def _note_all(
        self, iteration: int, judged: Sequence[Evaluated], particles: Iterable[int]
    ) -> None:
        for particle, each in zip(particles, judged, strict=True):
            self._note(iteration, particle, each)
