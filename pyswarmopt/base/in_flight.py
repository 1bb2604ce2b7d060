"""Who is out to be evaluated, in a swarm whose particles move one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

IDLE = -1  # in place of a ticket's number
NEVER = -1  # in place of the time of the last landing


@dataclass
class Flights:
    """The particles in flight: handed out and not told yet.

    Attributes:
        numbers: of the ticket with which each particle is out, (N,); `IDLE` for one that is not.
        landed: how many values had been told before each particle's latest one, (N,); `NEVER` before its first.
        handed: tickets handed out so far; the number of the next one.
        told: values told so far.
        in_round: those of them that were told in the present round, which is over after N.
        leader_cost: cost at g when the round began.
        best_cost: cost at the best of all when the round began.
        grounded: nobody is handed out until those in flight are told, since the whole swarm is to restart.
    """

    numbers: Ints
    landed: Ints
    handed: int = 0
    told: int = 0
    in_round: int = 0
    leader_cost: float = math.inf
    best_cost: float = math.inf
    grounded: bool = False

    @classmethod
    def of(cls, n: int, handed: int = 0, told: int = 0) -> Flights:
        """All n particles are idle, none has been evaluated."""
        return cls(np.full(n, IDLE, dtype=np.int64), np.full(n, NEVER, dtype=np.int64), handed, told)

    @property
    def out(self) -> Bools:
        """Which particles are in flight, (N,)."""
        return self.numbers != IDLE

    def next(self) -> int | None:
        """The idle particle that has waited longest, the first of those that never flew; None if there is none."""
        idle = np.flatnonzero(self.numbers == IDLE)
        return None if self.grounded or not idle.size else int(idle[self.landed[idle].argmin()])

    def take_off(self, particle: int) -> int:
        """Particle out; the number of its ticket."""
        self.numbers[particle] = self.handed
        self.handed += 1
        return self.handed - 1

    def land(self, particle: int, number: int) -> bool:
        """Particle back with the ticket of that number; whether this was its first flight.

        Raises:
            ValueError: no such ticket is out.
        """
        if particle not in range(len(self.numbers)) or self.numbers[particle] != number:
            raise ValueError(f"ticket {number} of particle {particle} was told already, or is not of this swarm")
        first = bool(self.landed[particle] == NEVER)
        self.numbers[particle], self.landed[particle] = IDLE, self.told
        self.told += 1
        self.in_round += 1
        return first

    def begin_round(self, leader_cost: float, best_cost: float) -> None:
        """A round of N values begins, with these costs at g and at the best of all."""
        self.in_round, self.leader_cost, self.best_cost = 0, leader_cost, best_cost

    def to_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Flights:
        """The inverse of `to_dict`; arrays may come as tensors."""
        values: dict[str, Any] = {k: v.cpu().numpy().copy() if isinstance(v, Tensor) else v for k, v in saved.items()}
        return cls(**values)


__all__ = ["Flights"]
