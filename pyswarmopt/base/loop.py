"""The loop of every search: an optimizer is asked for points, these are evaluated side by side, and
it is told their outcomes.

The optimizer has the table of what is under way (`pyswarmopt.base.optimizer.UnderWay`); the loop finds
its tickets by their points, in a time that does not grow with their number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

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
        # key of a point -> its tickets under way by number, oldest first
        self._waiting: dict[Hashable, dict[int, Ticket]] = {}
        self._keys: dict[int, Hashable] = {}  # number of a ticket under way -> key of its point

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
        tickets: list[Ticket] = self.optimizer.ask(most)
        if self.optimizer.rounds > rounds:  # it needed no value
            self._completed(iteration)
        self._begin(tickets)
        return tickets

    def take_up(self, ticket: Ticket) -> Any:
        """The point of a ticket, (D,), if it is to be evaluated; else None. One that needs no call is
        told at once; one that equals another under way is told with it.
        """
        x = self.point(ticket)
        outcome = self.known(x)
        if outcome is not None:
            self._tell(ticket, outcome)
            return None
        first = self._alike(self._calls.key(x))[0]
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
        tickets = self._alike(key)
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
    def pending(self) -> list[Ticket]:
        """The tickets without a value, oldest first."""
        return self.optimizer.pending

    @property
    def busy(self) -> int:
        """How many of them have been asked for since the search was made or loaded."""
        return len(self.pending) - len(self._unanswered)

    def ticket(self, number: int) -> Ticket | None:
        """The ticket under way with this number."""
        if number not in self._keys:
            return None
        return self._waiting[self._keys[number]][number]

    def point(self, ticket: Ticket) -> Any:
        """The point of a ticket, (D,), as it is evaluated."""
        return self.points([ticket])[0]

    def _alike(self, key: Hashable) -> list[Ticket]:
        """The tickets under way whose points have this key, oldest first."""
        return list(self._waiting.get(key, {}).values())

    def _begin(self, tickets: Sequence[Ticket]) -> None:
        """Take tickets as under way."""
        for ticket, x in zip(tickets, self.points(tickets), strict=True):
            key = self._calls.key(x)
            self._keys[ticket.number] = key
            self._waiting.setdefault(key, {})[ticket.number] = ticket

    def _end(self, ticket: Ticket) -> None:
        """Take a ticket as told."""
        key = self._keys.pop(ticket.number)
        tickets = self._waiting[key]
        del tickets[ticket.number]
        if not tickets:
            del self._waiting[key]

    def resume(self) -> None:
        """Ask again for the points that were pending when the optimizer was saved."""
        tickets = self.pending
        self._unanswered = {ticket.number: ticket for ticket in tickets}
        self._waiting = {}
        self._keys = {}
        self._begin(tickets)
