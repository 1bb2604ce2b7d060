"""The choice of a backend for each update of a swarm: `reference` or `chunked` NumPy.

A sum of terms in float32 or float64 on the CPU moves in NumPy, every other swarm by `reference`.
Both draw the same random numbers and give the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.checkpoint import check
from pyswarmopt.base.state import State, entries_under
from pyswarmopt.base.storage import copied, empty
from pyswarmopt.engine import chunked, reference
from pyswarmopt.engine.buffers import Buffers
from pyswarmopt.engine.random_factors import FACTORS, Factors, check_factors
from pyswarmopt.parts import boundary
from pyswarmopt.parts.boundary import Box
from pyswarmopt.parts.topology import Global
from pyswarmopt.parts.velocity import BlockRule, Snapshot

SMALL = 2**12  # numbers in a swarm, up to which all factors are drawn before the move
ONE_BLOCK = [chunked.WHOLE]


class Update:
    """The update of one swarm, whose state is changed in place.

    The random `factors` of a saved state are used up first. `buffers` is the memory of the state.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: State,
        box: Box | None,
        generator: torch.Generator,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        self.state, self._recipe, self._generator = state, recipe, generator
        self._bounds = box
        self._box = None if recipe.boundary is boundary.none else box
        self.buffers = Buffers(state)
        self._scope = getattr(recipe.velocity, "looks_at", "all")
        self._in_numpy = self.buffers.in_numpy and self._scope != "all"
        dtype = self.buffers.arrays().x.dtype if self._in_numpy else np.float64
        self._factors = Factors(generator, dtype)
        self._factors.load(entries_under(FACTORS, saved or {}))

    @classmethod
    def of(
        cls, recipe: Recipe, saved: Mapping[str, Any], owned: Callable[[Tensor], Tensor]
    ) -> Update:
        """The update of a saved state; `owned` makes the state's own tensor of a saved one.

        Raises:
            ValueError: not a swarm's state, or one of another recipe.
        """
        state = State.from_dict(saved, owned)
        check_factors(saved, tuple(state.positions.shape), getattr(recipe.velocity, "sum", None))
        box = None
        if "low" in saved:
            side = state.positions.dtype, "D"
            check(saved, {"low": side, "high": side}, {"D": state.positions.shape[1]})
            box = Box(owned(saved["low"]), owned(saved["high"]))
        check(saved, {"generator": (torch.uint8, "g")})
        generator = torch.Generator()
        try:
            generator.set_state(saved["generator"].cpu())
        except RuntimeError as error:
            raise ValueError(f"not the state of a random generator: {error}") from error
        return cls(recipe, state, box, generator, saved)

    def saved(self) -> dict[str, Any]:
        """What a resume needs, not copied: the state, the random factors drawn ahead, the generator
        and the box.
        """
        saved = self.state.to_dict()
        saved |= {FACTORS + name: value for name, value in self._factors.state().items()}
        saved["generator"] = self._generator.get_state()
        if self._bounds is not None:
            saved |= {"low": self._bounds.low, "high": self._bounds.high}
        return saved

    # ---- move ----

    def move(self) -> None:
        """Move all particles once."""
        st, out = self.state, self.buffers.for_next()
        if self._in_numpy:
            self._move_arrays(st, out)
        else:
            reference.move(st, self._recipe, self._factors, self._generator, self._box, out)
        st.positions = out

    def _move_arrays(self, st: State, out: Tensor) -> None:
        x, v, p, g, w = self.buffers.arrays()
        number, topology = st.age - 1, self._recipe.topology
        step = self._recipe.schedule(number)
        # looking for a base class takes ten times as long
        informants = getattr(topology, "informants", None)
        rows = None
        if informants is not None:
            g, rows = p, informants(st, self._generator)
        elif type(topology) is not Global:
            g = topology(st, self._generator).numpy()
        rule = cast(BlockRule, self._recipe.velocity)
        small = x.size <= min(SMALL, chunked.BLOCK)
        c = self._factors.next(rule.sum, x.shape, number, whole=small)
        new_x = x if out is st.positions else out.numpy()
        m = chunked.Move(
            rule,
            Snapshot(x, v, p, g, w),
            rows,
            c,
            step,
            new_x,
            self._box,
            self._recipe.boundary,
            self._generator,
        )
        factors = None if small or not rule.sum.per_coordinate else self._factors
        chunked.move(m, factors, ONE_BLOCK if small else chunked.blocks_of(*x.shape, self._scope))

    def move_one(self, i: int) -> None:
        """Move particle i alone, with the schedules at the move of the present round."""
        reference.move_one(self.state, self._recipe, i, self._generator, self._box)

    # ---- remember ----

    def remember(self, costs: Floats, evaluated: Bools | None) -> None:
        """Take in the costs of one iteration, (N,); see `reference.remember`."""
        reference.remember(self.state, self._recipe, self.buffers.arrays(), costs, evaluated)

    def revalue(self, best_costs: Floats, best_cost: float) -> None:
        """Replace the costs at p, (N,), finite or +inf; g and the best of all follow.

        `best_cost` is that of the best of all if no p is there any more and none is better.
        """
        st, i = self.state, int(best_costs.argmin())
        st.best_costs, st.leader_cost = best_costs, float(best_costs[i])
        st.leader_position = copied(st.best_positions[i])
        elsewhere = not any(torch.equal(p, st.best_position) for p in st.best_positions)
        if elsewhere and best_cost <= st.leader_cost:
            st.best_cost = best_cost
        else:
            st.best_cost, st.best_position = st.leader_cost, st.leader_position

    # ---- restart ----

    def restart(self) -> None:
        """Let the recipe's policies send particles, or all of them, elsewhere."""
        for policy in self._recipe.restart:
            policy(self.state, self)

    def send_back(self, rows: Bools) -> None:
        """x <- p, v <- 0 for some particles, (N,) mask; those being evaluated stay."""
        if self.state.in_flight is not None:
            rows = rows & ~self.state.in_flight.pending
        self.buffers.own_positions()
        reference.send_back(self.state, self.buffers.arrays(), rows)

    def repopulate(self, count: int) -> None:
        """Replace the population by a new one; the best and the worst of all are kept.

        With evaluations pending, only dispatch is paused: the policy is called again after each of
        them.
        """
        st, like = self.state, self.state.positions
        x, v = (empty((count, like.shape[1]), like.dtype, like.device) for _ in range(2))
        self._recipe.populate(None, x, self._bounds, self._generator)
        self._recipe.launch(x, v, self._bounds, self._generator)
        # the draw above counts, for repeatable runs
        if st.in_flight is not None and st.in_flight.pending.any():
            st.in_flight.paused = True
            return
        st.repopulate(State.start(x, v, st.maximize))
        self.buffers.renew()
        self._factors.forget()
