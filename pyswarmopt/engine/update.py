"""The update of one swarm: its moves, its memory and its restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import (
    BLOCK,
    EVERY,
    Array,
    Bools,
    Floats,
    as_array,
    beside,
    copied,
    dtype_name,
    empty,
    is_tensor,
    like,
    namespace,
)
from pyswarmopt.base.inputs import matrix, require_shape
from pyswarmopt.base.random import generator_at
from pyswarmopt.base.state import LARGE_ENTRIES, MEMORY, State
from pyswarmopt.engine import steps
from pyswarmopt.parts import boundary as boundaries
from pyswarmopt.parts.boundary import Box
from pyswarmopt.parts.topology import ByInformants, Lattice
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms

LARGE = 2**18  # from this many numbers on a sum of terms moves by blocks of columns


class Update:
    """The update of one swarm; its state is changed in place.

    A sum of terms in float32 or float64 on the CPU moves in NumPy, tensors too; anything else moves
    in the kind of arrays that the swarm has.
    """

    def __init__(
        self, recipe: Recipe, state: State, box: Box | None, generator: np.random.Generator
    ) -> None:
        self.state = state
        self._recipe = recipe
        self._generator = generator
        self._box = box
        x = state.positions
        self._tensors = is_tensor(x)
        numpys = str(x.device).startswith("cpu") and dtype_name(x) in ("float64", "float32")
        rule = recipe.velocity
        self._sum: SumOfTerms | None = None
        if numpys and isinstance(rule, SumOfTerms) and rule.looks_at != "all":
            self._sum = rule
        self._begin_population()

    def _begin_population(self) -> None:
        n, dim = self.state.positions.shape
        topology = self._recipe.topology
        self._links = None
        if isinstance(topology, Lattice):
            self._links = topology.neighbours(n)
        self._blocks = [EVERY]  # columns of a sum's parts
        if n * dim >= LARGE:
            width = max(BLOCK // n, 1)
            self._blocks = [slice(i, i + width) for i in range(0, dim, width)]

    @classmethod
    def of(
        cls, recipe: Recipe, saved: Mapping[str, Any], owned: Callable[[Array], Array]
    ) -> Update:
        """The update of a saved state; `owned` converts a saved array or tensor to the state's own.

        Raises:
            ValueError: `saved` is not a swarm's state, or belongs to another recipe.
        """
        own = {
            name: owned(value) if is_tensor(value) or name in LARGE_ENTRIES else deepcopy(value)
            for name, value in saved.items()
        }
        memory = {
            name.removeprefix(MEMORY): value
            for name, value in own.items()
            if name.startswith(MEMORY)
        }
        box = None
        if "low" in own:
            box = Box(own["low"], own["high"])
        state = State.from_state(own, "", memory=memory)
        return cls(recipe, state, box, generator_at(own.get("generator")))

    def saved(self) -> dict[str, Any]:
        """State for resuming, not copied: the state, the generator and the box."""
        saved = self.state.state_dict("", copied=lambda value: value)
        saved |= {MEMORY + name: value for name, value in self.state.memory.items()}
        saved["generator"] = self._generator.bit_generator.state
        if self._box is not None:
            saved |= {"low": self._box.low, "high": self._box.high}
        return saved

    # ---- move ----

    def move(self) -> None:
        """Move all particles once, using p, g and w of the previous iteration: ``x <- x + lambda
        v``, then the walls; lambda after k times ``lambda <- phi_lambda lambda``.
        """
        st = self.state
        k = st.age - 1
        if self._sum is not None:
            self._move_by_sum(self._sum, k)
            return
        s = self._snapshot(self._attractors(st), k)
        v = _fitted(self._recipe.velocity(s, k, self._generator), s.x)
        x = s.x + self._recipe.schedule(k) * v
        st.positions, st.velocities = self._walled(x, v)

    def _move_by_sum(self, rule: SumOfTerms, k: int) -> None:
        """Move by a sum of terms, in the swarm's own memory; a large swarm in columns that fit the
        cache, so that no temporary has its size.
        """
        st = self.state
        topology = self._recipe.topology
        informants = None
        if len(self._blocks) > 1 and isinstance(topology, ByInformants):
            informants = topology.informants(st, self._generator)
            g = st.leader_position[None]
        else:
            g = self._attractors(st)
        s = self._snapshot(g, k)
        weights = rule.weights(len(s.x), k, self._generator)
        step = self._recipe.schedule(k)
        for columns in self._blocks:
            part = s
            if columns is not EVERY:
                x, v, p, g, w = (each[:, columns] for each in s[:5])
                part = s._replace(x=x, v=v, p=p, g=g, w=w)
            if informants is not None:
                part = part._replace(g=part.p[informants])
            x, v = part.x, part.v
            v[...] = rule.on(part, rule.coefficients(x, weights, self._generator))
            x += v if step == 1 else step * v
            self._walled(x, v, columns)

    def move_one(self, i: int) -> None:
        """Move only particle i, with the schedules of the present round's move and coefficients
        drawn for this move; topologies renew only its links, and random ones once a round.
        """
        st = self.state
        k = max(st.age - 1, 0)
        others = np.arange(len(st.stagnation)) != i
        seen_by = replace(st, stagnation=np.where(others, 0, st.stagnation))
        if st.turns.renewed == st.generation:
            seen_by.leader_stagnation = 0
        st.turns.renewed = st.generation
        s = self._snapshot(self._attractors(seen_by), k)
        rule = self._recipe.velocity
        row = mine = slice(i, i + 1)
        if isinstance(rule, SumOfTerms) and rule.looks_at == "element":
            g = s.g[i % len(s.g)][None]  # its own, or the one of all
            s = s._replace(x=s.x[row], v=s.v[row], p=s.p[row], g=g, fx=s.fx[row], fp=s.fp[row])
            if s.links is not None:
                s = s._replace(links=s.links[row])
            mine = EVERY
        v = _fitted(rule(s, k, self._generator), s.x)[mine]
        x, v = self._walled(s.x[mine] + self._recipe.schedule(k) * v, v)
        st.positions[row] = beside(x, st.positions)
        st.velocities[row] = beside(v, st.velocities)

    def _attractors(self, state: State) -> Array:
        """The topology's g, (N, D) or (1, D).

        Raises:
            ValueError: g has another shape.
        """
        g = self._recipe.topology(state, self._generator)
        require_shape("the output of the topology", g, self.state.positions.shape)
        return g

    def _snapshot(self, g: Array, k: int) -> Snapshot:
        """The input of the k-th move, with attractors g, (N, D) or (1, D)."""
        st = self.state
        large = st.positions, st.velocities, st.best_positions, g, st.worst_position[None]
        fx: Any = st.costs
        fp: Any = st.best_costs
        if self._tensors and self._sum is not None:
            large = tuple(map(as_array, large))  # type: ignore[assignment]
        elif self._tensors:
            fx, fp = (_on_device(costs, st.positions) for costs in (fx, fp))
        return Snapshot(*large, fx, fp, k, self._links)

    def _walled(self, x: Array, v: Array, columns: slice = EVERY) -> tuple[Array, Array]:
        """x and v after the boundary, (N, D) each, or those columns of them; of arrays, which are
        changed in place, it gets the coordinates outside, as one row.
        """
        box = self._box
        boundary = self._recipe.boundary
        if box is None or boundary is boundaries.none:
            return x, v
        if is_tensor(x):
            new_x, new_v = boundary(x, v, box, self._generator)
            return _fitted(new_x, x, "boundary"), _fitted(new_v, x, "boundary")
        least, most = box.core
        if x.item(x.argmin()) >= least and x.item(x.argmax()) <= most:
            return x, v
        low, high = (wall[columns] for wall in box.walls)
        outside = ((x < low) | (x > high)).nonzero()
        if not outside[0].size:
            return x, v
        at = outside[1]
        row = x[outside][None], v[outside][None], low[at], high[at]
        # a boundary sees tensors if the swarm uses tensors
        row_x, row_v, *sides = (beside(part, box.low) for part in row)
        new_x, new_v = boundary(row_x, row_v, Box(*sides), self._generator)
        x[outside] = as_array(new_x[0])
        v[outside] = as_array(new_v[0])
        return x, v

    # ---- positions and costs ----

    def check(self, told: Any) -> None:
        """Refuse positions, (N, D), that are not the current ones.

        Raises:
            ValueError: they differ, or have another shape.
        """
        x = self.state.positions
        if type(told) is type(x) and _same_numbers(told, x):
            return  # the usual case
        if not _same_numbers(like(matrix("positions", told, tuple(x.shape)), x), x):
            raise ValueError("tell() must be given the positions that ask() returned")

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
        """x <- p, v <- 0 for some particles, (N,) mask: those whose p has not changed for c_r
        iterations; those being evaluated stay.
        """
        st = self.state
        rows = self._at_rest(rows)
        steps.copy_rows(st.best_positions, st.positions, rows)
        st.velocities[beside(rows, st.velocities)] = 0.0

    def scatter(self, rows: Bools) -> None:
        """New x and v, drawn as at the start, for some particles, (N,) mask, which keep their p;
        those being evaluated stay.
        """
        rows = self._at_rest(rows)
        count = int(np.count_nonzero(rows))
        if count == 0:
            return
        drawn = self._drawn(count)
        self.state.positions[rows] = drawn.positions
        self.state.velocities[rows] = drawn.velocities

    def _at_rest(self, rows: Bools) -> Bools:
        """The particles of a mask, (N,), that are not being evaluated."""
        turns = self.state.turns
        if turns is None:
            return rows
        waiting = np.zeros(len(rows), np.bool_)
        waiting[turns.waiting] = True
        return rows & waiting

    def _drawn(self, count: int) -> State:
        """The first state of `count` particles, as started by the recipe."""
        present = self.state.positions
        x = empty((count, present.shape[1]), present.dtype, present.device)
        maximize = self.state.maximize
        return steps.first_state(self._recipe, x, self._box, self._generator, None, None, maximize)

    def repopulate(self, count: int) -> None:
        """Replace the population by a new one; the best and the worst of all are kept.

        While evaluations are pending, only further moves are paused: the policy is called again
        after each of them.
        """
        st = self.state
        fresh = self._drawn(count)  # this draw counts, for repeatable runs
        if st.turns is not None and len(st.turns.waiting) < len(st.positions):
            st.turns.paused = True
            return
        st.repopulate(fresh)
        self._begin_population()


def _fitted(part: Any, x: Array, by: str = "velocity rule") -> Array:
    """What a recipe's part returned, with the shape and dtype of x."""
    if getattr(part, "shape", None) == x.shape and part.dtype == x.dtype:
        return part
    require_shape(f"the output of the {by}", part, x.shape)
    whole = empty(tuple(x.shape), x.dtype, x.device)
    whole[:] = like(part, x)
    return whole


def _on_device(costs: Floats, x: Array) -> Array:
    """Costs on x's device; float32 if the device may lack float64."""
    if x.device.type != "cpu":
        costs = costs.astype(np.float32)
    return beside(costs, x)


def _same_numbers(told: Array, x: Array) -> bool:
    """Whether two arrays of one kind have the same shape and numbers."""
    if told.shape != x.shape or told.device != x.device:
        return False
    return not namespace(x).count_nonzero(told != x)
