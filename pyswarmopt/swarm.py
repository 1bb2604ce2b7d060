"""The swarm: ask, tell, stop. All other loops use it."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from pyswarmopt.algorithms import registry as recipes
from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base import checkpoint
from pyswarmopt.base.arrays import (
    Array,
    Bools,
    DType,
    Floats,
    beside,
    copied,
    empty,
    kind_of,
    needing_torch,
)
from pyswarmopt.base.inputs import as_limit, as_mask, as_seed, as_values, matrix
from pyswarmopt.base.optimizer import Optimizer, Point, Ticket, UnderWay
from pyswarmopt.base.spelling import Elsewhere, suggesting
from pyswarmopt.base.state import Turns
from pyswarmopt.engine import steps
from pyswarmopt.engine.update import Update
from pyswarmopt.parts.boundary import Box, make_box
from pyswarmopt.parts.restart import RestartSwarm
from pyswarmopt.parts.stopping import reasons

if TYPE_CHECKING:
    from torch import Tensor

UNDER_WAY = "under_way."  # prefix of the table's entries in a saved swarm


class Swarm(Optimizer):
    """A particle swarm that proposes positions and is told their values.

    It uses NumPy arrays, or tensors if the starting positions are a tensor, the dtype is torch's,
    or a device is given.

    Args:
        dim: D; needed only if neither bounds nor positions determine it.
        population: N; default: the number of positions, or else the recipe's.
        bounds: the box to search in; see `pyswarmopt.boundary.make_box` for the forms.
        positions: starting positions, (n, D). If n < N, the recipe adds the rest after them.
        velocities: starting velocities, (N, D), used unchanged; default: the recipe's.
        recipe: a name from `pyswarmopt.recipes.RECIPES`, or a `Recipe`.
        maximize: whether larger values are better.
        seed: seed of the swarm's own generator; None takes one from the operating system, a NumPy
            `Generator` draws one.
        dtype: floating dtype of positions, NumPy's or torch's; default: that of `positions` if they
            are a torch tensor, else float64.
        device: where tensors live; default the CPU. Random numbers always come from the CPU.
        asynchronous: whether a particle moves as soon as its own value is there, by the bests known
            by then (Koh, George, Haftka & Fregly 2006, Int. J. Numer. Meth. Engng 67(4)); such a
            swarm is asked and told by tickets. Particles count their own stagnation; a round, as
            counted by schedules, patience and stop rules, ends after every N values.

    Raises:
        ValueError: inconsistent arguments.
        ImportError: a device is given and torch is not installed.

    The first `ask` returns the starting positions; every later one moves the swarm. A value that is
    not finite counts as the worst possible and never becomes a personal best, the best or the
    worst.

    Example:
        >>> import pyswarmopt as pso
        >>> s = pso.Swarm(bounds=[(-5, 5)] * 3, population=20, seed=0)
        >>> for _ in range(100):
        ...     x = s.ask()                 # (20, 3) float64
        ...     s.tell(x, (x**2).sum(-1))   # 20 values
        >>> s.best.value < 1e-6, s.iteration, s.evaluations
        (True, 99, 2000)

        Three workers, of which the third is twice as slow:

        >>> s = pso.Swarm(bounds=[(-5, 5)] * 2, population=6, seed=0, asynchronous=True)
        >>> busy = s.ask(3)
        >>> for step in range(1000):
        ...     for worker in (0, 1, 2) if step % 2 else (0, 1):
        ...         s.tell(busy[worker], float((busy[worker].x ** 2).sum()))
        ...         [busy[worker]] = s.ask(1)
        >>> s.best.value < 1e-6, s.evaluations, len(s.pending)
        (True, 2500, 3)
    """

    @suggesting
    def __init__(
        self,
        dim: int | None = None,
        population: int | None = None,
        bounds: Any = None,
        positions: npt.ArrayLike | Tensor | None = None,
        velocities: npt.ArrayLike | Tensor | None = None,
        recipe: str | Recipe = "constriction",
        maximize: bool = False,
        seed: int | np.random.Generator | None = None,
        dtype: DType = None,
        device: Any = None,
        asynchronous: bool = False,
    ) -> None:
        self.recipe = recipes.as_recipe(recipe)
        start = v = None
        usual = self.recipe.population
        if positions is not None:
            start = matrix("positions", positions)
            usual = len(start)
        dtype, device = kind_of(dtype, device, start)
        generator = np.random.default_rng(as_seed(seed))
        box, dim = _box_of(self.recipe, bounds, dim, start, dtype, device)
        n = as_limit("population", population, 1) or usual
        if velocities is not None:
            v = matrix("velocities", velocities, (n, dim))
        x = empty((n, dim), dtype, device)
        state = steps.first_state(self.recipe, x, box, generator, start, v, maximize)
        if asynchronous:
            state.turns = Turns.of(n)
        self._update = Update(self.recipe, state, box, generator)
        self._state = state
        self._under_way = UnderWay()

    if not TYPE_CHECKING:
        optimize = Elsewhere(
            "call swarm.ask() and swarm.tell(x, values), or pso.minimize(fun, bounds, recipe)"
        )
        best_cost = Elsewhere("use swarm.best.value")
        best_position = Elsewhere("use swarm.best.x")

    # ---- the loop ----

    @overload
    def ask(self, n: None = None) -> Array: ...

    @overload
    def ask(self, n: int) -> list[Ticket]: ...

    def ask(self, n: int | None = None) -> Array | list[Ticket]:
        """Positions to evaluate, (N, D), safe to keep; unchanged until `tell`.

        N is the current population, which a restart may change.

        Args:
            n: for at most so many tickets instead, which are told one by one, in any order. The
                swarm moves after the last value of a round, so the order makes no difference,
                unless it is `asynchronous`. There are fewer, or none, while values are missing.

        Raises:
            ValueError: n is missing in an asynchronous swarm, or below 1.

        Example:
            >>> s = Swarm(bounds=[(-5, 5)] * 2, population=3, seed=0)
            >>> for ticket in reversed(s.ask(3)):
            ...     s.tell(ticket, float((ticket.x**2).sum()))
            >>> s.evaluations
            3
        """
        most = as_limit("n", n, 1)
        turns = self._state.turns
        if turns is None:
            self._prepare()
            if most is None:
                return copied(self._state.positions)
            return self._under_way.hand_out(self._state.positions, most)
        if most is None:
            raise ValueError("an asynchronous swarm is asked for tickets: call ask(n)")
        tickets: list[Ticket] = []
        while len(tickets) < most and turns.waiting and not turns.paused:
            tickets.append(self._next_turn(turns))
        return tickets

    def _next_turn(self, turns: Turns) -> Ticket:
        """A ticket for the particle that has waited longest, which moves unless it is new."""
        particle = turns.waiting[0]
        if self._under_way.issued - turns.first >= len(self._state.positions):
            self._update.move_one(particle)
        del turns.waiting[0]
        return self._under_way.issue(self._state.positions[particle], particle)

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a value, oldest first; those of a loaded swarm must be evaluated
        again.
        """
        return list(self._under_way.pending.values())

    def tell(
        self,
        positions: Tensor | npt.ArrayLike | Ticket,
        values: npt.ArrayLike | Tensor,
        dropped: npt.ArrayLike | Tensor | None = None,
    ) -> None:
        """Tell the values of the positions that `ask` returned, or the value of one ticket.

        Args:
            positions: positions from `ask`, (N, D), or a `Ticket`.
            values: (N,) numbers, or one for a ticket (NaN if it failed); NumPy, torch or a list.
            dropped: (N,) mask of the particles that were not evaluated this time; their values are
                ignored, and nothing changes for them (recipes compatible with the Model Swarms
                reference count their old score again).

        Raises:
            ValueError: `ask` was not called, shapes are wrong, values are complex, positions are
                not finite or not from `ask`, or a ticket is not pending.
        """
        st = self._state
        if isinstance(positions, Ticket):
            self._tell_ticket(positions, values)
            return
        if not st.pending:
            raise ValueError("call ask() before tell(); each round can be told only once")
        if self._under_way.told:
            raise ValueError(
                "this round is told by ticket; call tell() with the remaining tickets (see pending)"
            )
        n = len(st.costs)
        costs = self._costs(values, (n,))
        evaluated = None
        if dropped is not None:
            evaluated = ~as_mask(dropped, n)
        self._update.check(positions)
        self._complete(costs, evaluated)

    def revalue(self, values: npt.ArrayLike | Tensor, best: float | None = None) -> None:
        """Replace the values of the personal bests after re-evaluating them under noise.

        The best of the swarm and the overall best are updated, even if they become worse; otherwise
        a lucky value would stay forever. Positions, stagnation counts and the worst do not change.

        Args:
            values: (N,) values of `personal_bests`; one that is not finite counts as the worst
                possible.
            best: value of `Swarm.best.x`; needed only if it is no longer any particle's personal
                best, as after a restart. Default: its old value.

        Raises:
            ValueError: there is not one value for each particle.

        Example:
            >>> s = Swarm(positions=[[0.0], [1.0]], seed=0)
            >>> s.tell(s.ask(), [-3.0, 1.0])  # the first was lucky
            >>> s.revalue([2.0, 1.5])
            >>> s.best.value, s.best.x.item()
            (1.5, 1.0)
        """
        st = self._state
        costs = self._costs(values, (len(st.positions),))
        costs[~np.isfinite(costs)] = math.inf
        best_cost = st.best_cost
        if best is not None:
            best_cost = st.user_value(best)
        if not math.isfinite(best_cost):
            best_cost = math.inf
        self._update.revalue(costs, best_cost)

    def stop(self) -> dict[str, float]:
        """The recipe's reasons to stop, with their values; empty if the search continues."""
        return reasons(self.recipe.stop, self._state)

    def _prepare(self) -> None:
        """Move, unless present positions still lack values."""
        st = self._state
        if not st.pending:
            if st.age > 0:
                self._update.move()
            st.pending = True

    def _tell_ticket(self, ticket: Ticket, value: npt.ArrayLike | Tensor) -> None:
        st = self._state
        cost = float(self._costs(value, ()))
        if st.turns is not None:
            self._tell_turn(st.turns, ticket, cost)
            return
        told = self._under_way.receive(ticket, [cost], len(st.positions))
        if told is not None:
            self._complete(np.array(told)[:, 0], None)

    def _tell_turn(self, turns: Turns, ticket: Ticket, cost: float) -> None:
        """Record the cost of a particle, which then waits for its next turn."""
        self._under_way.close(ticket)
        first = ticket.number - turns.first < len(self._state.positions)
        turns.waiting.append(ticket.particle)
        steps.remember_one(self._state, ticket.particle, cost, first)
        turns.paused = False
        self._update.restart()
        if self._state.turns is not turns:  # there is a new population
            self._state.turns.first = self._under_way.issued

    def _complete(self, costs: Floats, evaluated: Bools | None) -> None:
        steps.remember(self._state, self.recipe, costs, evaluated)
        self._state.pending = False
        if self._under_way.handed_out:
            self._under_way.end_round()
        self._update.restart()

    def _costs(self, values: npt.ArrayLike | Tensor, shape: tuple[int, ...]) -> Floats:
        return self._state.user_value(as_values(values, shape))

    # ---- results ----

    @property
    def best(self) -> Point:
        """The best point evaluated so far, with its value."""
        st = self._state
        return Point(copied(st.best_position), st.user_value(st.best_cost))

    @property
    def worst(self) -> Point:
        """The worst point with a finite value so far, with its value."""
        st = self._state
        return Point(copied(st.worst_position), st.user_value(st.worst_cost))

    @property
    def positions(self) -> Array:
        """Current positions, (N, D), after any restart. This is the swarm's own memory, which later
        moves overwrite: copy it to keep it, and do not modify it.
        """
        return self._state.positions

    @property
    def velocities(self) -> Array:
        """Current velocities, (N, D). This is the swarm's own memory, which later
        moves overwrite: copy it to keep it, and do not modify it.
        """
        return self._state.velocities

    @property
    def personal_bests(self) -> Array:
        """Each particle's best position, (N, D). This is the swarm's own memory, which later
        moves overwrite: copy it to keep it, and do not modify it.
        """
        return self._state.best_positions

    @property
    def values(self) -> Floats:
        """Each particle's latest value, (N,); NaN before the first evaluation."""
        return self._state.user_value(self._state.costs.copy())

    @property
    def personal_best_values(self) -> Floats:
        """Each particle's best value, (N,)."""
        return self._state.user_value(self._state.best_costs.copy())

    @property
    def iteration(self) -> int:
        """Completed rounds after the first one, which evaluates the starting positions; restarts do
        not reset it.
        """
        return self._state.iteration

    @property
    def rounds(self) -> int:
        """Completed evaluation rounds, including the initial one."""
        return self._state.generation

    @property
    def evaluations(self) -> int:
        """Completed evaluations, not counting dropped particles."""
        return self._state.evaluations

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """State for resuming: arrays and tensors (copies, in memory), numbers and strings."""
        return copy.deepcopy(self._saved())

    def _saved(self) -> dict[str, Any]:
        """The entries of `state_dict`, without copies."""
        under_way = self._under_way.state_dict(UNDER_WAY, copied=lambda value: value)
        return self._update.saved() | under_way | self._identity()

    def _identity(self) -> dict[str, Any]:
        return {"recipe": self.recipe.name, "options": self.recipe.options}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved state, bit for bit; on tensors if this swarm uses them, else on arrays.

        Raises:
            ValueError: `saved` is not a swarm's state, or belongs to another recipe.
        """
        x = self._state.positions
        self._restore(saved, owned=lambda large: copied(beside(large, x)))

    def _restore(self, saved: Mapping[str, Any], owned: Callable[[Array], Array]) -> None:
        """Take over a saved state; `owned` converts its arrays and tensors to the swarm's own."""
        here = self._identity()
        saved_as = {name: saved.get(name) for name in here}
        if saved_as != here:
            raise ValueError(f"the saved swarm uses {saved_as}, but this one uses {here}")
        self._update = Update.of(self.recipe, saved, owned)
        self._state = self._update.state
        own = {name: saved[name] for name in saved if name.startswith(UNDER_WAY)}
        self._under_way = UnderWay.from_state(copy.deepcopy(own), UNDER_WAY)
        particles = [ticket.particle for ticket in self._under_way.pending.values()]
        self._under_way.place([self._state.positions[particle] for particle in particles])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to one file, atomically and without pickle."""
        checkpoint.write(path, self._saved())

    @classmethod
    def load(cls, path: str | os.PathLike[str], recipe: Recipe | None = None) -> Swarm:
        """Load a swarm written by `save`. Its tensors are loaded on the CPU; to use another device, create
        a swarm there and call its `load_state_dict`.

        Args:
            path: the file.
            recipe: needed only for a custom composition, which the file cannot contain. The file
                identifies it by name, so use different names for different compositions.

        Raises:
            ValueError: the file is not a checkpoint, or contains a swarm whose recipe must be
                passed.
            ImportError: the swarm has tensors and torch is not installed.
        """
        with needing_torch(f"the swarm in {path}"):
            saved = checkpoint.read(path)
        if recipe is None and saved.get("options") is None:
            raise ValueError(
                f"{path}: the recipe {saved.get('recipe')!r} is not a built-in one; pass it as "
                "recipe=..."
            )
        swarm = cls.__new__(cls)
        with checkpoint.taking_over(path):
            swarm.recipe = recipe or recipes.get(saved["recipe"], **saved["options"])
            swarm._restore(saved, owned=lambda large: large)
        return swarm


def _box_of(
    recipe: Recipe,
    bounds: Any,
    dim: int | None,
    positions: Array | None,
    dtype: DType,
    device: Any,
) -> tuple[Box | None, int]:
    """The box (None without bounds), and D."""
    if positions is not None:
        if dim not in (None, positions.shape[1]):
            raise ValueError(
                f"dim={dim}, but the dimension of the positions is {positions.shape[1]}"
            )
        dim = positions.shape[1]
    if bounds is not None:
        box = make_box(bounds, dim, dtype, device)
        return box, len(box.low)
    if any(isinstance(policy, RestartSwarm) for policy in recipe.restart):
        raise ValueError(
            f"recipe {recipe.name!r} restarts the swarm within the bounds; pass bounds"
        )
    if dim is None:
        raise ValueError("a swarm needs a region to start in; pass bounds or positions")
    return None, dim
