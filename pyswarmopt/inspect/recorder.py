"""Records a swarm's moves: the pull of each velocity term at every move, as the swarm computed it.

A recorder wraps the recipe's velocity rule and changes nothing: the same seed gives the same search,
recorded or not. It is meant for small swarms that people watch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

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


class Notes:
    """Record of the latest move."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.forget()

    def forget(self) -> None:
        """Begin a round, in which a new population does not move."""
        self.length = 1.0
        self.seen: Snapshot | None = None
        self.forces: dict[str, Floats] = {}
        self.factors: dict[str, Floats] = {}

    def schedule(self, move: int) -> float:
        """The recipe's step length, recorded."""
        self.length = float(self._recipe.schedule(move))
        return self.length

    def watch(self, snapshot: Snapshot, move: int, generator: np.random.Generator) -> Array:
        """The recipe's velocities, recorded with their inputs."""
        self.seen = snapshot
        return self._recipe.velocity(snapshot, move, generator)


@dataclass(frozen=True)
class _WatchedSum(SumOfTerms):
    """A sum of terms whose forces are recorded one by one."""

    notes: Notes = field(kw_only=True)

    def on(self, block: Snapshot, coefficients: list[Any]) -> Any:
        notes = self.notes
        notes.seen = block
        for term, c in zip(self.terms, coefficients, strict=True):
            notes.forces[term.name] = _copy(c * term.direction(block))
            weight = as_schedule(term.weight)(block.move)
            factor = np.zeros_like(c) if weight == 0 else as_array(c) / weight
            notes.factors[term.name] = _by_particle(factor, len(block.x))
        return super().on(block, coefficients)


def _round(s: Swarm, fun: Objective, notes: Notes, number: int) -> Step:
    notes.forget()
    origin = _copy(s.positions)
    x = s.ask()
    v = _copy(s.velocities)
    values = fun(x)
    p = _copy(s.personal_bests)
    p_values = s.personal_best_values
    known = notes.seen
    g = None if known is None else _copy(np.broadcast_to(as_array(known.g), x.shape))
    w = None if known is None else _copy(known.w[0])
    s.tell(x, values)
    evaluated = _copy(x)
    after = _copy(s.positions)
    same_swarm = after.shape == evaluated.shape
    if same_swarm:  # else these are bests of a new population
        p = _copy(s.personal_bests)
        p_values = s.personal_best_values
    return Step(
        number=number,
        x=evaluated,
        v=v,
        values=s.values if same_swarm else _copy(values),
        p=p,
        p_values=p_values,
        best=s.best.value,
        restarted=(after != evaluated).any(axis=1) if same_swarm else np.full(len(x), True),
        origin=None if known is None else origin,
        length=notes.length,
        g=g,
        w=w,
        forces=notes.forces,
        factors=notes.factors,
    )


def _copy(x: Array) -> Floats:
    return np.array(as_array(x), dtype=np.float64)


def _by_particle(factor: Any, n: int) -> Floats:
    """A number for each of n particles, (N, 1), unless there are some."""
    return _copy(factor) if np.ndim(factor) else np.full((n, 1), float(factor))
