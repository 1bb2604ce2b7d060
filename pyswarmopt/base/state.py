"""Everything a swarm remembers: the numbers a resume needs, as one dataclass.

Large arrays, (N, D) and (D,), are torch tensors of the swarm's dtype on its device. Scores, one per particle,
are float64 NumPy arrays on the CPU whatever the device. Scores are kept as costs (lower is better): a swarm
that maximises stores the negated value, and `user_value` turns it back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.base.checkpoint import check
from pyswarmopt.base.in_flight import Flights
from pyswarmopt.base.storage import IN_MEMORY, Storage
from pyswarmopt.engine.buffers import Lender
from pyswarmopt.engine.numba.loader import COMPILER
from pyswarmopt.engine.random_factors import Factors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NUMPY_DTYPES = (torch.float64, torch.float32)
LENT_FROM = 2**18  # numbers; up to there a copy costs less than the memory that a loan saves is worth
FEW_NUMBERS = 2**12  # up to which a comparison in Python beats one in torch
FEW_COLUMNS = 512  # up to which a masked copy of all rows beats one copy per row
ONE = np.array(1)  # NumPy takes it in a third of the time of a number of Python's
ZERO = np.zeros((1, 1), np.float32)
OPTIONAL = ("memory", "factors", "flights", "storage")  # fields that a saved state need not have
MEMORY = "memory."  # prefix of the entries of `State.memory` in a saved state
FACTORS = "factors."  # of those of `State.factors`
FLIGHTS = "flights."  # of the fields of `State.flights`


class Arrays(NamedTuple):
    """The large tensors of a state on the CPU as NumPy arrays on the same memory.

    Attributes:
        x: positions, (N, D).
        v: velocities, (N, D).
        p: personal bests, (N, D).
        g: the best of the present population, (1, D).
        w: the worst point, (1, D).
    """

    x: npt.NDArray[Any]
    v: npt.NDArray[Any]
    p: npt.NDArray[Any]
    g: npt.NDArray[Any]
    w: npt.NDArray[Any]


@dataclass
class State:
    """State of a swarm of N particles in D dimensions.

    Attributes:
        positions: x, (N, D).
        velocities: v, (N, D).
        best_positions: p, each particle's personal best, (N, D).
        leader_position: g, the best that the present population has seen, (D,). The first particle until a
            finite value was seen.
        best_position: the best of all seen, (D,); the leader's, unless an earlier population found better.
        worst_position: w, the worst of all seen, (D,). The first particle until a finite value was seen.
        costs: cost of each particle's latest evaluation, (N,); NaN until it was evaluated.
        best_costs: cost at p, (N,); +inf until a finite value was seen.
        stagnation: iterations since each particle's p changed or it was restarted, (N,).
        arrived: which of the pending values were told by ticket, (N,).
        incoming: those values as costs, (N,).
        leader_cost: cost at g.
        leader_stagnation: iterations since g changed.
        best_cost: cost at the best of all.
        best_stagnation: iterations since the best of all changed.
        worst_cost: cost at w.
        generation: how often the swarm was told; the first one is the evaluation of the starting positions.
        born: the generation that evaluates (or will) the starting positions of the present population: 0, or
            that of the latest restart of the whole swarm.
        evaluations: values told, those of dropped particles not counted.
        pending: positions were asked for and not told yet.
        maximize: whether the user's values are negated costs.
        memory: what parts of the recipe remember from move to move, by name: for example the links of a random
            topology. An entry is replaced, never edited. Forgotten when the whole swarm restarts.
        factors: the random factors of the coming moves, as far as they were drawn.
        flights: who is out to be evaluated, if particles move one by one; None if they move together.
        storage: where the large tensors are.
    """

    positions: Tensor
    velocities: Tensor
    best_positions: Tensor
    leader_position: Tensor
    best_position: Tensor
    worst_position: Tensor
    costs: Floats
    best_costs: Floats
    stagnation: Ints
    arrived: Bools
    incoming: Floats
    leader_cost: float = math.inf
    leader_stagnation: int = 0
    best_cost: float = math.inf
    best_stagnation: int = 0
    worst_cost: float = -math.inf
    generation: int = 0
    born: int = 0
    evaluations: int = 0
    pending: bool = False
    maximize: bool = False
    memory: dict[str, Tensor] = field(default_factory=dict)
    factors: Factors = field(default_factory=Factors)
    flights: Flights | None = None
    storage: Storage = IN_MEMORY

    def __post_init__(self) -> None:
        self._forget_views()
        self._lender = Lender(self.storage)
        # Whether NumPy can work on the tensors: those on the CPU, of a dtype that it has.
        self.in_numpy = self.positions.dtype in NUMPY_DTYPES and self.positions.device.type == "cpu"

    def _forget_views(self) -> None:
        self._shown: tuple[Any, ...] = (None,) * len(LARGE)  # the tensors of which `_arrays` are views
        self._arrays: Arrays
        self._plain = False
        self._handed: tuple[Tensor | None, npt.NDArray[Any]] = None, np.empty(0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """After pickling: what were views are copies, which nobody may write to."""
        vars(self).update(state)
        self._forget_views()

    @classmethod
    def start(cls, positions: Tensor, velocities: Tensor, maximize: bool, storage: Storage = IN_MEMORY) -> State:
        """The state before the first evaluation; takes both tensors over."""
        n = len(positions)
        made = cls(
            positions=positions,
            velocities=velocities,
            best_positions=storage.copy(positions),
            leader_position=storage.copy(positions[0]),
            best_position=storage.copy(positions[0]),
            worst_position=storage.copy(positions[0]),
            costs=np.full(n, math.nan),
            best_costs=np.full(n, math.inf),
            stagnation=np.zeros(n, dtype=np.int64),
            arrived=np.zeros(n, dtype=np.bool_),
            incoming=np.full(n, math.nan),
            maximize=maximize,
            storage=storage,
        )
        made._lender.reserve(positions)
        return made

    def repopulate(self, positions: Tensor, velocities: Tensor) -> None:
        """Put another population in place of the present one; the best and the worst of all are kept.

        With particles in flight nothing is done yet but that no more of them take off: whoever asked for it is asked
        again after each landing.

        Args:
            positions: (M, D), evaluated next; M need not be N. Taken over.
            velocities: (M, D), taken over.
        """
        if self.flights is not None and self.flights.out.any():
            self.flights.grounded = True
            return
        fresh = State.start(positions, velocities, self.maximize, self.storage)
        for name in POPULATION:
            setattr(self, name, getattr(fresh, name))
        self._lender = fresh._lender
        if self.in_numpy:
            self.arrays()  # the views of the former population would keep its memory
        self.factors.forget()
        self.born = self.generation
        if self.flights is not None:
            self.flights = Flights.of(len(positions), self.flights.handed, self.flights.told)
            self.flights.begin_round(self.leader_cost, self.best_cost)

    def arrays(self) -> Arrays:
        """The large tensors in NumPy, where `in_numpy`; kept, since to make them costs as much as to use them."""
        x, v, p, g, w = self._shown
        if not (
            x is self.positions
            and v is self.velocities
            and p is self.best_positions
            and g is self.leader_position
            and w is self.worst_position
        ):
            self._shown = x, v, p, g, w = tuple(getattr(self, name) for name in LARGE)
            self._arrays = Arrays(x.numpy(), v.numpy(), p.numpy(), g.numpy()[None], w.numpy()[None])
            self._plain = all(array.flags.c_contiguous for array in self._arrays)
        return self._arrays

    @property
    def plain(self) -> bool:
        """Whether each of `arrays` is one piece of memory, row after row."""
        self.arrays()
        return self._plain

    def hand_out(self) -> Tensor:
        """The positions for somebody else: a copy, or a loan where that would be large (see `Lender`)."""
        if not self.in_numpy:
            return self.positions.clone()
        x = self.arrays().x
        if x.size >= LENT_FROM:
            return self._lender.lend(self.positions)
        copy = x.copy()
        self._handed = torch.from_numpy(copy), copy
        return self._handed[0]

    def got_back(self, told: Any) -> bool:
        """Whether that is the copy of the present positions that was handed out last, unedited."""
        handed, copy = self._handed
        return handed is told and copy.size <= FEW_NUMBERS and copy.tobytes() == self.arrays().x.tobytes()

    def room(self) -> Tensor:
        """Memory for the next positions: that of the present ones unless somebody holds them."""
        return self._lender.room(self.positions)

    @property
    def iteration(self) -> int:
        """Rounds evaluated after the first one; without a restart of the swarm, the moves made and evaluated."""
        return max(self.generation - 1, 0)

    @property
    def age(self) -> int:
        """Rounds in which the present population was evaluated; 0 while its starting positions are new."""
        return self.generation - self.born

    def user_value(self, cost: float) -> float:
        """A cost in the user's sense, larger is better when the swarm maximises."""
        return -cost if self.maximize else cost

    def remember(
        self, costs: Floats, evaluated: Bools | None = None, repeat_dropped: bool = False, last_worst_wins: bool = False
    ) -> None:
        """Take in one generation: update p, g, w (each only on strict improvement) and the stagnation counts.

        A cost that is not finite counts as the worst possible: it never becomes p, g or w.

        Args:
            costs: (N,) costs of `positions`, taken over; those of particles that were not evaluated are ignored.
            evaluated: (N,) mask of the particles whose evaluation was not dropped; None: all were evaluated.
            repeat_dropped: a dropped particle counts its old score again, and so comes nearer to its restart;
                otherwise nothing at all changes for it.
            last_worst_wins: among equally bad new worsts of a generation the last one counts, not the first.
        """
        counted: Bools | None = None
        if evaluated is not None:
            costs = np.where(evaluated, costs, self.costs)
            counted = None if repeat_dropped else evaluated
        self.costs = costs
        if counted is None and self.in_numpy and COMPILER.loops is not None and self.plain:
            x, _, p, _, _ = self._arrays
            first, last = COMPILER.loops.remember(x, p, costs, self.best_costs, self.stagnation, self.age > 0)
            if first >= 0:
                self._remember_extremes(costs, costs, first, last, last_worst_wins)
                return self._count(costs, evaluated)
        best, worst = costs.argmin(), costs.argmax()
        # A comparison with NaN is false, and both numbers are that of a NaN if there is one.
        usual = counted is None and costs.item(best) > -math.inf and costs.item(worst) < math.inf
        if usual:
            self._remember_personal(costs, None)
            self._remember_extremes(costs, costs, best, worst, last_worst_wins)
        else:
            finite = np.isfinite(costs) if counted is None else np.isfinite(costs) & counted
            low, high = np.where(finite, costs, math.inf), np.where(finite, costs, -math.inf)
            self._remember_personal(low, counted)
            self._remember_extremes(low, high, low.argmin(), high.argmax(), last_worst_wins)
        self._count(costs, evaluated)

    def _count(self, costs: Floats, evaluated: Bools | None) -> None:
        self.generation += 1
        self.evaluations += len(costs) if evaluated is None else int(evaluated.sum())

    def _remember_personal(self, costs: Floats, counted: Bools | None) -> None:
        improved = costs < self.best_costs
        if self.age > 0:  # the starting positions are p, so nothing has stagnated yet
            np.add(self.stagnation, ONE if counted is None else counted, out=self.stagnation)
            np.putmask(self.stagnation, improved, 0)
        if np.count_nonzero(improved):
            self._take_bests(improved)
            np.minimum(self.best_costs, costs, out=self.best_costs)

    def reclaim(self) -> None:
        """Have the positions in memory that nobody else holds, so that they may be edited."""
        room = self.room()
        if room is not self.positions:
            self.positions = room.copy_(self.positions)

    def send_back(self, rows: Bools) -> None:
        """x <- p, v <- 0 for some particles, (N,) mask; those in flight are left alone."""
        if self.flights is not None:
            rows = rows & ~self.flights.out
        self.reclaim()
        if self.in_numpy:
            x, v, p, _, _ = self.arrays()
            _copy_rows(p, x, rows)
            _copy_rows(ZERO, v, rows)
        else:
            chosen = torch.from_numpy(np.flatnonzero(rows)).to(self.positions.device)
            self.positions[chosen] = self.best_positions[chosen]
            self.velocities[chosen] = 0.0

    def _take_bests(self, improved: Bools) -> None:
        """p <- x for some particles."""
        if self.in_numpy:
            x, _, p, _, _ = self.arrays()
            _copy_rows(x, p, improved)
        else:
            rows = torch.from_numpy(np.flatnonzero(improved)).to(self.positions.device)
            self.best_positions[rows] = self.positions[rows]

    def _remember_extremes(self, low: Floats, high: Floats, best: Any, worst: Any, last_worst_wins: bool) -> None:
        """Update g, the best of all and w, given the numbers of the lowest and of the highest costs."""
        cost = low.item(best)
        if cost < self.leader_cost:
            self.leader_cost = cost
            self._copy_position(best, self.leader_position)
            self.leader_stagnation = 0
        elif self.age > 0:
            self.leader_stagnation += 1
        if cost < self.best_cost:
            # The same tensor as the leader's: no second copy of D numbers. A new population has a new leader.
            self.best_cost, self.best_position = cost, self.leader_position
            self.best_stagnation = 0
        elif self.generation > 0:
            self.best_stagnation += 1
        cost = high.item(worst)
        if cost > self.worst_cost:
            if last_worst_wins:
                worst = np.flatnonzero(high == cost)[-1]
            self.worst_cost = cost
            self._copy_position(worst, self.worst_position)

    def revalue(self, best_costs: Floats, best_cost: float) -> None:
        """Put other costs in the place of those of p, and let g and the best of all follow.

        Args:
            best_costs: (N,) costs at p, finite or +inf, taken over.
            best_cost: cost at the best of all, which stays what it is if no p is there any more and none is better.
        """
        self.best_costs = best_costs
        i = int(best_costs.argmin())
        self.leader_cost = float(best_costs[i])
        self.leader_position = self.storage.copy(self.best_positions[i])
        elsewhere = not any(torch.equal(p, self.best_position) for p in self.best_positions)
        if elsewhere and best_cost <= self.leader_cost:
            self.best_cost = best_cost
        else:
            self.best_cost, self.best_position = self.leader_cost, self.leader_position

    def _copy_position(self, i: int, target: Tensor) -> None:
        """Copy particle i's position to the leader's or the worst one's, (D,)."""
        if self.in_numpy:
            a = self.arrays()
            np.copyto(a.g[0] if target is self.leader_position else a.w[0], a.x[i])
        else:
            target.copy_(self.positions[i])

    def to_dict(self) -> dict[str, Any]:
        """Every field, not copied: arrays as tensors, the rest as int, float or bool; `memory` entry by entry."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in OPTIONAL}
        if self.flights is not None:
            values |= {FLIGHTS + name: value for name, value in self.flights.to_dict().items()}
        values |= {MEMORY + name: value for name, value in self.memory.items()}
        values |= {FACTORS + name: value for name, value in self.factors.state().items()}
        return {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any], own: Callable[[Tensor], Tensor], storage: Storage = IN_MEMORY) -> State:
        """The inverse of `to_dict`.

        Args:
            saved: what that gave.
            own: from a saved tensor to the state's own, which may be the same if nobody else changes it.
            storage: where large tensors are from now on.

        Raises:
            ValueError: a field is missing, or of another type or shape.
        """
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name not in OPTIONAL}
        missing = sorted(kinds.keys() - saved.keys())
        if missing:
            raise ValueError(f"not a swarm's state: {', '.join(missing)} missing; use what state_dict() gave")
        _check(saved, kinds)
        values: dict[str, Any] = {}
        for name, kind in kinds.items():
            value = saved[name]
            if kind == "Tensor":
                value = own(value)
            elif isinstance(value, Tensor):
                value = value.cpu().numpy().copy()
            values[name] = value
        flights = _under(FLIGHTS, saved)
        made = cls(
            **values,
            memory={name: own(value) for name, value in _under(MEMORY, saved).items()},
            factors=Factors.from_state(_under(FACTORS, saved), tuple(saved["positions"].shape)),
            flights=Flights.from_dict(flights) if flights else None,
            storage=storage,
        )
        made._lender.reserve(made.positions)
        return made


def _check(saved: dict[str, Any], kinds: dict[str, str]) -> None:
    """Whether each entry is of the type and shape that it had when it was written.

    Raises:
        ValueError: one is not.
    """
    dtype = getattr(saved["positions"], "dtype", None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError("positions are no floating-point tensor")
    scalars = {"float": float, "int": int, "bool": bool}
    of = {"Tensor": dtype, "Floats": torch.float64, "Ints": torch.int64, "Bools": torch.bool}
    sizes: dict[str, int] = {}
    check(saved, {n: scalars.get(kind) or (of[kind], AXES.get(n, "N")) for n, kind in kinds.items()}, sizes)
    if not sizes["N"] or not sizes["D"]:
        raise ValueError("positions of no particle, or of no coordinate")
    if any(name.startswith(FLIGHTS) for name in saved):
        flights = {f.name: str(f.type) for f in fields(Flights)}
        check(saved, {FLIGHTS + n: scalars.get(k) or (torch.int64, "N") for n, k in flights.items()}, sizes)
    known = {MEMORY + name: kind for name, kind in KNOWN_MEMORY.items() if MEMORY + name in saved}
    check(saved, known, sizes)
    if sizes.get("E", sizes["D"] + 1) != sizes["D"] + 1:
        raise ValueError("the archive is one of other points")
    for name in (MEMORY + "links", MEMORY + "exemplars"):
        if name in saved and ((saved[name] < 0) | (saved[name] >= sizes["N"])).any():
            raise ValueError(f"{name} names particles that are not there")


def _under(prefix: str, saved: dict[str, Any]) -> dict[str, Any]:
    """The entries whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in saved.items() if name.startswith(prefix)}


def _copy_rows(source: npt.NDArray[Any], target: npt.NDArray[Any], rows: Bools) -> None:
    """Copy some rows, (N,) mask, without a temporary; a source of one row or number is copied to all of them."""
    if target.shape[1] < FEW_COLUMNS:
        np.copyto(target, source, where=rows[:, None])
    else:
        for i in np.flatnonzero(rows):
            target[i] = source[i if len(source) > 1 else 0]


# Axes of the tensors of a saved state that are not (N,), and of what the library's own topologies remember.
AXES = {
    "positions": "ND", "velocities": "ND", "best_positions": "ND",
    "leader_position": "D", "best_position": "D", "worst_position": "D",
}  # fmt: skip
KNOWN_MEMORY = {
    "links": (torch.int64, "Nk"), "exemplars": (torch.int64, "ND"), "archive": (torch.float64, "PE"),
    "radius": (torch.float64, ""), "starting_extent": (torch.float64, ""),
}  # fmt: skip

# What `Arrays` shows.
LARGE = ("positions", "velocities", "best_positions", "leader_position", "worst_position")

# What belongs to the present population and is made anew with it.
POPULATION = (
    "positions", "velocities", "best_positions", "leader_position", "costs", "best_costs", "stagnation",
    "arrived", "incoming", "leader_cost", "leader_stagnation", "memory",
)  # fmt: skip

__all__ = ["State"]
