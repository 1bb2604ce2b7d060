"""Topologies: who hears of whom, by hand and by brute force; what a random one remembers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.algorithms.clpso import Exemplars, draw_exemplars, learning_probability
from pyswarmopt.base.state import State
from pyswarmopt.engine import reference
from pyswarmopt.parts import topology


def remember(state: State, costs: list[float]) -> None:
    x, v, p, g, w = reference.tensors(state)
    at = pso.Snapshot(x, v, p, g[None], w[None])
    reference.remember(state, pso.recipes.constriction(), at, np.array(costs))


def state_with(costs: list[float], dim: int = 1) -> State:
    """Particle i sits, and has its best, at (i, i, ...)."""
    x = torch.arange(float(len(costs)), dtype=torch.float64)[:, None].repeat(1, dim)
    state = State.start(x, torch.zeros_like(x), maximize=False)
    remember(state, costs)
    return state


def heard(rule: topology.Topology, state: State, seed: int = 0) -> list[int]:
    g = rule(state, torch.Generator().manual_seed(seed)).expand(len(state.best_costs), -1)
    return [int(i) for i in g[:, 0]]


costs = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=14)


@given(costs=costs)
def test_everybody_hears_of_the_best(costs):
    assert heard(topology.Global(), state_with(costs)) == [costs.index(min(costs))] * len(costs)


def test_a_square_lattice_by_hand():
    # 0 1 2
    # 3 4 5     the best is particle 1; the row of 2 goes on in that of 3, the last with the first
    # 6 7 8
    state = state_with([9.0, 0.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0])
    assert {i for i, j in enumerate(heard(topology.VonNeumann(), state)) if j == 1} == {
        0,
        1,
        2,
        4,
        7,
    }


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
    with pytest.raises(ValueError, match="share=0"):
        topology.BetterInformants(0.0)


def test_a_von_neumann_neighbour_is_one_step_away_on_the_lattice():
    for n in (16, 25, 36):
        width = round(n**0.5)
        for i, row in enumerate(topology.VonNeumann().neighbours(n).tolist()):
            assert len(set(row)) == 4
            inside = 0 < i % width < width - 1 and width <= i < n - width
            steps = [abs(i // width - j // width) + abs(i % width - j % width) for j in row]
            assert steps == [1, 1, 1, 1] or not inside


@given(costs=costs, k=st.integers(1, 4), seed=st.integers(0, 999))
def test_random_informants_by_brute_force(costs, k, seed):
    n = len(costs)
    state = state_with(costs)
    found = heard(topology.RandomInformants(k), state, seed)
    links = torch.randint(n, (n, k), generator=torch.Generator().manual_seed(seed)).tolist()
    for i in range(n):
        informants = [j for j in range(n) if j == i or i in links[j]]
        assert found[i] == min(informants, key=lambda j: (costs[j], j))


def test_links_are_drawn_anew_only_when_the_best_did_not_improve():
    rule, state = topology.RandomInformants(), state_with([3.0, 2.0, 1.0, 4.0, 5.0, 6.0, 7.0])
    generator = torch.Generator().manual_seed(0)
    rule(state, generator)
    first = state.memory["links"]
    assert first.shape == (7, 3) and not torch.equal(first[0], first[1])
    remember(state, [0.5] + [9.0] * 6)
    rule(state, generator)
    assert state.memory["links"] is first
    remember(state, [0.6] + [9.0] * 6)
    rule(state, generator)
    assert not torch.equal(state.memory["links"], first)


# --- the exemplars of CLPSO ---


def test_learning_probabilities_grow_from_a_twentieth_to_a_half():
    pc = learning_probability(30)
    # Worked with a pocket calculator: (e^(10*29/29) - 1) / (e^10 - 1) = 1, (e^(10*20/29) - 1)/(e^10
    # - 1) = .04485.
    assert (
        pc[0] == pytest.approx(0.05)
        and pc[-1] == pytest.approx(0.5)
        and pc[20] == pytest.approx(0.0702, abs=1e-4)
    )
    assert (np.diff(pc) > 0).all()


@given(n=st.integers(1, 8), dim=st.integers(1, 6), seed=st.integers(0, 999), data=st.data())
def test_every_particle_learns_something_from_another(n, dim, seed, data):
    due = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))))
    drawn = draw_exemplars(due, np.arange(n, dtype=float), dim, torch.Generator().manual_seed(seed))
    assert drawn.shape == (len(due), dim) and drawn.min() >= 0 and drawn.max() < n
    assert n == 1 or ((drawn != due[:, None]).any(axis=1)).all()


def test_better_particles_are_chosen_more_often_and_the_last_learns_most():
    n, dim = 5, 20_000
    drawn = draw_exemplars(
        np.arange(n), np.array([4.0, 3.0, 2.0, 1.0, 0.0]), dim, torch.Generator().manual_seed(0)
    )
    learns = (drawn != np.arange(n)[:, None]).mean(axis=1)
    np.testing.assert_allclose(learns, learning_probability(n), atol=5 * 0.5 / dim**0.5)
    # Particle 4 draws two of 0..3: the better (higher) one is j with probability (2 j + 1) / 16.
    chosen = np.bincount(drawn[4][drawn[4] != 4], minlength=4) / (drawn[4] != 4).sum()
    np.testing.assert_allclose(chosen, [1 / 16, 3 / 16, 5 / 16, 7 / 16], atol=0.025)


def test_exemplars_give_each_coordinate_the_best_of_its_exemplar():
    state = state_with([3.0, 1.0, 2.0, 0.0], dim=5)
    g = Exemplars()(state, torch.Generator().manual_seed(1))
    # particle i's best is at (i, i, i, i, i)
    assert torch.equal(g, state.memory["exemplars"].double())


def test_bad_topologies_say_what_is_wrong():
    for make in (
        lambda: topology.RandomInformants(0),
        lambda: topology.Ring(0),
        lambda: Exemplars(0),
    ):
        with pytest.raises(ValueError, match="at least 1"):
            make()
    for name in ("constriction", "inertia_weight", "bare_bones", "fips"):
        with pytest.raises(ValueError, match="topology='star': use"):
            pso.recipes.get(name, topology="star")
