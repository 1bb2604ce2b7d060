"""The loop of `minimize` and `Study`: whole rounds at once, or points by tickets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.loop import Loop
from pyswarmopt.base.optimizer import BESIDE, Optimizer, Ticket
from pyswarmopt.driver.call import Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.judge import Evaluated, Judge
from pyswarmopt.driver.options import Problem


class ObjectiveLoop(Loop[Value, Evaluated]):
    """Asks, has points evaluated by the objective, and tells.

    Args:
        optimizer: proposes points.
        problem: maps its positions to points.
        evaluator: calls the objective.
        judge: tells the optimizer, and keeps the best point.
        note: called with an iteration, particles of it and what is known about their points.
        completed: called with the number of each iteration that has ended.
    """

    optimizer: Optimizer

    def __init__(
        self,
        optimizer: Optimizer,
        problem: Problem,
        evaluator: Evaluator,
        judge: Judge,
        note: Callable[[int, Iterable[int], Sequence[Evaluated]], None],
        completed: Callable[[int], None],
    ) -> None:
        super().__init__(optimizer, evaluator, completed)
        self.judge = judge
        self._problem = problem
        self._evaluator = evaluator
        self._note = note

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
        iteration = self.optimizer.rounds
        self._note(iteration, range(len(judged)), judged)
        if error is not None:
            if forgives:
                self.judge.keep(judged)
            raise error
        self.judge.tell(x, judged)
        self._completed(iteration)

    # ---- one by one ----

    def known(self, x: Floats) -> Evaluated | None:
        """A point that breaks a constraint, or whose value is known."""
        draft = self.judge.draft(x)
        if draft.counts:
            self._evaluator.skipped += 1
            return draft
        value = self._evaluator.recall(x)
        if value is None:
            return None
        return self.judge.read(draft._replace(again=True), value)

    def read(self, x: Floats, answer: Value, tickets: Sequence[Ticket]) -> Evaluated:
        self._evaluator.learn(self._evaluator.key(x), answer)
        return self.judge.read(self.judge.draft(x), answer)

    def again(self, outcome: Evaluated) -> Evaluated:
        return outcome._replace(again=True)

    def settle(self, ticket: Ticket, outcome: Evaluated) -> None:
        self._note(self.iteration, [ticket.particle], [outcome])
        self.judge.tell(ticket, [outcome])

    def take(self, x: Floats, value: Value) -> None:
        """Record the value of a point, (D,), that was called elsewhere, asked for or not."""
        self._evaluator.calls += 1
        unasked = self._answer(self._evaluator.key(x), x, value)
        if unasked is not None:
            self.judge.take_in([unasked])
            self._note(self.optimizer.rounds, [BESIDE], [unasked])

    def points(self, tickets: Sequence[Ticket]) -> Sequence[Any]:
        """The points of tickets, (D,) each, as the objective sees them."""
        if not tickets:
            return []
        return list(self._problem.decode(np.array([ticket.x for ticket in tickets])))
