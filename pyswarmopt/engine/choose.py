"""Chooses a backend for each update of a swarm: `reference` or `chunked` NumPy.

A sum of terms in float32 or float64 on the CPU moves in NumPy, every other swarm by `reference`.
Both draw the same random numbers and give the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Array, Bools, Floats, as_array, dtype_name, is_tensor
from pyswarmopt.base.inputs import matrix, take_over
from pyswarmopt.base.random_bits import RandomBits, generator_at, saved_generator
from pyswarmopt.base.record import check
from pyswarmopt.base.state import State, entries_under
from pyswarmopt.base.storage import copied, empty
from pyswarmopt.engine import chunked, reference
from pyswarmopt.engine.lending import Lender
from pyswarmopt.engine.random_factors import RandomFactors
from pyswarmopt.parts import boundary
from pyswarmopt.parts.boundary import Box
from pyswarmopt.parts.topology import ByInformants, Global
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms

NUMPY_DTYPES = ("float64", "float32")
SMALL = 2**12  # up to this many numbers in a swarm all factors are drawn before the move
FACTORS = "factors."  # prefix of the random factors in a saved state


class Update:
    """The update of one swarm; its state is changed in place.

    Random factors in a `saved` state are used up first.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: State,
        box: Box | None,
        generator: np.random.Generator,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        self.state = state
        self._recipe = recipe
        self._generator = generator
        self._bounds = box
        self._box = None if recipe.boundary is boundary.none else box
        x = state.positions
        on_cpu = not is_tensor(x) or x.device.type == "cpu"
        self._on_arrays = on_cpu and dtype_name(x) in NUMPY_DTYPES
        rule = recipe.velocity
        self._sum = rule if isinstance(rule, SumOfTerms) else None
        topology = recipe.topology
        self._informants = topology.informants if isinstance(topology, ByInformants) else None
        self._by_blocks = self._on_arrays and self._sum is not None and self._sum.looks_at != "all"
        self._viewed: tuple[Any, ...] = (None,) * 5  # the arrays behind `_views`
        self._lender = Lender()
        self._links = reference.links(topology, len(x))
        self._factors = self._make_factors(bits=None)
        if self._factors is not None:
            self._factors.load(entries_under(FACTORS, saved or {}))

    def _make_factors(self, bits: RandomBits | None) -> RandomFactors | None:
        if self._sum is None:
            return None
        n, dim = self.state.positions.shape
        whole = not self._by_blocks or n * dim <= min(SMALL, chunked.BLOCK)
        dtype = self._arrays().x.dtype if self._by_blocks else np.float64
        return RandomFactors(self._sum, (n, dim), self._generator, dtype, whole, bits)

    @classmethod
    def of(
        cls, recipe: Recipe, saved: Mapping[str, Any], owned: Callable[[Array], Array]
    ) -> Update:
        """The update of a saved state; `owned` converts a saved array or tensor to the state's own.

        Raises:
            ValueError: not a swarm's state, or the state of another recipe.
        """
        state = State.from_dict(saved, owned)
        box = None
        if "low" in saved:
            side = dtype_name(state.positions), "D"
            check(saved, {"low": side, "high": side}, {"D": state.positions.shape[1]})
            box = Box(owned(saved["low"]), owned(saved["high"]))
        return cls(recipe, state, box, generator_at(saved.get("generator")), saved)

    def saved(self) -> dict[str, Any]:
        """State for resuming, not copied: the state, unused random factors, the generator and the
        box.
        """
        saved = self.state.to_dict()
        if self._factors is not None:
            saved |= {FACTORS + name: value for name, value in self._factors.state().items()}
        saved["generator"] = saved_generator(self._generator)
        if self._bounds is not None:
            saved |= {"low": self._bounds.low, "high": self._bounds.high}
        return saved

    def _arrays(self) -> Snapshot:
        """The large arrays, in NumPy if possible; cached, since making views costs as much as using
        them.
        """
        st = self.state
        x, v, p, g, w = self._viewed
        if not (
            x is st.positions
            and v is st.velocities
            and p is st.best_positions
            and g is st.leader_position
            and w is st.worst_position
        ):
            self._viewed = large = reference.arrays(st)
            x, v, p, g, w = map(as_array, large) if self._on_arrays else large
            self._views = Snapshot(x, v, p, g[None], w[None])
        return self._views

    # ---- move ----

    def move(self) -> None:
        """Move all particles once."""
        st = self.state
        room = self._lender.next_after(st.positions)
        if self._factors is not None and self._by_blocks:
            self._move_by_blocks(self._factors, room)
        else:
            reference.move(st, self._recipe, self._factors, self._generator, self._box, room)
        st.positions = room

    def _move_by_blocks(self, factors: RandomFactors, room: Array) -> None:
        st = self.state
        topology = self._recipe.topology
        at = self._arrays()
        informants = None
        out = at.x if room is st.positions else as_array(room)
        if self._informants is not None:
            informants = self._informants(st, self._generator)
        elif type(topology) is not Global:
            at = at._replace(g=as_array(reference.attractors(st, topology, self._generator)))
        x, v, p, g, w, *_ = at
        at = Snapshot(x, v, p, g, w, st.costs, st.best_costs, st.age - 1, self._links)
        chunked.move(at, out, informants, self._recipe, factors, self._generator, self._box)

    def move_one(self, i: int) -> None:
        """Move only particle i, with the schedules of the present round's move."""
        reference.move_one(self.state, self._recipe, i, self._generator, self._box)

    # ---- positions and costs ----

    def hand_out(self) -> Array:
        """The positions for the user: a copy, or a loan if a copy would be large."""
        x = self.state.positions
        return self._lender.hand_out(x, self._arrays().x) if self._on_arrays else copied(x)

    def own_positions(self) -> None:
        """Move the positions to memory that the user does not hold, so that they may be edited."""
        x = self.state.positions
        room = self._lender.next_after(x)
        if room is not x:
            room[:] = x
            self.state.positions = room

    def adopt(self, told: Any, repaired: bool) -> None:
        """Take over positions, (N, D), told by the user: the present ones, unless repaired.

        Raises:
            ValueError: other positions without `repaired`, or another shape.
        """
        x = self.state.positions
        if _alike(told, x) and (_same_memory(told, x) or _same_numbers(told, x)):
            return  # the usual case
        source = matrix("positions", told, tuple(x.shape))
        taken = take_over("positions", source, empty(tuple(x.shape), x.dtype, x.device))
        if repaired:
            self.state.positions = taken
        elif not _same_numbers(taken, x):
            raise ValueError(
                "tell() must be given the positions that ask() returned; if you repaired them, "
                "say repaired=True"
            )

    def remember(self, costs: Floats, evaluated: Bools | None) -> None:
        """Store the costs of one iteration, (N,); see `reference.remember`."""
        reference.remember(self.state, self._recipe, self._arrays(), costs, evaluated)

    def revalue(self, best_costs: Floats, best_cost: float) -> None:
        """Replace the costs at p, (N,), finite or +inf; g and the best of all follow.

        `best_cost` is the cost of the best of all, for the case that no p is there and none is
        better.
        """
        st = self.state
        i = int(best_costs.argmin())
        st.best_costs = best_costs
        st.leader_cost = float(best_costs[i])
        st.leader_position = copied(st.best_positions[i])
        elsewhere = not any((p == st.best_position).all() for p in st.best_positions)
        if elsewhere and best_cost <= st.leader_cost:
            st.best_cost = best_cost
        else:
            st.best_cost = st.leader_cost
            st.best_position = st.leader_position

    # ---- restart ----

    def restart(self) -> None:
        """Let the recipe's policies send particles, or the whole swarm, elsewhere."""
        for policy in self._recipe.restart:
            policy(self.state, self)

    def send_back(self, rows: Bools) -> None:
        """x <- p, v <- 0 for some particles, (N,) mask; those being evaluated stay."""
        self.own_positions()
        reference.send_back(self.state, self._arrays(), self._idle(rows))

    def scatter(self, rows: Bools) -> None:
        """New x and v, drawn as at the start, for some particles, (N,) mask, which keep their p;
        particles under evaluation stay.
        """
        rows = self._idle(rows)
        count = int(np.count_nonzero(rows))
        if count == 0:
            return
        x, v = self._drawn(count)
        self.own_positions()
        self.state.positions[rows] = x
        self.state.velocities[rows] = v

    def _idle(self, rows: Bools) -> Bools:
        """The particles of a mask, (N,), that are not under evaluation."""
        in_flight = self.state.in_flight
        return rows if in_flight is None else rows & ~in_flight.pending

    def _drawn(self, count: int) -> tuple[Array, Array]:
        """Positions and velocities of `count` particles, as started by the recipe."""
        like = self.state.positions
        x = empty((count, like.shape[1]), like.dtype, like.device)
        v = empty((count, like.shape[1]), like.dtype, like.device)
        self._recipe.populate(None, x, self._bounds, self._generator)
        self._recipe.launch(x, v, self._bounds, self._generator)
        return x, v

    def repopulate(self, count: int) -> None:
        """Replace the population by a new one; the best and the worst of all are kept.

        With pending evaluations, only dispatch is paused: the policy is called again after each of
        them.
        """
        st = self.state
        x, v = self._drawn(count)
        # the draw above counts, for repeatable runs
        if st.in_flight is not None and st.in_flight.pending.any():
            st.in_flight.paused = True
            return
        st.repopulate(State.start(x, v, st.maximize))
        self._lender = Lender()
        self._links = reference.links(self._recipe.topology, count)
        if self._factors is not None:
            self._factors = self._make_factors(self._factors.bits)


def _alike(told: Any, x: Array) -> bool:
    """Whether an object has an array's kind, shape, dtype and device."""
    if type(told) is not type(x) or told.shape != x.shape:
        return False
    return bool(told.dtype == x.dtype and told.device == x.device)


def _same_numbers(told: Array, x: Array) -> bool:
    return told.equal(x) if is_tensor(x) else bool((told == x).all())


def _same_memory(told: Array, x: Array) -> bool:
    """Whether two such arrays share all their memory."""
    if is_tensor(x):
        return bool(told.data_ptr() == x.data_ptr() and told.stride() == x.stride())
    ours = x.__array_interface__
    theirs = told.__array_interface__
    return bool(ours["data"] == theirs["data"] and ours["strides"] == theirs["strides"])
