"""The loop of every search: an optimizer is asked for points, these are evaluated side by side, and
it is told their outcomes.

The optimizer has the table of what is under way (`pyswarmopt.base.optimizer.UnderWay`), which is saved;
the loop finds its tickets by number or point, in a time that does not grow with how many there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from pyswarmopt.base.optimizer import Asked, Ticket

MOST_REPEATS = 20  # after so many known or pending points in a row it waits for a value
Answer = TypeVar("Answer")
AnswerOut = TypeVar("AnswerOut", covariant=True)
Outcome = TypeVar("Outcome")


class Calls(Protocol[AnswerOut]):
    """Evaluates points side by side."""

    @property
    def free(self) -> int:
        """How many more points it takes now."""

    @property
    def busy(self) -> int:
        """How many points are being evaluated."""

    def key(self, x: Any) -> Hashable:
        """A key of a point, (D,), equal for points that have the same outcome."""

    def send(self, x: Any) -> None:
        """Begin with a point, (D,)."""

    def hear(self) -> tuple[Hashable, Any, AnswerOut]:
        """Key, point and answer of the next one that ends."""


class Evaluation(NamedTuple):
    """An evaluation under way.

    Attributes:
        x: the point, (D,), as it is evaluated.
        key: a key of it, equal for points that have the same outcome.
    """

    x: Any
    key: Hashable


class Loop(ABC, Generic[Answer, Outcome]):
    """Asks, has points evaluated, and tells.

    Points are asked for by tickets. An optimizer of rounds gives none while values of its round are
    missing; any other gives a free worker its next point at once.

    Args:
        optimizer: proposes points.
        calls: evaluates them.
        completed: called with the number of each iteration that has ended.
    """

    def __init__(
        self, optimizer: Asked, calls: Calls[Answer], completed: Callable[[int], None]
    ) -> None:
        self.optimizer = optimizer
        self._calls = calls
        self._completed = completed
        # number -> ticket that was pending when the search was saved: to be asked again
        self._unanswered: dict[int, Ticket] = {}
        self._under_way: dict[int, Evaluation] = {}  # by ticket number
        # key of a point -> its tickets under way by number, oldest first
        self._waiting: dict[Hashable, dict[int, Ticket]] = {}

    # ---- what differs between searches ----

    @abstractmethod
    def known(self, x: Any) -> Outcome | None:
        """The outcome of a point, (D,), that needs no call; None if it needs one."""

    @abstractmethod
    def read(self, x: Any, answer: Answer, tickets: Sequence[Ticket]) -> Outcome:
        """The outcome of a point, (D,), from its answer; `tickets` wait for it."""

    @abstractmethod
    def settle(self, ticket: Ticket, outcome: Outcome) -> None:
        """Record the outcome of a ticket, and tell the optimizer."""

    def again(self, outcome: Outcome) -> Outcome:
        """An outcome for another ticket with the same point."""
        return outcome

    def points(self, tickets: Sequence[Ticket]) -> Sequence[Any]:
        """The points of tickets, (D,) each, as they are evaluated."""
        return [ticket.x for ticket in tickets]

    @property
    def iteration(self) -> int:
        """The number of the present iteration."""
        return self.optimizer.rounds

    # ---- asking and hearing ----

    def run_round(self) -> None:
        """Evaluate as many points as a round has. Calls under way at the end, of an optimizer that
        does not wait for them, continue into the next round.
        """
        began = self.optimizer.rounds
        repeats = 0
        while self.optimizer.rounds == began and not self.optimizer.stop():
            busy = self._calls.busy
            free = self._calls.free
            tickets: Sequence[Ticket] = []
            if free and (repeats < MOST_REPEATS or not busy):
                tickets = self.next_tickets(free)
            for ticket in tickets:
                repeats += 1
                x = self.take_up(ticket)
                if x is not None:
                    self._calls.send(x)
                    repeats = 0
            if not tickets and not busy:
                break  # budget or time is used up
            if not tickets:
                self.hear()
                repeats = 0

    def next_tickets(self, most: int) -> Sequence[Ticket]:
        """At most so many points; none while values are missing."""
        if self._unanswered:
            return [self._unanswered.pop(next(iter(self._unanswered)))]
        rounds, iteration = self.optimizer.rounds, self.iteration
        tickets = self.optimizer.ask(most)
        if self.optimizer.rounds > rounds:  # it needed no value
            self._completed(iteration)
        self._begin(tickets)
        return tickets

    def take_up(self, ticket: Ticket) -> Any:
        """The point of a ticket, (D,), if it is to be evaluated; else None. One that needs no call is
        told at once; one that equals another under way is told with it.
        """
        x, key = self._under_way[ticket.number]
        outcome = self.known(x)
        if outcome is not None:
            self._tell(ticket, outcome)
            return None
        first = self._tickets_at(key)[0]
        if first.number != ticket.number:
            return None
        return x

    def hear(self) -> None:
        """Tell the outcome of the next point that has been evaluated."""
        self._answer(*self._calls.hear())

    def _answer(self, key: Hashable, x: Any, answer: Answer) -> Outcome | None:
        """Tell the answer at a point, (D,), for all tickets that wait for it; its outcome if none
        does.
        """
        tickets = self._tickets_at(key)
        outcome = self.read(x, answer, tickets)
        for ticket in tickets:
            self._tell(ticket, outcome)
            outcome = self.again(outcome)
        if tickets:
            return None
        return outcome

    def _tell(self, ticket: Ticket, outcome: Outcome) -> None:
        self._unanswered.pop(ticket.number, None)
        self._end(ticket)
        rounds, iteration = self.optimizer.rounds, self.iteration
        self.settle(ticket, outcome)
        if self.optimizer.rounds > rounds:
            self._completed(iteration)

    # ---- what is under way ----

    @property
    def busy(self) -> int:
        """How many tickets under way have been asked for since the search was made or loaded."""
        return len(self._under_way) - len(self._unanswered)

    def point(self, number: int) -> Any:
        """The point, (D,), of the ticket under way with this number; None if there is no such."""
        if number not in self._under_way:
            return None
        return self._under_way[number].x

    def _tickets_at(self, key: Hashable) -> list[Ticket]:
        """The tickets under way whose points have this key, oldest first."""
        return list(self._waiting.get(key, {}).values())

    def _begin(self, tickets: Sequence[Ticket]) -> None:
        """Take tickets as under way."""
        for ticket, x in zip(tickets, self.points(tickets), strict=True):
            key = self._calls.key(x)
            self._under_way[ticket.number] = Evaluation(x, key)
            self._waiting.setdefault(key, {})[ticket.number] = ticket

    def _end(self, ticket: Ticket) -> None:
        """Take a ticket as told."""
        key = self._under_way.pop(ticket.number).key
        tickets = self._waiting[key]
        del tickets[ticket.number]
        if not tickets:
            del self._waiting[key]

    def resume(self) -> None:
        """Ask again for the points that were pending when the optimizer was saved."""
        tickets = self.optimizer.pending
        self._unanswered = {ticket.number: ticket for ticket in tickets}
        self._under_way = {}
        self._waiting = {}
        self._begin(tickets)
