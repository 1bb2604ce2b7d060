"""One particle by itself: its move on what the swarm knows now, and what the swarm takes from its value.

The asynchronous counterpart of `motion.move` and `State.remember`, after the asynchronous updates of Koh, George,
Haftka & Fregly 2006, Int. J. Numer. Meth. Engng 67(4): no particle waits for the others.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.blocks import EVERY
from pyswarmopt.base.in_flight import Flights
from pyswarmopt.base.state import State
from pyswarmopt.parts import boundary as boundaries
from pyswarmopt.parts.boundary import Box
from pyswarmopt.parts.topology import ByInformants
from pyswarmopt.parts.velocity import Snapshot


def move_one(recipe: Recipe, state: State, i: int, box: Box | None, generator: torch.Generator) -> None:
    """Move particle i; the schedules are at the move that the present round stands for.

    Args:
        recipe: the algorithm.
        state: the swarm as it is; some particles may be in flight.
        i: the particle, idle and evaluated before.
        box: the walls, if there are any.
        generator: a CPU generator.
    """
    number = max(state.age - 1, 0)
    alone = slice(i, i + 1)
    # A rule that looks at other particles is asked for the move of all, and one of them is made.
    rows = alone if getattr(recipe.velocity, "looks_at", "all") == "element" else EVERY
    g = _attractor(recipe, state, i, generator) if rows is alone else recipe.topology(_seen_by(state, i), generator)
    x, v, p = (tensor[rows] for tensor in (state.positions, state.velocities, state.best_positions))
    v = recipe.velocity(Snapshot(x, v, p, g, state.worst_position.unsqueeze(0)), number, generator)
    if rows is EVERY:
        x, v = x[alone], v[alone]
    x = x + recipe.schedule(number) * v
    if box is not None and recipe.boundary is not boundaries.none:
        x, v = recipe.boundary(x, v, box, generator)
    state.positions[i], state.velocities[i] = x[0], v[0]


def _seen_by(state: State, i: int) -> State:
    """The state for a topology that draws new links for whoever stagnates: the others' turn comes when they move."""
    mine = np.arange(len(state.stagnation)) == i
    return replace(state, stagnation=np.where(mine, state.stagnation, 0))


def _attractor(recipe: Recipe, state: State, i: int, generator: torch.Generator) -> Tensor:
    """What particle i hears of, (1, D)."""
    seen = _seen_by(state, i)
    if isinstance(recipe.topology, ByInformants):  # without the bests of all others' informants
        informant = int(recipe.topology.informants(seen, generator)[i])
        return state.best_positions[informant].unsqueeze(0)
    g = recipe.topology(seen, generator)
    return g[i : i + 1] if len(g) > 1 else g


def remember_one(state: State, i: int, cost: float, first: bool) -> None:
    """Take in the cost of particle i: update p, g, w, its stagnation count, and after N costs those of the swarm.

    Args:
        state: an asynchronous swarm.
        i: the particle, just landed.
        cost: one that is not finite counts as the worst possible and never becomes p, g or w.
        first: this is its starting position, so that it cannot have stagnated.
    """
    finite = math.isfinite(cost)
    improved = finite and cost < state.best_costs[i]
    state.costs[i] = cost
    if improved:
        state.best_positions[i], state.best_costs[i] = state.positions[i], cost
    if not first:
        state.stagnation[i] = 0 if improved else state.stagnation[i] + 1
    if finite:
        _remember_extremes(state, state.positions[i].clone(), cost)
    state.evaluations += 1
    flights = state.flights
    if flights is not None and flights.in_round >= len(state.costs):
        _end_round(state, flights)


def _remember_extremes(state: State, x: Tensor, cost: float) -> None:
    if cost < state.leader_cost:
        state.leader_cost, state.leader_position, state.leader_stagnation = cost, x, 0
    if cost < state.best_cost:
        state.best_cost, state.best_position, state.best_stagnation = cost, x, 0
    if cost > state.worst_cost:
        state.worst_cost, state.worst_position = cost, x


def _end_round(state: State, flights: Flights) -> None:
    """Count a round, and whether g and the best of all improved in it."""
    if state.leader_cost >= flights.leader_cost and state.age > 0:
        state.leader_stagnation += 1
    if state.best_cost >= flights.best_cost and state.generation > 0:
        state.best_stagnation += 1
    state.generation += 1
    flights.begin_round(state.leader_cost, state.best_cost)


__all__ = ["move_one", "remember_one"]
