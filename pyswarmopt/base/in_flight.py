"""Pending evaluations of a swarm whose particles move asynchronously."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Bools, Ints
from pyswarmopt.base.record import StateRecord

IDLE = -1  # instead of a ticket number
NEVER = -1  # instead of the time of the latest completion


@dataclass(frozen=True, eq=False)
class Ticket:
    """A position to evaluate, whose value is told separately.

    Attributes:
        x: the position, (D,), a copy: an array, or a tensor if the swarm uses tensors.
        particle: index of the particle.
        number: number of its evaluation round; each ticket from `Swarm.ask_one` has its own.

    Example:
        >>> import pyswarmopt as pso
        >>> ticket = pso.Swarm(bounds=[(0, 1)], seed=0).ask_one()
        >>> ticket.particle, ticket.x.shape
        (0, (1,))
    """

    x: Any
    particle: int
    number: int


class InFlight(StateRecord):
    """Particles that are being evaluated."""

    # number of each particle's pending ticket, (N,), or `IDLE`
    tickets: Ints
    # value of `completed` before each particle's latest evaluation, (N,), or `NEVER`
    completed_at: Ints
    dispatched: int = 0  # number of the next ticket
    completed: int = 0  # completed evaluations
    in_round: int = 0  # evaluations completed in the present round, which ends after N
    leader_cost: float = math.inf  # cost at g at the start of the round
    best_cost: float = math.inf  # cost at the best of all at the start of the round
    # no dispatch until pending evaluations return: a restart of the swarm is due
    paused: bool = False

    @classmethod
    def of(cls, n: int, dispatched: int = 0, completed: int = 0) -> InFlight:
        """All n particles idle and not yet evaluated."""
        return cls(np.full(n, IDLE), np.full(n, NEVER), dispatched, completed)

    @property
    def pending(self) -> Bools:
        """Mask of the particles that are being evaluated, (N,)."""
        return self.tickets != IDLE

    def next(self) -> int | None:
        """The particle idle for longest, new ones first; None if there is none, or dispatch is
        paused.
        """
        idle = np.flatnonzero(self.tickets == IDLE)
        if self.paused or not idle.size:
            return None
        return int(idle[self.completed_at[idle].argmin()])

    def dispatch(self, particle: int) -> int:
        """Mark the particle as pending; return its ticket number."""
        self.tickets[particle] = self.dispatched
        self.dispatched += 1
        return self.dispatched - 1

    def complete(self, particle: int, ticket: int) -> bool:
        """Mark the particle as idle again; return whether this was its first evaluation."""
        if particle not in range(len(self.tickets)) or self.tickets[particle] != ticket:
            raise ValueError(
                f"ticket {ticket} of particle {particle} was already told or belongs to another swarm"
            )
        first = bool(self.completed_at[particle] == NEVER)
        self.tickets[particle] = IDLE
        self.completed_at[particle] = self.completed
        self.completed += 1
        self.in_round += 1
        return first

    def begin_round(self, leader_cost: float, best_cost: float) -> None:
        """Start a round of N evaluations, with the costs at g and at the best of all."""
        self.in_round = 0
        self.leader_cost = leader_cost
        self.best_cost = best_cost
