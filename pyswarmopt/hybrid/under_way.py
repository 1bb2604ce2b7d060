"""Pending points of a search with phases, handed out one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.record import check


@dataclass(frozen=True, eq=False)
class Sent:
    """A point that was handed out.

    Attributes:
        ticket: ticket of the point.
        beside: whether it is outside the round, which does not wait for it.
    """

    ticket: Ticket
    beside: bool


class UnderWay:
    """The pending points by ticket number, oldest first.

    Args:
        dim: coordinates of a point.

    Example:
        >>> under_way = UnderWay(2)
        >>> ticket = under_way.send(np.array([1.0, 2.0]), row=0, beside=False)
        >>> under_way.rows(), under_way.points.tolist(), under_way.take(ticket).beside, len(under_way)
        ([0], [[1.0, 2.0]], False, 0)
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._sent: dict[int, Sent] = {}
        self._total = 0  # points handed out so far

    def __len__(self) -> int:
        return len(self._sent)

    def send(self, x: Floats, row: int, beside: bool) -> Ticket:
        """Hand out a point, (D,), from a row of the round."""
        ticket = Ticket(x, row, self._total)
        self._total += 1
        self._sent[ticket.number] = Sent(Ticket(x.copy(), row, ticket.number), beside)
        return ticket

    def find(self, ticket: Ticket) -> Sent | None:
        """The entry of this ticket; None if it has a value already, or is not from here."""
        return self._sent.get(ticket.number)

    def take(self, ticket: Ticket) -> Sent:
        """The entry of this ticket, which is then no longer pending.

        Raises:
            ValueError: the ticket is not pending.
        """
        sent = self._sent.pop(ticket.number, None)
        if sent is None:
            raise ValueError(f"ticket {ticket.number} was told already, or is not of this search")
        return sent

    def rows(self) -> list[int]:
        """Pending rows of the round."""
        return [sent.ticket.particle for sent in self._sent.values() if not sent.beside]

    def tickets(self) -> list[Ticket]:
        """Their tickets, with copies of the points."""
        tickets = [sent.ticket for sent in self._sent.values()]
        return [Ticket(each.x.copy(), each.particle, each.number) for each in tickets]

    @property
    def points(self) -> Floats:
        """The points, (k, D)."""
        found = [sent.ticket.x for sent in self._sent.values()]
        return np.array(found, dtype=np.float64).reshape(-1, self._dim)

    # ---- saving ----

    def state_dict(self, prefix: str) -> dict[str, Any]:
        """Everything `from_state` needs, under names after `prefix`."""
        sent = self._sent.values()
        return {
            f"{prefix}.total": self._total,
            f"{prefix}.numbers": np.array([each.ticket.number for each in sent], np.int64),
            f"{prefix}.rows": np.array([each.ticket.particle for each in sent], np.int64),
            f"{prefix}.beside": np.array([each.beside for each in sent], np.int64),
            f"{prefix}.points": self.points,
        }

    @classmethod
    def from_state(cls, saved: Mapping[str, Any], prefix: str, dim: int) -> Self:
        """The inverse of `state_dict`.

        Raises:
            ValueError: an entry is missing or inconsistent.
        """
        columns = [f"{prefix}.{name}" for name in ("numbers", "rows", "beside")]
        expected: dict[str, Any] = dict.fromkeys(columns, ("int64", "k"))
        expected[f"{prefix}.points"] = ("float64", "kD")
        expected[f"{prefix}.total"] = int
        check(saved, expected, {"D": dim})
        found = cls(dim)
        found._total = saved[f"{prefix}.total"]
        lists = [saved[column].tolist() for column in columns]
        for number, row, beside, x in zip(*lists, saved[f"{prefix}.points"], strict=True):
            if not 0 <= number < found._total or number in found._sent:
                raise ValueError(f"{prefix}.numbers: {number} is no ticket of {found._total}")
            found._sent[number] = Sent(Ticket(x.copy(), row, number), bool(beside))
        return found
