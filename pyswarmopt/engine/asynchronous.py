"""Taking in one value at a time, for particles that move without waiting for one another.

The asynchronous update of Koh, George, Haftka & Fregly 2006, Int. J. Numer. Meth. Engng 67(4).
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from pyswarmopt.base.in_flight import InFlight
from pyswarmopt.base.state import State


def in_flight_of(state: State) -> InFlight:
    """The pending evaluations of a state, whose particles move asynchronously from now on."""
    if state.in_flight is None:
        if state.pending:
            raise ValueError("a round of positions has no values yet: tell them, then ask_one()")
        n = len(state.positions)
        # a number that no ticket of a round ever had
        state.in_flight = InFlight.of(n, dispatched=state.generation + 1)
        state.in_flight.begin_round(state.leader_cost, state.best_cost)
        if state.age > 0:  # all of them were evaluated, in their order
            state.in_flight.completed_at[:], state.in_flight.completed = np.arange(n), n
    return state.in_flight


def remember_one(state: State, i: int, cost: float, first: bool) -> None:
    """Take in the cost of particle i: update p, g, w, its stagnation count, and after N costs those
    of the swarm.

    A cost that is not finite counts as the worst possible. The first one, at its starting position,
    is no stagnation.
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
    in_flight = state.in_flight
    if in_flight is not None and in_flight.in_round >= len(state.costs):
        _end_round(state, in_flight)


def _remember_extremes(state: State, x: Tensor, cost: float) -> None:
    if cost < state.leader_cost:
        state.leader_cost, state.leader_position, state.leader_stagnation = cost, x, 0
    if cost < state.best_cost:
        state.best_cost, state.best_position, state.best_stagnation = cost, x, 0
    if cost > state.worst_cost:
        state.worst_cost, state.worst_position = cost, x


def _end_round(state: State, in_flight: InFlight) -> None:
    """Count a round, and whether g and the best of all improved in it."""
    if state.leader_cost >= in_flight.leader_cost and state.age > 0:
        state.leader_stagnation += 1
    if state.best_cost >= in_flight.best_cost and state.generation > 0:
        state.best_stagnation += 1
    state.generation += 1
    in_flight.begin_round(state.leader_cost, state.best_cost)
