"""The update of a swarm for any recipe: Algorithm 1 of Model Swarms (Feng et al. 2024, arXiv
2410.11163), generalised.

`pyswarmopt.teaching.algorithm1` is the algorithm as the paper writes it.

Notation: x positions, v velocities, p personal bests, g the best and w the worst position seen;
costs are -f, lower is better. The values of all symbols: `algorithms.model_swarms`; the terms d_k
of the velocity: `parts.velocity`.

This backend moves swarms on a GPU, in bfloat16 or with terms that look at the whole swarm, and
single particles. The other one, `chunked`, gives the same numbers bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.blocks import ZERO, copy_rows
from pyswarmopt.base.state import State
from pyswarmopt.engine.random_factors import Factors
from pyswarmopt.parts import stopping
from pyswarmopt.parts.boundary import Box
from pyswarmopt.parts.topology import ByInformants
from pyswarmopt.parts.velocity import Snapshot

ONE = np.array(1)  # added in a third of the time of a Python number


def tensors(state: State) -> Snapshot:
    """The large arrays of a state as they are; g and w are rows, (1, D)."""
    rows = (tensor.unsqueeze(0) for tensor in (state.leader_position, state.worst_position))
    return Snapshot(state.positions, state.velocities, state.best_positions, *rows)


# ---- step 1: move ----


def move(
    state: State,
    recipe: Recipe,
    factors: Factors,
    generator: torch.Generator,
    box: Box | None = None,
    out: Tensor | None = None,
) -> None:
    """Move all particles on the p, g and w of the previous iteration; their new positions go to
    `out`, or in place.
    """
    s = tensors(state)._replace(g=recipe.topology(state, generator))
    k = state.age - 1
    v = velocities(s, recipe, factors, k, generator)
    x, v = step(s.x, v, recipe, k, generator, box)
    (state.positions if out is None else out).copy_(x)
    state.velocities.copy_(v)


def velocities(
    s: Snapshot, recipe: Recipe, factors: Factors, k: int, generator: torch.Generator
) -> Tensor:
    """``v <- (1/C) sum_k r_k phi_k d_k``, in the paper over d = v, p - x, g - x and x - w; k counts
    the moves.
    """
    rule: Any = recipe.velocity
    if not hasattr(rule, "sum"):  # no sum of terms
        return cast(Tensor, rule(s, k, generator))
    c = factors.next(rule.sum, tuple(s.x.shape), k)  # c_k = r_k phi_k / C, C = sum_k r_k phi_k
    return cast(Tensor, rule.on(s, c))  # sum_k c_k d_k


def step(
    x: Tensor, v: Tensor, recipe: Recipe, k: int, generator: torch.Generator, box: Box | None
) -> tuple[Tensor, Tensor]:
    """``x <- x + lambda v``, then the walls; lambda is that after k times ``lambda <- phi_lambda
    lambda``.
    """
    x = x + recipe.schedule(k) * v
    return (x, v) if box is None else recipe.boundary(x, v, box, generator)


def move_one(
    state: State, recipe: Recipe, i: int, generator: torch.Generator, box: Box | None = None
) -> None:
    """Move particle i alone, with coefficients drawn for this move; topologies renew its links
    only.
    """
    k, row, topology = max(state.age - 1, 0), slice(i, i + 1), recipe.topology
    others = np.arange(len(state.stagnation)) != i
    seen_by = replace(state, stagnation=np.where(others, 0, state.stagnation))
    s = tensors(state)
    alone = getattr(recipe.velocity, "looks_at", "all") == "element"
    if alone and isinstance(topology, ByInformants):  # without the bests of the others' informants
        g = s.p[topology.informants(seen_by, generator)[row]]
    else:
        g = topology(seen_by, generator)
        g = g[row] if alone and len(g) > 1 else g
    s = Snapshot(s.x[row], s.v[row], s.p[row], g, s.w) if alone else s._replace(g=g)
    v = velocities(s, recipe, Factors(generator, most_moves=1), k, generator)
    x, v = (s.x, v) if alone else (s.x[row], v[row])
    x, v = step(x, v, recipe, k, generator, box)
    state.positions[row] = x
    state.velocities[row] = v


# ---- step 2: evaluate and remember ----


def remember(
    state: State, recipe: Recipe, at: Snapshot, costs: Floats, evaluated: Bools | None = None
) -> None:
    """Take in the costs at x, (N,), which the state owns from now on: p, g and w change on strict
    improvement only.

    A cost that is not finite counts as the worst possible and never becomes p, g or w. `evaluated`
    is a mask, (N,), of the particles that were not dropped; None: all.
    """
    counted: Bools | None = None
    if evaluated is not None:
        costs = np.where(evaluated, costs, state.costs)
        counted = None if recipe.repeat_dropped else evaluated
    low = high = state.costs = costs
    best, worst = costs.argmin(), costs.argmax()
    # A comparison with NaN is false, and argmin is that of a NaN if there is one.
    if counted is not None or not (costs.item(best) > -math.inf and costs.item(worst) < math.inf):
        finite = np.isfinite(costs) if counted is None else np.isfinite(costs) & counted
        low, high = np.where(finite, costs, math.inf), np.where(finite, costs, -math.inf)
        best, worst = low.argmin(), high.argmax()
    improved = low < state.best_costs
    if state.age > 0:  # the starting positions are p: nothing has stagnated yet
        np.add(state.stagnation, ONE if counted is None else counted, out=state.stagnation)
        np.putmask(state.stagnation, improved, 0)
    if np.count_nonzero(improved):
        copy_rows(at.x, at.p, improved)
        np.minimum(state.best_costs, low, out=state.best_costs)
    remember_extremes(state, recipe, at, (low, best), (high, worst))
    state.count(evaluated)


def remember_extremes(
    state: State, recipe: Recipe, at: Snapshot, best: tuple[Floats, Any], worst: tuple[Floats, Any]
) -> None:
    """Update g, the best of all and w, given costs with the index of the lowest one, and of the
    highest one.
    """
    costs, i = best
    cost = costs.item(i)
    if cost < state.leader_cost:
        state.leader_cost, at.g[0], state.leader_stagnation = cost, at.x[i], 0
    elif state.age > 0:
        state.leader_stagnation += 1
    if cost < state.best_cost:
        # The leader's own tensor: no second copy of D numbers. A new population has a new leader.
        state.best_cost, state.best_position, state.best_stagnation = cost, state.leader_position, 0
    elif state.generation > 0:
        state.best_stagnation += 1
    costs, i = worst
    cost = costs.item(i)
    if cost > state.worst_cost:
        if recipe.last_worst_wins and state.age > 0:
            i = np.flatnonzero(costs == cost)[-1]
        state.worst_cost, at.w[0] = cost, at.x[i]


# ---- restart (of step 2); step 3: stop ----


def send_back(state: State, at: Snapshot, rows: Bools) -> None:
    """x <- p, v <- 0 for some particles, (N,) mask: those whose p has not changed for c_r
    iterations.
    """
    copy_rows(at.p, at.x, rows)
    copy_rows(ZERO, at.v, rows)


def stop(state: State, recipe: Recipe) -> dict[str, float]:
    """The recipe's reasons to stop, g unchanged for c iterations or K iterations in the paper, with
    their values.
    """
    return stopping.reasons(recipe.stop, state)
