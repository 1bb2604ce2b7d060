"""The steps of a swarm for any recipe: Algorithm 1 of Model Swarms (Feng et al. 2024, arXiv
2410.11163), generalised.

`pyswarmopt.teaching.algorithm1` is the algorithm as the paper writes it.

Notation: x positions, v velocities, p personal bests, g the best and w the worst position seen;
costs are -f, lower is better. `algorithms.model_swarms` has the values of all symbols,
`parts.velocity` the terms d_k of the velocity.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import (
    Array,
    Bools,
    Floats,
    as_array,
    beside,
    copied,
    empty,
    is_tensor,
    like,
)
from pyswarmopt.base.in_flight import InFlight
from pyswarmopt.base.inputs import require_shape
from pyswarmopt.base.state import State
from pyswarmopt.parts.boundary import Boundary, Box
from pyswarmopt.parts.topology import Topology

ONE = np.array(1)  # added in a third of the time of a Python number


# ---- step 1: move ----


def attractors(state: State, topology: Topology, generator: np.random.Generator) -> Array:
    """A topology's g, (N, D) or (1, D).

    Raises:
        ValueError: another shape.
    """
    g = topology(state, generator)
    require_shape("what the topology returns", g, state.positions.shape)
    return g


def fitted(part: Any, x: Array, by: str = "velocity rule") -> Array:
    """What a recipe's part returned, with the shape and dtype of x."""
    if getattr(part, "shape", None) == x.shape and part.dtype == x.dtype:
        return part
    require_shape(f"what the {by} returns", part, x.shape)
    whole = empty(tuple(x.shape), x.dtype, x.device)
    whole[:] = part if is_tensor(part) or not is_tensor(x) else like(np.asarray(part), x)
    return whole


def walled(
    x: Array, v: Array, boundary: Boundary, box: Box, generator: np.random.Generator,
    columns: slice = slice(None),
) -> tuple[Array, Array]:  # fmt: skip
    """x and v after the boundary; of an array it gets the coordinates outside, as one row.

    Args:
        x: positions, (N, D), changed in place if they are an array.
        v: velocities, likewise.
        boundary: the recipe's.
        box: its bounds.
        generator: source of the boundary's random numbers.
        columns: those of the box that x has.
    """
    if is_tensor(x):
        new_x, new_v = boundary(x, v, box, generator)
        return fitted(new_x, x, "boundary"), fitted(new_v, x, "boundary")
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
    new_x, new_v = boundary(row_x, row_v, Box(*sides), generator)
    x[outside] = as_array(new_x[0])
    v[outside] = as_array(new_v[0])
    return x, v


# ---- step 2: evaluate and remember ----


def remember(
    state: State, recipe: Recipe, x: Array, p: Array, costs: Floats, evaluated: Bools | None = None
) -> None:
    """Store the costs at x, (N,), which the state then owns: p, g and w change only on strict
    improvement.

    A cost that is not finite counts as the worst possible and never becomes p, g or w. `evaluated`
    is a mask, (N,), of the particles not dropped; None: all. x and p are the state's, or views.
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
        if counted is None:
            finite = np.isfinite(costs)
        else:
            finite = np.isfinite(costs) & counted
        low = np.where(finite, costs, math.inf)
        high = np.where(finite, costs, -math.inf)
        best = low.argmin()
        worst = high.argmax()
    improved = low < state.best_costs
    if state.age > 0:  # the starting positions are p: nothing has stagnated yet
        np.add(state.stagnation, ONE if counted is None else counted, out=state.stagnation)
        np.putmask(state.stagnation, improved, 0)
    if np.count_nonzero(improved):
        copy_rows(x, p, improved)
        np.minimum(state.best_costs, low, out=state.best_costs)
    _remember_best(state, low.item(best), best)
    _remember_worst(state, recipe, high, high.item(worst), worst)
    state.count(evaluated)


def _remember_best(state: State, cost: float, i: Any) -> None:
    if cost < state.leader_cost:
        state.leader_cost = cost
        state.leader_position = copied(state.positions[i])
        state.leader_stagnation = 0
    elif state.age > 0:
        state.leader_stagnation += 1
    if cost < state.best_cost:
        # The leader's own array: no second copy of D numbers. A new population has a new leader.
        state.best_cost = cost
        state.best_position = state.leader_position
        state.best_stagnation = 0
    elif state.generation > 0:
        state.best_stagnation += 1


def _remember_worst(state: State, recipe: Recipe, costs: Floats, cost: float, i: Any) -> None:
    if cost <= state.worst_cost:
        return
    if recipe.last_worst_wins and state.age > 0:
        i = np.flatnonzero(costs == cost)[-1]
    state.worst_cost = cost
    state.worst_position = copied(state.positions[i])


def copy_rows(source: Array, target: Array, rows: Bools) -> None:
    """Copy some rows, (N,) mask, of arrays without a temporary."""
    if is_tensor(target):
        target[rows] = source[rows]
    else:
        np.copyto(target, source, where=rows[:, None])


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
