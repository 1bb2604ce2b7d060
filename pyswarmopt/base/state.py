"""The state of a swarm: everything needed for resuming, as one dataclass.

Large arrays, (N, D) and (D,), are NumPy arrays, or torch tensors on a device, with the swarm's
dtype. Scores, one per particle, are float64 NumPy arrays on the CPU, whatever the device. They are
stored as costs (lower is better): a maximising swarm stores negated values, and `user_value`
converts back.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any, TypeVar

import numpy as np

from pyswarmopt.base.arrays import Array, Bools, Floats, Ints, copied
from pyswarmopt.base.record import StateRecord, part

V = TypeVar("V", float, Floats)
MEMORY = "memory."  # prefix of the entries of `State.memory` in a saved state
EXEMPLARS = "exemplars"  # entry of `State.memory`


# entries of a saved swarm with the positions' size or dimension, and their place
LARGE_ENTRIES = {
    "positions", "velocities", "best_positions", "leader_position", "best_position",
    "worst_position", MEMORY + EXEMPLARS, "low", "high",
}  # fmt: skip


class Turns(StateRecord):
    """Whose turn it is, of particles that do not wait for one another.

    Attributes:
        waiting: particles without a pending evaluation, longest first.
        first: number of the present population's first ticket.
        in_round: values of the present round, which ends after N.
        leader_cost: cost at g when the round began.
        best_cost: cost at the best of all when the round began.
        renewed: the latest round in which a topology could renew random links.
        paused: whether nobody moves until the pending values are there: the swarm restarts then.
    """

    waiting: list[int]
    first: int = 0
    in_round: int = 0
    leader_cost: float = math.inf
    best_cost: float = math.inf
    renewed: int = -1
    paused: bool = False

    @classmethod
    def of(cls, n: int) -> Turns:
        """All n particles waiting, and not yet evaluated."""
        return cls(list(range(n)))

    def begin_round(self, state: State) -> None:
        """Start a round of N evaluations."""
        self.in_round = 0
        self.leader_cost = state.leader_cost
        self.best_cost = state.best_cost


class State(StateRecord):
    """State of a swarm of N particles in D dimensions; before any finite value g and w are the
    first particle.
    """

    positions: Array  # (N, D): x
    velocities: Array  # (N, D): v
    best_positions: Array  # (N, D): p, the personal bests
    leader_position: Array  # (D,): g, the best position of the present population
    # the best of all: the leader's, unless an earlier population's is better
    best_position: Array  # (D,)
    worst_position: Array  # (D,): w, the worst of all
    costs: Floats  # (N,): cost of each particle's latest evaluation; NaN before it
    best_costs: Floats  # (N,): cost at p; +inf before any finite value
    # iterations since each particle's p changed or it was restarted
    stagnation: Ints  # (N,)
    leader_cost: float = math.inf  # cost at g
    leader_stagnation: int = 0  # iterations since g changed
    best_cost: float = math.inf  # cost at the best of all
    best_stagnation: int = 0  # iterations since the best of all changed
    worst_cost: float = -math.inf  # cost at w
    generation: int = 0  # completed evaluation rounds, the starting positions' included
    born: int = 0  # the round that evaluates the present population's starting positions
    evaluations: int = 0  # completed evaluations, without dropped particles
    pending: bool = False  # positions were handed out, and their values are still missing
    maximize: bool = False  # the user's values are negated costs
    turns: Any = part()  # the `Turns` of particles that do not wait for one another, else None
    # Memory of the recipe's parts between moves, such as the links of a random topology. Entries
    # are replaced, never edited, and cleared when the whole swarm restarts.
    memory: dict[str, Array] = field(default_factory=dict, metadata={"saved": False})

    @classmethod
    def start(cls, positions: Array, velocities: Array, maximize: bool) -> State:
        """The state before the first evaluation; it takes ownership of both arrays."""
        n = len(positions)
        return cls(
            positions=positions,
            velocities=velocities,
            best_positions=copied(positions),
            leader_position=copied(positions[0]),
            best_position=copied(positions[0]),
            worst_position=copied(positions[0]),
            costs=np.full(n, math.nan),
            best_costs=np.full(n, math.inf),
            stagnation=np.zeros(n, dtype=np.int64),
            maximize=maximize,
        )

    def repopulate(self, fresh: State) -> None:
        """Replace the population by `fresh`'s; the best and the worst of all are kept."""
        for name in POPULATION:
            setattr(self, name, getattr(fresh, name))
        self.born = self.generation
        if self.turns is not None:
            self.turns = Turns.of(len(self.positions))
            self.turns.begin_round(self)

    @property
    def iteration(self) -> int:
        """Rounds evaluated after the first; without a restart of the swarm, the number of completed
        moves.
        """
        return max(self.generation - 1, 0)

    @property
    def age(self) -> int:
        """Evaluated rounds of the present population; 0 while its starting positions are new."""
        return self.generation - self.born

    def count(self, evaluated: Bools | None) -> None:
        """Count an evaluation round of the particles in a mask, (N,), or of all."""
        self.generation += 1
        self.evaluations += len(self.costs) if evaluated is None else int(evaluated.sum())

    def user_value(self, cost: V) -> V:
        """The objective's value for a cost, or the cost for a value: negated if the swarm maximises."""
        return -cost if self.maximize else cost


# Fields of the present population, replaced along with it.
POPULATION = (
    "positions", "velocities", "best_positions", "leader_position", "costs", "best_costs",
    "stagnation", "leader_cost", "leader_stagnation", "memory",
)  # fmt: skip
