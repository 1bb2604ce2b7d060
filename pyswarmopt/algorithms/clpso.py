"""Comprehensive learning PSO: Liang, Qin, Suganthan & Baskar 2006."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe, compose, keeps_options
from pyswarmopt.base.arrays import Array, Floats, Ints, beside, copied, is_tensor
from pyswarmopt.base.state import EXEMPLARS, State
from pyswarmopt.parts.schedule import Linear
from pyswarmopt.parts.velocity import inertia, social


@dataclass(frozen=True)
class Exemplars:
    """A topology in which each particle has one exemplar per coordinate: the particle whose
    personal best attracts it there.

    Particle i keeps its exemplars until its best has not improved for `gap` iterations, then draws
    new ones (Liang et al. 2006). For each coordinate, the exemplar is the better of two other
    random particles with probability Pc_i, else particle i. If all would be i, one coordinate gets
    another.
    """

    gap: int = 7  # refreshing gap m

    def __post_init__(self) -> None:
        if self.gap < 1:
            raise ValueError(f"gap must be at least 1 iteration, got {self.gap}")

    def __call__(self, state: State, generator: np.random.Generator) -> Array:
        n, dim = state.positions.shape
        chosen = state.memory.get(EXEMPLARS)
        if chosen is None:
            due = np.arange(n)
            chosen = beside(np.empty((n, dim), np.int64), state.positions)
        else:
            due = np.flatnonzero((state.stagnation > 0) & (state.stagnation % self.gap == 0))
        if due.size:
            drawn = draw_exemplars(due, state.best_costs, dim, generator)
            chosen = copied(chosen)
            chosen[beside(due, chosen)] = beside(drawn, chosen)
            state.memory[EXEMPLARS] = chosen
        p = state.best_positions
        if is_tensor(p):
            return p.gather(0, chosen)
        return np.take_along_axis(p, chosen, axis=0)


def learning_probability(n: int) -> Floats:
    """Pc_i of each of n > 1 particles: ``0.05 + 0.45 (exp(10 i/(n-1)) - 1) / (exp(10) - 1)``, i
    from 0.

    It rises from 0.05 to 0.5, so that some particles exploit and others explore (Liang et al.
    2006).
    """
    return 0.05 + 0.45 * np.expm1(10 * np.arange(n) / (n - 1)) / np.expm1(10)


def draw_exemplars(due: Ints, costs: Floats, dim: int, generator: np.random.Generator) -> Ints:
    """New exemplars for the particles `due`, (m,): particle numbers, (m, dim).

    Two draws are made: (m, dim, 3) numbers, for whether to learn and for two candidates, then (m,
    2) for the coordinate and particle of those that would learn only from themselves.
    """
    n = len(costs)
    m = len(due)
    itself = np.broadcast_to(due[:, None], (m, dim))
    if n == 1:
        return itself.copy()
    u = generator.random((m, dim, 3))
    forced = generator.random((m, 2))
    first = _other(itself, u[..., 1], n)
    second = _other(itself, u[..., 2], n)
    winner = np.where(costs[second] < costs[first], second, first)
    learns = u[..., 0] < learning_probability(n)[due][:, None]
    exemplars = np.where(learns, winner, itself)
    alone = np.flatnonzero(~learns.any(axis=1))
    coordinate = (forced[alone, 0] * dim).astype(np.int64)
    exemplars[alone, coordinate] = _other(due[alone], forced[alone, 1], n)
    return exemplars


def _other(particle: Ints, u: Floats, n: int) -> Ints:
    """One of the other n - 1 particles, chosen by u ~ U(0, 1)."""
    return (particle + 1 + (u * (n - 1)).astype(np.int64)) % n


@keeps_options
def clpso(
    c: float = 1.49445,
    start: float = 0.9,
    end: float = 0.4,
    horizon: int | None = None,
    gap: int = 7,
    max_velocity: float | None = None,
    population: int = 40,
) -> Recipe:
    """CLPSO: Liang, Qin, Suganthan & Baskar 2006, IEEE TEC 10(3).

    ``v <- w v + c r (p_f - x)``, ``x <- x + v``, r ~ U(0, 1) per coordinate, p_f composed of the
    bests of several particles, one for each coordinate (see `Exemplars`). It is slow, but rarely
    trapped on separable functions.

    The paper lets particles leave the box without evaluating them, and clamps velocities to a fifth
    of its sides; here they bounce off the walls, and velocities are clamped only to a given
    `max_velocity`.

    Args:
        c: acceleration.
        start: inertia w in the first iteration.
        end: inertia from iteration `horizon` on.
        horizon: iterations over which w falls linearly; default: the whole run if its length is
            known, as in `minimize`, else 1,000.
        gap: refreshing gap m.
        max_velocity: the paper's V_max, in the units of x; default: none.
        population: default number of particles.

    Returns:
        The recipe.

    Raises:
        ValueError: a horizon or gap below 1 or a max_velocity that is not positive.

    Example:
        >>> clpso(gap=5).topology
        Exemplars(gap=5)
    """
    terms = (inertia(Linear(start, end, horizon)), social(c))
    return compose(
        name="clpso",
        terms=terms,
        max_velocity=max_velocity,
        topology=Exemplars(gap),
        population=population,
    )
