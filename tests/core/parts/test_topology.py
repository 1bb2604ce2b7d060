"""Topologies: who hears of whom, by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.base.state import State
from pyswarmopt.engine import steps
from pyswarmopt.parts import topology


def state_with(costs: list[float], dim: int = 1) -> State:
    """Particle i sits, and has its best, at (i, i, ...)."""
    x = np.repeat(np.arange(float(len(costs)))[:, None], dim, axis=1)
    state = State.start(x, np.zeros_like(x), maximize=False)
    steps.remember(state, pso.recipes.constriction(), np.array(costs), None)
    return state


def heard(rule: topology.Topology, state: State, seed: int = 0) -> list[int]:
    g = np.broadcast_to(rule(state, np.random.default_rng(seed)), state.positions.shape)
    return [int(i) for i in g[:, 0]]


costs = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=14)


@pytest.mark.parametrize("rule", [topology.Ring(), topology.Ring(3), topology.VonNeumann()])
@given(costs=costs)
def test_a_lattice_hears_of_the_best_neighbour_and_prefers_itself(rule, costs):
    n, found = len(costs), heard(rule, state_with(costs))
    near = rule.neighbours(n)
    assert near.shape == (n, rule.size)
    for i in range(n):
        around = {i, *near[i].tolist()}
        assert found[i] in around and costs[found[i]] == min(costs[j] for j in around)
        assert found[i] == i or costs[i] > costs[found[i]]
        assert all(i in near[j] for j in near[i])  # who is a neighbour has a neighbour


@given(costs=costs, share=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_nobody_hears_of_one_behind_it(costs, share, seed):
    found = heard(topology.BetterInformants(share), state_with(costs), seed)
    order = sorted(range(len(costs)), key=lambda i: (costs[i], i))
    for i, informant in enumerate(found):
        assert order.index(informant) <= share * (order.index(i) + 1)


def test_better_informants_are_drawn_evenly():
    state = state_with([float(i) for i in range(10)])
    drawn = np.array([heard(topology.BetterInformants(0.3), state, seed)[9] for seed in range(600)])
    counts = np.bincount(drawn, minlength=10)  # ranks 0 to 2: 200 each, standard deviation 11.5
    assert counts[3:].sum() == 0 and (abs(counts[:3] - 200) < 60).all()


def test_a_von_neumann_neighbour_is_one_step_away_on_the_lattice():
    for n in (16, 25, 36):
        width = round(n**0.5)
        for i, row in enumerate(topology.VonNeumann().neighbours(n).tolist()):
            assert len(set(row)) == 4
            inside = 0 < i % width < width - 1 and width <= i < n - width
            away = [abs(i // width - j // width) + abs(i % width - j % width) for j in row]
            assert away == [1, 1, 1, 1] or not inside


@given(costs=costs, k=st.integers(1, 4), seed=st.integers(0, 999))
def test_random_informants_by_brute_force(costs, k, seed):
    n = len(costs)
    state = state_with(costs)
    found = heard(topology.RandomInformants(k), state, seed)
    links = np.random.default_rng(seed).integers(n, size=(n, k)).tolist()
    for i in range(n):
        informants = [j for j in range(n) if j == i or i in links[j]]
        assert found[i] == min(informants, key=lambda j: (costs[j], j))
