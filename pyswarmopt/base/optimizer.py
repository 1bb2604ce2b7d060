"""The interface between proposing and evaluating points."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

import numpy.typing as npt

from pyswarmopt.base.arrays import Array, Floats, copied
from pyswarmopt.base.record import StateRecord

if TYPE_CHECKING:
    from torch import Tensor

BESIDE = -1  # row of a point outside any round


class Point(NamedTuple):
    """A position with its value.

    Attributes:
        x: (D,), a copy: an array, or a tensor if the swarm uses tensors.
        value: the objective's value; infinitely bad before any finite value.

    Example:
        >>> Point([0.0, 0.0], 1.5).value
        1.5
    """

    x: Any
    value: float


@dataclass(frozen=True, eq=False)
class Ticket:
    """A position to evaluate, whose value is told separately.

    Attributes:
        x: the position, (D,), a copy: an array, or a tensor if the swarm uses tensors.
        particle: index of the particle, or row of the round; -1 outside any round.
        number: its own number, larger than those of earlier tickets.

    Example:
        >>> import pyswarmopt as pso
        >>> [ticket] = pso.Swarm(bounds=[(0, 1)], seed=0).ask(1)
        >>> ticket.particle, ticket.x.shape
        (0, (1,))
    """

    x: Any
    particle: int
    number: int


class UnderWay(StateRecord):
    """The tickets of an optimizer that have no value yet, and the values of a round that waits for
    the others.

    Attributes:
        issued: number of tickets so far.
        handed_out: rows of the present round that have or had a ticket.
        told: what was told of each row of the round so far; empty: nothing yet.
        pending: tickets without a value by number, oldest first.

    Example:
        >>> import numpy as np
        >>> under_way = UnderWay()
        >>> first, second = under_way.hand_out(np.eye(2), most=9)
        >>> under_way.receive(second, [2.0], of=2) is None, list(under_way.pending)
        (True, [0])
        >>> under_way.receive(first, [1.0], of=2)
        [[1.0], [2.0]]
    """

    issued: int = 0
    handed_out: int = 0
    told: list[list[float]] = field(default_factory=list)
    pending: dict[int, Ticket] = field(default_factory=dict, metadata={"saved": False})

    def hand_out(self, points: Array, most: int) -> list[Ticket]:
        """At most so many tickets for the round's points, (m, D), that have had none."""
        rows = range(self.handed_out, min(self.handed_out + most, len(points)))
        self.handed_out = rows.stop
        return [self.issue(points[row], row) for row in rows]

    def issue(self, x: Array, row: int = BESIDE) -> Ticket:
        """A ticket for a point, (D,)."""
        ticket = Ticket(copied(x), row, self.issued)
        self.issued += 1
        self.pending[ticket.number] = ticket
        return ticket

    def close(self, ticket: Ticket) -> None:
        """Take a ticket from the pending ones.

        Raises:
            ValueError: it is not among them.
        """
        if self.pending.pop(ticket.number, None) is None:
            raise ValueError(
                f"ticket {ticket.number} was already told or belongs to another round or search"
            )

    def receive(self, ticket: Ticket, row: list[float], of: int) -> list[list[float]] | None:
        """Close a ticket of a round with so many points, and keep what was told of it.

        Returns:
            All rows of the round if this was the last one.
        """
        self.close(ticket)
        if not self.told:
            self.told = [[] for _ in range(of)]
        self.told[ticket.particle] = row
        if not all(self.told):
            return None
        return self.told

    def end_round(self) -> None:
        """Forget the present round; tickets outside it remain."""
        self.handed_out = 0
        self.told = []
        self.pending = {n: t for n, t in self.pending.items() if t.particle == BESIDE}

    # ---- saving ----

    def state_dict(
        self, prefix: str, copied: Callable[[Any], Any] = copy.deepcopy
    ) -> dict[str, Any]:
        """Everything but the points, which the optimizer has or saves."""
        pending = [[ticket.number, ticket.particle] for ticket in self.pending.values()]
        return super().state_dict(prefix, copied) | {f"{prefix}pending": pending}

    def restore(self, saved: Mapping[str, Any], prefix: str, **problem: Any) -> None:
        super().restore(saved, prefix, pending={})
        for number, row in saved[f"{prefix}pending"]:
            self.pending[number] = Ticket(None, row, number)

    def place(self, points: Array) -> None:
        """Give the pending tickets of a restored state their points, (k, D)."""
        tickets = zip(self.pending.values(), points, strict=True)
        self.pending = {t.number: Ticket(copied(x), t.particle, t.number) for t, x in tickets}


class Asked(Protocol):
    """What a loop needs of an optimiser: points by tickets until `stop` returns a reason."""

    @property
    def rounds(self) -> int:
        """Completed rounds."""

    def ask(self, n: int) -> list[Ticket]:
        """At most so many new tickets: fewer, or none, while values are missing."""

    def stop(self) -> dict[str, float]:
        """Reasons to stop, with their values; empty if the search continues."""

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a value, oldest first."""
        return []


class Optimizer(Asked, Protocol):
    """The interface of an optimiser: ask, evaluate and tell until `stop` returns a reason.

    Points are asked for and told in whole rounds, or by tickets: the learning of a round waits for
    the last of its tickets. Methods with a body here are optional.

    Example:
        >>> import pyswarmopt as pso
        >>> optimizer = pso.Swarm(bounds=[(-5, 5)] * 2, seed=1)
        >>> while not optimizer.stop() and optimizer.iteration < 50:
        ...     x = optimizer.ask()
        ...     optimizer.tell(x, (x**2).sum(-1))
        >>> optimizer.best.value < 1e-3
        True
    """

    @property
    def best(self) -> Point:
        """The best point evaluated so far."""

    @overload
    def ask(self, n: None = None) -> Array: ...

    @overload
    def ask(self, n: int) -> list[Ticket]: ...

    def ask(self, n: int | None = None) -> Array | list[Ticket]:
        """Positions to evaluate, (N, D), a tensor or an array; unchanged until `tell`. With n, at
        most so many new tickets: fewer, or none, while values are missing.
        """

    def tell(
        self,
        positions: Any,
        values: npt.ArrayLike | Tensor,
        dropped: npt.ArrayLike | Tensor | None = None,
    ) -> None:
        """Record the values, (N,), of the positions from `ask`, or the value of a ticket.

        `dropped` is a mask, (N,), of positions that were not evaluated; an optimizer that needs
        every value raises a ValueError.
        """

    def take_in(
        self, positions: npt.ArrayLike, values: npt.ArrayLike, rows: Floats | None = None
    ) -> None:
        """Record the values, (n,), of points that were not asked for, (n, D); ignored by default."""
        return

    def expect_together(self, count: int) -> None:
        """Propose this many points together, as they are evaluated at the same time; ignored by
        default.
        """
        return

    @property
    def remark(self) -> str:
        """What a user should know about the function, to append to a message; usually empty."""
        return ""
