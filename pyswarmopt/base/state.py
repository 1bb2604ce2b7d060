"""The state of a swarm: everything needed for resuming, as one dataclass.

Large arrays, (N, D) and (D,), are NumPy arrays, or torch tensors on a device, with the swarm's
dtype. Scores, one per particle, are float64 NumPy arrays on the CPU, whatever the device. They are
stored as costs (lower is better): a maximising swarm stores negated values, and `user_value`
converts back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Array, Bools, Floats, Ints, dtype_name, is_tensor
from pyswarmopt.base.in_flight import InFlight
from pyswarmopt.base.record import PLAIN, check
from pyswarmopt.base.storage import copied

OPTIONAL = ("memory", "in_flight")  # fields that may be missing in a saved state
MEMORY = "memory."  # prefix of the entries of `State.memory` in a saved state
EXEMPLARS = "exemplars"  # the entry with the positions' size, and the positions' place
IN_FLIGHT = "flights"  # prefix of the fields of `State.in_flight`


@dataclass(repr=False, eq=False)
class State:
    """State of a swarm of N particles in D dimensions; before any finite value g and w are the
    first particle.
    """

    positions: Array  # x, (N, D)
    velocities: Array  # v, (N, D)
    best_positions: Array  # p, the personal bests, (N, D)
    leader_position: Array  # g, the best position of the present population, (D,)
    # the best of all, (D,): the leader's, unless an earlier population's is better
    best_position: Array
    worst_position: Array  # w, the worst of all, (D,)
    costs: Floats  # cost of each particle's latest evaluation, (N,); NaN before it
    best_costs: Floats  # cost at p, (N,); +inf before any finite value
    stagnation: Ints  # iterations since each particle's p changed or it was restarted, (N,)
    arrived: Bools  # which values of a ticketed round have arrived, (N,)
    incoming: Floats  # those values as costs, (N,)
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
    # Memory of the recipe's parts between moves, such as the links of a random topology. Entries
    # are replaced, never edited, and cleared when the whole swarm restarts.
    memory: dict[str, Array] = field(default_factory=dict)
    in_flight: InFlight | None = None  # pending evaluations of asynchronous particles

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
            arrived=np.zeros(n, dtype=np.bool_),
            incoming=np.full(n, math.nan),
            maximize=maximize,
        )

    def repopulate(self, fresh: State) -> None:
        """Replace the population by `fresh`'s; the best and the worst of all are kept."""
        for name in POPULATION:
            setattr(self, name, getattr(fresh, name))
        self.born = self.generation
        if self.in_flight is not None:
            self.in_flight = InFlight.of(
                len(self.positions), self.in_flight.dispatched, self.in_flight.completed
            )
            self.in_flight.begin_round(self.leader_cost, self.best_cost)

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

    @property
    def mover(self) -> int | None:
        """The particle that moves next alone; None if all move at once."""
        return None if self.in_flight is None else self.in_flight.next()

    def count(self, evaluated: Bools | None) -> None:
        """Count an evaluation round of the particles in a mask, (N,), or of all."""
        self.generation += 1
        self.evaluations += len(self.costs) if evaluated is None else int(evaluated.sum())

    def arrive(self, particle: int, number: int, cost: float) -> None:
        """Store the cost of a particle of the round; its ticket must be due."""
        due = number == self.generation and particle in range(len(self.arrived))
        if not due or self.arrived[particle]:
            raise ValueError(
                f"ticket {number} of particle {particle} was told already, or is not of this round"
            )
        self.incoming[particle] = cost
        self.arrived[particle] = True

    def user_value(self, cost: float) -> float:
        """A cost in the user's sense: larger is better when the swarm maximises."""
        return -cost if self.maximize else cost

    def to_dict(self) -> dict[str, Any]:
        """Every field, not copied: arrays and tensors, the rest as int, float or bool; `memory`
        entry by entry.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in OPTIONAL}
        if self.in_flight is not None:
            values |= self.in_flight.state_dict(IN_FLIGHT)
        values |= {MEMORY + name: value for name, value in self.memory.items()}
        return values

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], owned: Callable[[Array], Array]) -> State:
        """The inverse of `to_dict`; `owned` converts a saved array or tensor to the state's own.
        Other entries are ignored.

        Raises:
            ValueError: a field is missing, or has another type or shape.
        """
        dtype = dtype_name(saved.get("positions"))
        if dtype not in FLOATING:
            raise ValueError("positions are no array of floating-point numbers")
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name not in OPTIONAL}
        arrays = {"Array": dtype} | SCORES
        expected = {
            name: (arrays[kind], AXES.get(name, "N")) if kind in arrays else PLAIN[kind]
            for name, kind in kinds.items()
        }
        expected |= {name: kind for name, kind in KNOWN_MEMORY.items() if name in saved}
        sizes: dict[str, int] = {}
        check(saved, expected, sizes)
        for name in (MEMORY + "links", MEMORY + EXEMPLARS):
            if name in saved and not ((saved[name] >= 0) & (saved[name] < sizes["N"])).all():
                raise ValueError(f"{name} names particles that are not there")
        values: dict[str, Any] = {"memory": {}}
        for name, kind in kinds.items():
            value = saved[name]
            if kind in arrays:
                value = owned(value) if kind == "Array" else value.copy()
            values[name] = value
        if f"{IN_FLIGHT}.tickets" in saved:
            values["in_flight"] = InFlight.from_state(saved, IN_FLIGHT, {"N": sizes["N"]})
        for name, value in saved.items():
            if name.startswith(MEMORY):
                mine = name.removeprefix(MEMORY)
                placed = is_tensor(value) or mine == EXEMPLARS
                values["memory"][mine] = owned(value) if placed else value.copy()
        return cls(**values)


# Axes of saved arrays other than (N,).
AXES = {
    "positions": "ND", "velocities": "ND", "best_positions": "ND",
    "leader_position": "D", "best_position": "D", "worst_position": "D",
}  # fmt: skip
# of the library's topologies and restarts
KNOWN_MEMORY = {
    MEMORY + "links": ("int64", "Nk"), MEMORY + "links_of": ("int64", ""),
    MEMORY + EXEMPLARS: ("int64", "ND"), MEMORY + "starting_extent": ("float64", ""),
}  # fmt: skip
FLOATING = ("float16", "bfloat16", "float32", "float64")
# dtypes of the arrays on the CPU, by annotation
SCORES = {"Floats": "float64", "Ints": "int64", "Bools": "bool"}

# Fields of the present population, replaced along with it.
POPULATION = (
    "positions", "velocities", "best_positions", "leader_position", "costs", "best_costs",
    "stagnation", "arrived", "incoming", "leader_cost", "leader_stagnation", "memory",
)  # fmt: skip
