"""Records a swarm's moves: the pull of each velocity term at every move, as the swarm computed it.

A recorder wraps the recipe's velocity rule and changes nothing: the same seed gives the same
search, recorded or not. It is meant for small swarms that people watch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.algorithms.registry import as_recipe
from pyswarmopt.base.arrays import BLOCK, Array, Bools, Floats, as_array
from pyswarmopt.inspect.step import Step
from pyswarmopt.parts.schedule import as_schedule
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms, VelocityRule
from pyswarmopt.swarm import Swarm

Objective = Callable[[Any], Any]


class RecordedSwarm(Swarm):
    """A `Swarm` that keeps every round: the same search, for your own loop, on arrays or tensors.

    Args:
        recipe: a recipe or its name.
        swarm: further arguments of `Swarm`, without `asynchronous`.

    Attributes:
        steps: the rounds that were told so far, as NumPy arrays; in a loaded swarm, since loading.

    Raises:
        ValueError: the arguments are inconsistent, or the swarm is too large to record.

    Example:
        >>> import pyswarmopt as pso
        >>> s = pso.RecordedSwarm("constriction", bounds=[(-5, 5)] * 2, population=6, seed=0)
        >>> for _ in range(3):
        ...     x = s.ask()  # (6, 2), a tensor if dtype= is torch's
        ...     s.tell(x, (x**2).sum(-1))
        >>> [step.number for step in s.steps], sorted(s.steps[1].forces)
        ([0, 1, 2], ['cognitive', 'inertia', 'social'])
    """

    def __init__(self, recipe: str | Recipe = "constriction", **swarm: Any) -> None:
        if swarm.get("asynchronous"):
            raise ValueError("a recorded swarm moves in rounds: remove asynchronous=True")
        self.steps: list[Step] = []
        self._notes: dict[str, Any] = {}  # fields of the present step
        super().__init__(recipe=_watched(as_recipe(recipe), self._notes), **swarm)
        if len(self.positions) * self.positions.shape[1] > BLOCK:
            raise ValueError(f"particles x dimensions must be at most {BLOCK:,} to record a swarm")

    def _complete(self, costs: Floats, evaluated: Bools | None) -> None:
        x = _copy(self.positions)
        v = _copy(self.velocities)
        bests = _bests(self)
        values = self._state.user_value(costs.copy())
        super()._complete(costs, evaluated)
        after = _copy(self.positions)
        restarted = np.full(len(x), True)
        if after.shape == x.shape:  # else a new population follows
            restarted = (after != x).any(axis=1)
            bests = _bests(self)
        step = Step(
            number=len(self.steps), x=x, v=v, values=values, best=self.best.value,
            restarted=restarted, **bests, **self._notes,
        )  # fmt: skip
        self.steps.append(step)
        self._notes.clear()  # a new population does not move


def record(fun: Objective, recipe: str | Recipe, moves: int, **swarm: Any) -> list[Step]:
    """Run a swarm and keep every step.

    Args:
        fun: the objective, (N, D) array or tensor -> (N,).
        recipe: a recipe or its name; its own stop rules apply.
        moves: maximum number of iterations.
        swarm: further arguments of `RecordedSwarm`, which records loops of your own: bounds,
            population, positions, velocities, seed, maximize, dtype, device.

    Returns:
        The starting positions and then one step per iteration.

    Raises:
        ValueError: the arguments are inconsistent, or the swarm is too large to record.

    Example:
        >>> import pyswarmopt as pso
        >>> steps = record(pso.functions.sphere, pso.recipes.model_swarms(), 3, bounds=[(-5, 5)] * 2, seed=0)
        >>> [step.number for step in steps], sorted(steps[1].forces)
        ([0, 1, 2, 3], ['cognitive', 'inertia', 'repel', 'social'])
        >>> bool(np.allclose(sum(steps[1].forces.values()), steps[1].v))  # no wall was hit
        True
    """
    s = RecordedSwarm(recipe, **swarm)
    while len(s.steps) <= moves and not s.stop():
        x = s.ask()
        s.tell(x, fun(x))
    return s.steps


def _watched(recipe: Recipe, notes: dict[str, Any]) -> Recipe:
    """The recipe, which notes what each move is made from."""
    rule = recipe.velocity

    def watch(snapshot: Snapshot, move: int, generator: np.random.Generator) -> Array:
        notes.update(_inputs(snapshot))
        return rule(snapshot, move, generator)

    def length(move: int) -> float:
        notes["length"] = float(recipe.schedule(move))
        return notes["length"]

    watched: VelocityRule = watch
    if isinstance(rule, SumOfTerms):
        watched = _WatchedSum(rule.terms, rule.normalise, rule.limit, notes=notes)
    return replace(recipe, velocity=watched, schedule=length)


def _inputs(s: Snapshot) -> dict[str, Any]:
    """What the velocities are made from."""
    g = np.broadcast_to(as_array(s.g), s.x.shape)
    return {"origin": _copy(s.x), "g": _copy(g), "w": _copy(s.w[0])}


@dataclass(frozen=True)
class _WatchedSum(SumOfTerms):
    """A sum of terms whose forces are recorded one by one."""

    notes: dict[str, Any] = field(kw_only=True)

    def on(self, block: Snapshot, coefficients: list[Any]) -> Any:
        forces = {}
        factors = {}
        for term, c in zip(self.terms, coefficients, strict=True):
            forces[term.name] = _copy(c * term.direction(block))
            factor = np.zeros((len(block.x), 1)) + as_array(c)
            weight = as_schedule(term.weight)(block.move)
            if weight != 0:
                factor = factor / weight
            factors[term.name] = factor
        self.notes.update(_inputs(block), forces=forces, factors=factors)
        return super().on(block, coefficients)


def _bests(s: Swarm) -> dict[str, Any]:
    return {"p": _copy(s.personal_bests), "p_values": s.personal_best_values}


def _copy(x: Array) -> Floats:
    return np.array(as_array(x), dtype=np.float64)
