"""A swarm with a scout that moves to the minimum of a quadratic model of the evaluated points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pyswarmopt.algorithms.covariant import covariant
from pyswarmopt.algorithms.quadratic_model import fit, next_radius, points_to_fit
from pyswarmopt.algorithms.recipe import Recipe, keeps_options
from pyswarmopt.base.arrays import Array, Floats, as_array, like, namespace
from pyswarmopt.base.state import State
from pyswarmopt.base.storage import copied
from pyswarmopt.parts.topology import Topology
from pyswarmopt.parts.velocity import Snapshot, VelocityRule

ARCHIVE = "archive"  # entry of `State.memory`
RADIUS = "radius"
SCOUT = 0  # the particle that follows the model


@dataclass(frozen=True)
class ModelInformant:
    """A topology in which particle 0 is attracted by the minimum of a quadratic model, the others
    as in `others`.

    The model is fitted (`quadratic_model.fit`) to the best of the latest points, and its minimum
    taken within a radius that grows after a new best of the scout and shrinks otherwise.
    """

    others: Topology  # also for the scout before there is a model
    radius: float = 2.0  # at the start, in standard deviations of the points, per sqrt(D)
    memory: float = 4.0  # points kept per point used in the fit

    def __call__(self, state: State, generator: np.random.Generator) -> Array:
        attractors = self.others(state, generator)
        n, dim = state.positions.shape
        fitted = points_to_fit(dim)
        archive = _with_the_latest(state, room=math.ceil(self.memory * fitted))
        state.memory[ARCHIVE] = archive
        if state.mover not in (None, SCOUT):
            return attractors
        best = archive[np.argsort(archive[:, -1], kind="stable")[:fitted]]
        model = fit(best[:, :-1], best[:, -1])
        if model is None:
            return attractors
        radius = self._adapted(state)
        state.memory[RADIUS] = np.array(radius)
        attractors = copied(namespace(attractors).broadcast_to(attractors, (n, dim)))
        attractors[SCOUT] = like(model.minimum(radius * math.sqrt(dim)), attractors)
        return attractors

    def _adapted(self, state: State) -> float:
        if RADIUS not in state.memory:
            return self.radius
        better = state.costs[SCOUT] <= state.leader_cost
        return next_radius(float(state.memory[RADIUS]), better)


def _with_the_latest(state: State, room: int) -> Floats:
    """The archive with the newly evaluated points; a row is a point and its cost, (points, D + 1)."""
    rows = np.column_stack([as_array(state.positions), state.costs])
    finite = np.isfinite(rows[:, -1])
    if state.in_flight is not None:
        finite &= ~state.in_flight.pending  # their costs belong to other positions
    if ARCHIVE not in state.memory:
        return np.asarray(rows[finite][-room:])
    archive = as_array(state.memory[ARCHIVE])
    new = [row for row in rows[finite] if not (archive == row).all(axis=1).any()]
    return np.concatenate([archive, *(row[None] for row in new)])[-room:]


@dataclass(frozen=True)
class Scouted:
    """Another rule's velocities, except that particle 0 jumps to its attractor, unless that is a
    personal best.
    """

    rule: VelocityRule

    def __call__(self, snapshot: Snapshot, move: int, generator: np.random.Generator) -> Array:
        velocity = self.rule(snapshot, move, generator)
        if not (snapshot.p == snapshot.g[0]).all(1).any():
            velocity[0] = snapshot.g[0] - snapshot.x[0]
        return velocity


@keeps_options
def surrogate(
    inertia: float = 0.67,
    cognitive: float = 1.62,
    social: float = 1.62,
    damping: float = 0.2,
    share: float = 0.3,
    radius: float = 2.0,
    memory: float = 4.0,
    population: int = 6,
    growth: float = 1.5,
    patience: int = 50,
) -> Recipe:
    """`covariant` with a scout at the minimum of a quadratic model of what the swarm has seen (Pant
    et al. 2007).

    The scout: x_0 <- argmin a + b^T x + x^T C x / 2 within a radius, a, b and C fitted to the best
    points seen. The others move as in `covariant`.

    A particle from quadratic interpolation is that of Pant, Radha & Singh 2007 (IEEE CEC, "A new
    particle swarm optimization with quadratic interpolation"), there through three points; here by
    regression through many, as in lq-CMA-ES (Hansen 2019), and within a radius. Every evaluation is
    still a particle's move. For functions that take long: a move costs a fit, which is 1 ms in 20
    coordinates; beyond 32 the model has no mixed terms.

    Args:
        inertia: see `covariant`, as cognitive, social, damping, share, growth and patience.
        cognitive: c1.
        social: c2.
        damping: d.
        share: share of the informants.
        radius: see `ModelInformant`.
        memory: see `ModelInformant`.
        population: particles of the first swarm.
        growth: factor of the population at a restart.
        patience: iterations without a new best that call for one.

    Returns:
        The recipe.

    Raises:
        ValueError: see `RestartSwarm` and `BetterInformants`.

    Example:
        >>> import pyswarmopt as pso
        >>> pso.minimize(pso.functions.rosenbrock, [(-5, 5)] * 3, recipe="surrogate", max_evals=600, seed=0).fun < 1e-6
        True
    """
    recipe = covariant(inertia, cognitive, social, damping, share, population, growth, patience)
    return replace(
        recipe,
        name="surrogate",
        velocity=Scouted(recipe.velocity),
        topology=ModelInformant(recipe.topology, radius, memory),
    )
