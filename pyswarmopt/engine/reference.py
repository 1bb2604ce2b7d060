"""The update of a swarm for any recipe: Algorithm 1 of Model Swarms (Feng et al. 2024, arXiv
2410.11163), generalised.

`pyswarmopt.teaching.algorithm1` is the algorithm as the paper writes it.

Notation: x positions, v velocities, p personal bests, g the best and w the worst position seen;
costs are -f, lower is better. `algorithms.model_swarms` has the values of all symbols,
`parts.velocity` the terms d_k of the velocity.

This backend moves single particles, and swarms on a GPU, in 16 bits or with terms that look at the
whole swarm. The other one, `chunked`, gives the same numbers bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Array, Bools, Floats, Ints, beside, is_tensor
from pyswarmopt.base.in_flight import InFlight
from pyswarmopt.base.inputs import require_shape
from pyswarmopt.base.state import State
from pyswarmopt.base.storage import copied
from pyswarmopt.engine.random_factors import RandomFactors
from pyswarmopt.parts.boundary import Box, contained
from pyswarmopt.parts.topology import ByInformants, Lattice, Topology
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms

# added, and copied, in a third of the time of Python numbers
ONE = np.array(1)
ZERO = np.array(0.0)
FEW_COLUMNS = 512  # below this one masked copy is faster than copying row by row


def arrays(state: State) -> tuple[Array, Array, Array, Array, Array]:
    """The large arrays of a state: x, v, p, (N, D), g and w, (D,)."""
    return (
        state.positions, state.velocities, state.best_positions, state.leader_position,
        state.worst_position,
    )  # fmt: skip


# ---- step 1: move ----


def move(
    state: State,
    recipe: Recipe,
    factors: RandomFactors | None,
    generator: np.random.Generator,
    box: Box | None = None,
    out: Array | None = None,
) -> None:
    """Move all particles using p, g and w of the previous iteration; new positions go to `out`, or
    in place.
    """
    k = state.age - 1
    s = snapshot(state, recipe, attractors(state, recipe.topology, generator), k)
    v = velocities(s, recipe, factors, k, generator)
    x, v = step(s.x, v, recipe, k, generator, box)
    target = state.positions if out is None else out
    target[:] = x
    state.velocities[:] = v


def attractors(state: State, topology: Topology, generator: np.random.Generator) -> Array:
    """A topology's g, (N, D) or (1, D).

    Raises:
        ValueError: another shape.
    """
    g = topology(state, generator)
    require_shape("what the topology returns", g, state.positions.shape)
    if not getattr(g, "shape", ()):
        raise ValueError(
            f"the topology returns {g!r}; it must return positions, (N, D) or (1, D), such as "
            "state.best_positions[[i]]"
        )
    return g


def snapshot(state: State, recipe: Recipe, g: Array, k: int) -> Snapshot:
    """The input of the k-th move, with attractors g, (N, D) or (1, D)."""
    x, v, p, _, w = arrays(state)
    fx, fp = (_on_device(costs, x) for costs in (state.costs, state.best_costs))
    return Snapshot(x, v, p, g, w[None], fx, fp, k, links(recipe.topology, len(x)))


def links(topology: Topology, n: int) -> Ints | None:
    """The neighbours of n particles, (n, k), if the topology is a lattice."""
    return topology.neighbours(n) if isinstance(topology, Lattice) else None


def _on_device(costs: Floats, x: Array) -> Array:
    """Costs on x's device; float32 if the device may lack float64."""
    elsewhere = is_tensor(x) and x.device.type != "cpu"
    return beside(costs.astype(np.float32) if elsewhere else costs, x)


def velocities(
    s: Snapshot,
    recipe: Recipe,
    factors: RandomFactors | None,
    k: int,
    generator: np.random.Generator,
) -> Array:
    """``v <- (1/C) sum_k r_k phi_k d_k``, in the paper over d = v, p - x, g - x and x - w; k counts
    the moves.
    """
    if factors is None:  # not a sum of terms
        v = recipe.velocity(s, k, generator)
        require_shape("what the velocity rule returns", v, s.x.shape)
        return v
    c = factors.next(k)  # c_k = r_k phi_k / C, C = sum_k r_k phi_k
    return cast(SumOfTerms, recipe.velocity).on(s, c)  # sum_k c_k d_k


def step(
    x: Array, v: Array, recipe: Recipe, k: int, generator: np.random.Generator, box: Box | None
) -> tuple[Array, Array]:
    """``x <- x + lambda v``, then the walls; lambda after k times ``lambda <- phi_lambda lambda``."""
    x = x + recipe.schedule(k) * v
    return (x, v) if box is None else contained(recipe.boundary, x, v, box, generator)


def move_one(
    state: State, recipe: Recipe, i: int, generator: np.random.Generator, box: Box | None = None
) -> None:
    """Move only particle i, with coefficients drawn for this move; topologies renew only its links."""
    k = max(state.age - 1, 0)
    row = slice(i, i + 1)
    topology = recipe.topology
    others = np.arange(len(state.stagnation)) != i
    seen_by = replace(state, stagnation=np.where(others, 0, state.stagnation))
    p = state.best_positions
    rule = recipe.velocity
    alone = isinstance(rule, SumOfTerms) and rule.looks_at == "element"
    if alone and isinstance(topology, ByInformants):  # without the bests of the others' informants
        g = p[beside(topology.informants(seen_by, generator)[row], p)]
    else:
        g = attractors(seen_by, topology, generator)
        g = g[row] if alone and len(g) > 1 else g
    s = snapshot(state, recipe, g, k)
    if alone:
        x, v, p, g, w, fx, fp, _, around = s
        around = None if around is None else around[row]
        s = Snapshot(x[row], v[row], p[row], g, w, fx[row], fp[row], k, around)
    mine = slice(None) if alone else row
    v = rule(s, k, generator)
    new_x, new_v = step(s.x[mine], v[mine], recipe, k, generator, box)
    state.positions[row] = new_x
    state.velocities[row] = new_v


# ---- step 2: evaluate and remember ----


def remember(
    state: State, recipe: Recipe, at: Snapshot, costs: Floats, evaluated: Bools | None = None
) -> None:
    """Store the costs at x, (N,), which the state then owns: p, g and w change only on strict
    improvement.

    A cost that is not finite counts as the worst possible and never becomes p, g or w. `evaluated`
    is a mask, (N,), of the particles not dropped; None: all.
    """
    counted: Bools | None = None
    if evaluated is not None:
        costs = np.where(evaluated, costs, state.costs)
        counted = None if recipe.repeat_dropped else evaluated
    low = high = state.costs = costs
    best = costs.argmin()
    worst = costs.argmax()
    # Comparisons with NaN are false, and argmin returns a NaN's index if there is one.
    if counted is not None or not (costs.item(best) > -math.inf and costs.item(worst) < math.inf):
        finite = np.isfinite(costs) if counted is None else np.isfinite(costs) & counted
        low = np.where(finite, costs, math.inf)
        high = np.where(finite, costs, -math.inf)
        best = low.argmin()
        worst = high.argmax()
    improved = low < state.best_costs
    if state.age > 0:  # the starting positions are p: nothing has stagnated yet
        np.add(state.stagnation, ONE if counted is None else counted, out=state.stagnation)
        np.putmask(state.stagnation, improved, 0)
    if np.count_nonzero(improved):
        _copy_rows(at.x, at.p, improved)
        np.minimum(state.best_costs, low, out=state.best_costs)
    remember_extremes(state, recipe, at, (low, best), (high, worst))
    state.count(evaluated)


def remember_extremes(
    state: State, recipe: Recipe, at: Snapshot, best: tuple[Floats, Any], worst: tuple[Floats, Any]
) -> None:
    """Update g, the best of all and w from the lowest and the highest cost, each with its index."""
    costs, i = best
    cost = costs.item(i)
    if cost < state.leader_cost:
        state.leader_cost = cost
        at.g[0] = at.x[i]
        state.leader_stagnation = 0
    elif state.age > 0:
        state.leader_stagnation += 1
    if cost < state.best_cost:
        # The leader's own tensor: no second copy of D numbers. A new population has a new leader.
        state.best_cost = cost
        state.best_position = state.leader_position
        state.best_stagnation = 0
    elif state.generation > 0:
        state.best_stagnation += 1
    costs, i = worst
    cost = costs.item(i)
    if cost > state.worst_cost:
        if recipe.last_worst_wins and state.age > 0:
            i = np.flatnonzero(costs == cost)[-1]
        state.worst_cost = cost
        at.w[0] = at.x[i]


# ---- restart (of step 2) ----


def send_back(state: State, at: Snapshot, rows: Bools) -> None:
    """x <- p, v <- 0 for some particles, (N,) mask: those whose p has not changed for c_r
    iterations.
    """
    _copy_rows(at.p, at.x, rows)
    _copy_rows(ZERO, at.v, rows)


def _copy_rows(source: Any, target: Any, rows: Bools) -> None:
    """Copy some rows, (N,) mask, or set them to `ZERO`, in NumPy without a temporary."""
    if is_tensor(target):
        target[rows] = 0.0 if source is ZERO else source[rows]
    elif target.shape[1] < FEW_COLUMNS:
        np.copyto(target, source, where=rows[:, None])
    else:
        for i in np.flatnonzero(rows):
            target[i] = 0.0 if source is ZERO else source[i]


# ---- one value at a time, for particles that do not wait for one another: the asynchronous update
# of Koh, George, Haftka & Fregly 2006, Int. J. Numer. Meth. Engng 67(4) ----


def remember_one(state: State, in_flight: InFlight, i: int, cost: float, first: bool) -> None:
    """Store the cost of particle i: update p, g, w, its stagnation count, and after N costs the
    swarm's counts.

    A cost that is not finite counts as the worst possible. The first cost, at the starting
    position, is no stagnation.
    """
    finite = math.isfinite(cost)
    improved = finite and cost < state.best_costs[i]
    state.costs[i] = cost
    if improved:
        state.best_positions[i] = state.positions[i]
        state.best_costs[i] = cost
    if not first:
        state.stagnation[i] = 0 if improved else state.stagnation[i] + 1
    x = copied(state.positions[i])
    if finite and cost < state.leader_cost:
        state.leader_cost = cost
        state.leader_position = x
        state.leader_stagnation = 0
    if finite and cost < state.best_cost:
        state.best_cost = cost
        state.best_position = x
        state.best_stagnation = 0
    if finite and cost > state.worst_cost:
        state.worst_cost = cost
        state.worst_position = x
    state.evaluations += 1
    if in_flight.in_round >= len(state.costs):
        _end_round(state, in_flight)


def _end_round(state: State, in_flight: InFlight) -> None:
    """Count a round, and whether g and the best of all improved in it."""
    if state.leader_cost >= in_flight.leader_cost and state.age > 0:
        state.leader_stagnation += 1
    if state.best_cost >= in_flight.best_cost and state.generation > 0:
        state.best_stagnation += 1
    state.generation += 1
    in_flight.begin_round(state.leader_cost, state.best_cost)
