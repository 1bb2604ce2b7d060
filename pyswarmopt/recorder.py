"""Watch a swarm move: what each term of its velocity pulled, at every move, as the swarm itself computed it.

A recorder stands in front of the recipe's velocity rule, passes every call on, and asks the same rule once more per
term with the coefficients of the other terms at 0. It changes nothing: the same seed gives the same search, watched or
not. It is for swarms that a person looks at, not for large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .compose import Recipe
from .motion import BLOCK
from .random_bits import FULL_SCALE, RandomBits
from .swarm import Swarm
from .velocity import EVERY, BlockRule, Clamped, Draw, Scope, Snapshot, SumOfTerms, VelocityRule

Floats = npt.NDArray[np.float64]
Objective = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Step:
    """One round of a swarm of N particles in D dimensions: a move, an evaluation, and what is remembered of it.

    Attributes:
        number: 0 for the starting positions, then 1, 2, ...
        x: where the particles were evaluated, (N, D).
        v: velocities that brought them there, after walls, (N, D).
        values: what they found, (N,), in the user's sense.
        p: personal bests after the evaluation, (N, D).
        p_values: values there, (N,).
        best: the best value so far.
        restarted: which particles were sent elsewhere after the evaluation, (N,).
        origin: where the move began, (N, D); None for the starting positions, like all that follows.
        length: step length lambda of the move.
        g: the bests that the particles heard of, (N, D).
        w: the worst point known, (D,).
        forces: what each term added to the velocity, by its name, (N, D); empty for a rule that is no sum of terms.
        factors: the random numbers r in them, (N, 1) or (N, D); where the sum is normalised, divided by C.
    """

    number: int
    x: Floats
    v: Floats
    values: Floats
    p: Floats
    p_values: Floats
    best: float
    restarted: npt.NDArray[np.bool_]
    origin: Floats | None = None
    length: float = 1.0
    g: Floats | None = None
    w: Floats | None = None
    forces: Mapping[str, Floats] = field(default_factory=dict)
    factors: Mapping[str, Floats] = field(default_factory=dict)


def record(fun: Objective, recipe: Recipe, moves: int, **swarm: Any) -> list[Step]:
    """Run a swarm for some moves and keep every step.

    Args:
        fun: the objective, (N, D) tensor -> (N,).
        recipe: the algorithm; its own stop rules are obeyed.
        moves: the most moves.
        swarm: further arguments of `Swarm`: bounds, population, positions, velocities, seed, maximize.

    Returns:
        The starting positions and then one step per move.

    Raises:
        ValueError: arguments that do not fit each other, or a swarm too large to be watched.

    Example:
        >>> import pyswarmopt as pso
        >>> steps = record(pso.functions.sphere, pso.recipes.model_swarms(), 3, bounds=[(-5, 5)] * 2, seed=0)
        >>> [step.number for step in steps], sorted(steps[1].forces)
        ([0, 1, 2, 3], ['cognitive', 'inertia', 'repel', 'social'])
        >>> bool(np.allclose(sum(steps[1].forces.values()), steps[1].v))  # no wall was hit
        True
    """
    watched = _Watched(recipe.velocity)
    s = Swarm(recipe=replace(recipe, velocity=watched), **swarm)
    if s.positions.numel() > BLOCK:
        raise ValueError(f"a recording of {s.positions.numel():,} numbers per move: at most {BLOCK:,} can be watched")
    steps: list[Step] = []
    while len(steps) <= moves and not s.stop():
        steps.append(_round(s, fun, watched, len(steps)))
    return steps


def _round(s: Swarm, fun: Objective, watched: _Watched, number: int) -> Step:
    origin = _copy(s.positions)
    x = s.ask()
    v = _copy(s.velocities)
    s.tell(x, fun(x))
    evaluated = _copy(x)
    after = _copy(s.positions)
    step = Step(
        number=number,
        x=evaluated,
        v=v,
        values=s.values,
        p=_copy(s.personal_bests),
        p_values=s.personal_best_values,
        best=s.best.value,
        restarted=np.any(after != evaluated, axis=1) if after.shape == evaluated.shape else np.full(len(x), True),
    )
    seen = watched.seen
    if number == 0 or seen is None:
        return step
    return replace(
        step,
        origin=origin,
        length=float(s.recipe.schedule(watched.move)),
        g=np.broadcast_to(_copy(seen.g), evaluated.shape),
        w=_copy(seen.w)[0],
        forces=watched.forces,
        factors=watched.factors,
    )


class _Watched:
    """A velocity rule that passes on what another one says, and notes how it came about."""

    def __init__(self, rule: VelocityRule) -> None:
        self._rule = rule
        inner = rule.rule if isinstance(rule, Clamped) else rule
        self._sum = inner if isinstance(inner, SumOfTerms) else None
        if self._sum and self._sum.normalise and any(term.random == "element" for term in self._sum.terms):
            raise ValueError("a normalised sum with a factor per coordinate cannot be recorded: use one per particle")
        self.looks_at: Scope = getattr(rule, "looks_at", "all")
        self.move = 0
        self.seen: Snapshot | None = None
        self.forces: dict[str, Floats] = {}
        self.factors: dict[str, Floats] = {}

    def __call__(self, snapshot: Snapshot, move: int, generator: torch.Generator) -> Any:
        if self._sum is None:
            self.move, self.seen = move, _kept(snapshot)
            return self._rule(snapshot, move, generator)
        return self.on(snapshot, self.draw(len(snapshot.x), move, generator))

    def draw(self, n: int, move: int, generator: torch.Generator, bits: RandomBits | None = None) -> Draw:
        self.move = move
        return cast(BlockRule, self._rule).draw(n, move, generator, bits)

    def on(self, block: Snapshot, draw: Draw, rows: slice = EVERY) -> Any:
        if self._sum is not None:
            self.seen = _kept(block)
            self._note(self._sum, block, draw)
        return cast(BlockRule, self._rule).on(block, draw, rows)

    def _note(self, rule: SumOfTerms, block: Snapshot, draw: Draw) -> None:
        state = None if draw.bits is None else draw.bits.state()
        per_coordinate = [term.name for term in rule.terms if term.random == "element"]
        drawn: dict[str, Floats] = {}
        if state is not None and per_coordinate:
            numbers = RandomBits.from_state(state).take((len(per_coordinate), *block.x.shape)) / FULL_SCALE
            drawn = dict(zip(per_coordinate, numbers, strict=True))
        self.forces, self.factors = {}, {}
        for k, term in enumerate(rule.terms):
            bits = None if state is None else RandomBits.from_state(state)
            alone = _only(draw.coefficients, k)
            self.forces[term.name] = _copy(rule.on(block, Draw(alone, bits)))
            weight = term.weight(self.move) if callable(term.weight) else term.weight
            share = np.broadcast_to(np.reshape(draw.coefficients[k], (-1, 1)), (len(block.x), 1))
            self.factors[term.name] = drawn.get(term.name, share / weight if weight else np.zeros_like(share))


def _only(coefficients: Any, k: int) -> Any:
    """The coefficients of a draw, all but the k-th set to 0."""
    if isinstance(coefficients, np.ndarray):
        alone = np.zeros_like(coefficients)
        alone[k] = coefficients[k]
        return alone
    return [c if i == k else 0.0 for i, c in enumerate(coefficients)]


def _kept(snapshot: Snapshot) -> Snapshot:
    return Snapshot(*map(_copy, snapshot))


def _copy(x: Tensor | npt.ArrayLike) -> Floats:
    return np.array(x.double().numpy(force=True) if isinstance(x, Tensor) else x, dtype=np.float64)


__all__ = ["Step", "record"]
