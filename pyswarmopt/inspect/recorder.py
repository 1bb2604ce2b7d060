"""Records a swarm's moves: the pull of each velocity term at every move, as the swarm computed it.

A recorder wraps the recipe's velocity rule, passes every call on, and repeats it for each term with
the other terms' coefficients at 0. It changes nothing: the same seed gives the same search,
recorded or not. It is meant for small swarms that people watch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.algorithms.registry import as_recipe
from pyswarmopt.base.arrays import Array, Floats, as_array
from pyswarmopt.base.blocks import BLOCK
from pyswarmopt.inspect.step import Step
from pyswarmopt.parts.schedule import as_schedule
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms, VelocityRule
from pyswarmopt.swarm import Swarm

Objective = Callable[[Any], Any]


def record(fun: Objective, recipe: str | Recipe, moves: int, **swarm: Any) -> list[Step]:
    """Run a swarm for some moves and keep every step.

    Args:
        fun: the objective, (N, D) array -> (N,).
        recipe: algorithm or its name; its own stop rules apply.
        moves: most moves.
        swarm: further arguments of `Swarm`: bounds, population, positions, velocities, seed,
            maximize.

    Returns:
        The starting positions and then one step per move.

    Raises:
        ValueError: inconsistent arguments, or a swarm too large to record.

    Example:
        >>> import pyswarmopt as pso
        >>> steps = record(pso.functions.sphere, pso.recipes.model_swarms(), 3, bounds=[(-5, 5)] * 2, seed=0)
        >>> [step.number for step in steps], sorted(steps[1].forces)
        ([0, 1, 2, 3], ['cognitive', 'inertia', 'repel', 'social'])
        >>> bool(np.allclose(sum(steps[1].forces.values()), steps[1].v))  # no wall was hit
        True
    """
    recipe = as_recipe(recipe)
    notes = Notes(recipe)
    rule = recipe.velocity
    watched: VelocityRule = notes.watch
    if isinstance(rule, SumOfTerms):
        watched = _WatchedSum(rule.terms, rule.normalise, rule.limit, notes=notes)
    s = Swarm(recipe=replace(recipe, velocity=watched, schedule=notes.schedule), **swarm)
    size = math.prod(s.positions.shape)
    if size > BLOCK:
        raise ValueError(
            f"a recording of {size:,} numbers per move: at most {BLOCK:,} can be watched"
        )
    steps: list[Step] = []
    while len(steps) <= moves and not s.stop():
        steps.append(_round(s, fun, notes, len(steps)))
    return steps


def _round(s: Swarm, fun: Objective, notes: Notes, number: int) -> Step:
    notes.forget()
    origin = _copy(s.positions)
    x = s.ask()
    v = _copy(s.velocities)
    values = fun(x)
    p = _copy(s.personal_bests)
    p_values = s.personal_best_values
    s.tell(x, values)
    evaluated = _copy(x)
    after = _copy(s.positions)
    same_swarm = after.shape == evaluated.shape
    if same_swarm:  # else these are bests of a new population
        p = _copy(s.personal_bests)
        p_values = s.personal_best_values
    step = Step(
        number=number,
        x=evaluated,
        v=v,
        values=s.values if same_swarm else _copy(values),
        p=p,
        p_values=p_values,
        best=s.best.value,
        restarted=(after != evaluated).any(axis=1) if same_swarm else np.full(len(x), True),
        forces=notes.forces,
        factors=notes.factors,
        length=notes.length,
    )
    if notes.seen is None:
        return step
    g = np.broadcast_to(notes.seen.g, evaluated.shape)
    return replace(step, origin=origin, g=g, w=notes.seen.w[0])


class Notes:
    """Record of the latest move."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.move = 0
        self.forget()

    def forget(self) -> None:
        """Begin a round, in which a new population does not move."""
        self.length = 1.0
        self.seen: Snapshot | None = None
        self.forces: dict[str, Floats] = {}
        self.factors: dict[str, Floats] = {}

    def schedule(self, move: int) -> float:
        """The recipe's step length, recorded."""
        self.move = move
        self.length = float(self._recipe.schedule(move))
        return self.length

    def watch(self, snapshot: Snapshot, move: int, generator: np.random.Generator) -> Array:
        """The recipe's velocities, recorded with their inputs."""
        self.seen = _seen(snapshot)
        return self._recipe.velocity(snapshot, move, generator)


@dataclass(frozen=True)
class _WatchedSum(SumOfTerms):
    """A sum of terms whose forces are recorded one by one."""

    notes: Notes = field(kw_only=True)

    def on(self, block: Snapshot, coefficients: Any) -> Any:
        notes = self.notes
        notes.seen = _seen(block)
        notes.forces = {}
        notes.factors = {}
        # C differs between coordinates if a factor does.
        mixed = self.normalise and bool(self.per_coordinate)
        for k, term in enumerate(self.terms):
            notes.forces[term.name] = _copy(super().on(block, _only(coefficients, k)))
            weight = as_schedule(term.weight)(notes.move)
            by_coordinate = mixed or term.random == "element"
            share = _copy(coefficients[k] if by_coordinate else coefficients[k][:, :1])
            notes.factors[term.name] = share / weight if weight else np.zeros_like(share)
        return super().on(block, coefficients)


def _only(coefficients: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """The coefficients of a move, with all but term k's set to 0."""
    alone = np.zeros_like(coefficients)
    alone[k] = coefficients[k]
    return alone


def _seen(snapshot: Snapshot) -> Snapshot:
    """A copy of a snapshot's points."""
    return Snapshot(
        x=_copy(snapshot.x),
        v=_copy(snapshot.v),
        p=_copy(snapshot.p),
        g=_copy(snapshot.g),
        w=_copy(snapshot.w),
    )


def _copy(x: Array) -> Floats:
    return np.array(as_array(x), dtype=np.float64)
