"""The start and the memory of a swarm for any recipe: steps 0 and 2 of Algorithm 1 of Model Swarms
(Feng et al. 2024, arXiv 2410.11163), generalised; `update` has its moves.

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
from pyswarmopt.base.arrays import Array, Bools, Floats, beside, copied, empty, is_tensor, namespace
from pyswarmopt.base.inputs import take_over
from pyswarmopt.base.state import State
from pyswarmopt.parts.boundary import Box

ALL = np.array(True)  # added in a third of the time of a Python number


# ---- step 0: start ----


def first_state(
    recipe: Recipe, x: Array, box: Box | None, generator: np.random.Generator,
    positions: Array | None, velocities: Array | None, maximize: bool,
) -> State:  # fmt: skip
    """The state whose starting positions are written into x, (N, D): the given ones first, then the
    recipe's.
    """
    given = None
    rows = 0
    if positions is not None:
        rows = len(positions)
        if rows > len(x):
            raise ValueError(
                f"population={len(x)} is too small for {rows} starting positions; use at least {rows}"
            )
        given = take_over("positions", positions, x[:rows])
    if len(x) > rows:
        recipe.populate(given, x[rows:], box, generator)
    v = empty(tuple(x.shape), x.dtype, x.device)
    if velocities is None:
        recipe.launch(x, v, box, generator)
    else:
        take_over("velocities", velocities, v)
    return State.start(x, v, maximize)


# ---- step 2: evaluate and remember ----


def remember(state: State, recipe: Recipe, costs: Floats, evaluated: Bools | None) -> None:
    """Store the costs at x, (N,), which the state then owns: p, g and w change only on strict
    improvement.

    A cost that is not finite counts as the worst possible and never becomes p, g or w. `evaluated`
    is a mask, (N,), of the particles not dropped; None: all.
    """
    counted = ALL
    if evaluated is not None:
        costs = np.where(evaluated, costs, state.costs)
        if not recipe.repeat_dropped:
            counted = evaluated
    low = high = state.costs = costs
    best = costs.argmin()
    worst = costs.argmax()
    # Comparisons with NaN are false, and argmin returns a NaN's index if there is one.
    all_finite = costs.item(best) > -math.inf and costs.item(worst) < math.inf
    if evaluated is not None or not all_finite:
        finite = np.isfinite(costs) & counted
        low = np.where(finite, costs, math.inf)
        high = np.where(finite, costs, -math.inf)
        best = low.argmin()
        worst = high.argmax()
    improved = low < state.best_costs
    if state.age > 0:  # the starting positions are p: nothing has stagnated yet
        np.add(state.stagnation, counted, out=state.stagnation)
        np.putmask(state.stagnation, improved, 0)
        state.leader_stagnation += 1
    if state.generation > 0:
        state.best_stagnation += 1
    if np.count_nonzero(improved):
        copy_rows(state.positions, state.best_positions, improved)
        np.minimum(state.best_costs, low, out=state.best_costs)
    _remember_best(state, low.item(best), best)
    if recipe.last_worst_wins and state.age > 0:
        worst = np.flatnonzero(high == high[worst])[-1]
    if high.item(worst) > state.worst_cost:
        state.worst_cost = high.item(worst)
        state.worst_position = copied(state.positions[worst])
    state.count(evaluated)


def _remember_best(state: State, cost: float, i: Any) -> None:
    """Take particle i, if it is better, for g, and for the best of all, which g cannot surpass."""
    if cost >= state.leader_cost:
        return
    state.leader_cost = cost
    state.leader_position = copied(state.positions[i])
    state.leader_stagnation = 0
    if cost < state.best_cost:
        # The leader's own array: no second copy of D numbers. A new population has a new leader.
        state.best_cost = cost
        state.best_position = state.leader_position
        state.best_stagnation = 0


# ---- one value at a time, of particles that do not wait for one another: the asynchronous update
# of Koh, George, Haftka & Fregly 2006, Int. J. Numer. Meth. Engng 67(4) ----


def remember_one(state: State, i: int, cost: float, first: bool) -> None:
    """Store the cost of particle i: update p, g, w and its stagnation, and after N costs the
    swarm's counts.

    A cost that is not finite counts as the worst possible. The first cost, at the starting
    position, does not count as stagnation.
    """
    state.costs[i] = cost
    if not first:
        state.stagnation[i] += 1
    if math.isfinite(cost):
        if cost < state.best_costs[i]:
            state.best_positions[i] = state.positions[i]
            state.best_costs[i] = cost
            state.stagnation[i] = 0
        _remember_best(state, cost, i)
        if cost > state.worst_cost:
            state.worst_cost = cost
            state.worst_position = copied(state.positions[i])
    state.evaluations += 1
    state.turns.in_round += 1
    if state.turns.in_round >= len(state.costs):
        _end_round(state)


def _end_round(state: State) -> None:
    """Count a round, and whether g and the best of all improved in it."""
    turns = state.turns
    if state.leader_cost >= turns.leader_cost and state.age > 0:
        state.leader_stagnation += 1
    if state.best_cost >= turns.best_cost and state.generation > 0:
        state.best_stagnation += 1
    state.generation += 1
    turns.begin_round(state)


def copy_rows(source: Array, target: Array, rows: Bools) -> None:
    """Copy some rows, (N,) mask, of arrays without a temporary."""
    if is_tensor(target):
        mask = beside(rows, target)[:, None]
        namespace(target).where(mask, source, target, out=target)
    else:
        np.copyto(target, source, where=rows[:, None])
