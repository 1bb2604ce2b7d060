"""Points that a search by rounds hands out one by one, and others that are evaluated meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.record import Record, array, given

BESIDE = -1  # in place of a row of the round


@dataclass
class Tickets(Record):
    """What is under way, and what the round's points have so far.

    A row of `points` is the point of a ticket, one of `numbers` its number and its place in the
    round, or `BESIDE` where it belongs to none.
    """

    points: Floats = given("kD")
    numbers: Ints = field(
        default_factory=lambda: np.empty((0, 2), dtype=np.int64),
        metadata={"axes": "k2", "dtype": "int64"},
    )
    values: Floats = array("m")  # NaN before they are told
    sent: int = 0  # points of the round
    dispatched: int = 0  # number of the next ticket

    @property
    def complete(self) -> bool:
        """Whether all points of the round have been told."""
        return self.sent == len(self.values) and bool((self.numbers[:, 1] == BESIDE).all())

    def begin_round(self, count: int) -> None:
        """Begin a round of so many points."""
        self.values, self.sent = np.full(count, math.nan), 0

    def hand_out(self, x: Floats, beside: bool) -> Ticket:
        """The ticket of the round's next point, or of one beside it, (D,)."""
        row = BESIDE if beside else self.sent
        number = self.dispatched
        self.points = np.concatenate([self.points, x[None]])
        self.numbers = np.concatenate([self.numbers, [[number, row]]])
        self.sent += not beside
        self.dispatched += 1
        return self._ticket(x, number, row)

    def pending(self) -> list[Ticket]:
        """The tickets under way, the oldest first; a point beside the round counts as its last."""
        pairs = zip(self.points, self.numbers.tolist(), strict=True)
        return [self._ticket(x, number, row) for x, (number, row) in pairs]

    def _ticket(self, x: Floats, number: int, row: int) -> Ticket:
        return Ticket(x.copy(), row if row != BESIDE else len(self.values), number)

    def take_back(self, ticket: Ticket, value: float) -> bool:
        """Take a ticket's value; returns whether it was beside the round.

        Raises:
            ValueError: it is not under way.
        """
        i = np.flatnonzero(self.numbers[:, 0] == ticket.number)
        if not len(i):
            raise ValueError(f"ticket {ticket.number} was told already, or is not of this search")
        row = int(self.numbers[i[0], 1])
        self.points, self.numbers = np.delete(self.points, i, 0), np.delete(self.numbers, i, 0)
        if row == BESIDE:
            return True
        self.values[row] = value
        return False

    def check_round(self, asked: int) -> None:
        """Raise ValueError for numbers that are not of a round of so many points."""
        rows, told = self.numbers[:, 1], len(self.values)
        fits = told in (0, asked) and len(rows) == len(self.points) and self.sent <= told
        if not (fits and (rows >= BESIDE).all() and (rows < self.sent).all()):
            raise ValueError("tickets that are not of this round")
