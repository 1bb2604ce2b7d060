"""Restarts of the whole swarm: when, how large, what is kept, and that saving and tickets stay
exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from swarm_runs import same_state

import pyswarmopt as pso
from pyswarmopt.base.arrays import Floats, as_array
from pyswarmopt.parts.restart import RestartSwarm

BOUNDS = [(-5.0, 5.0)] * 2


def recipe(name: str = "constriction", population: int = 4, **policy) -> pso.Recipe:
    made = pso.recipes.get(name, population=population)
    return replace(made, name="mine", restart=(RestartSwarm(**policy),), options=None)


def ripples(x: Floats) -> Floats:
    return (x**2).sum(-1) + 3 * np.cos(5 * x).sum(-1)


def drive(swarm: pso.Swarm, rounds: int) -> list[int]:
    """The sizes of the populations asked for."""
    sizes = []
    for _ in range(rounds):
        x = swarm.ask()
        sizes.append(len(x))
        swarm.tell(x, ripples(x))
    return sizes


def tell(swarm: pso.Swarm, values) -> Floats:
    x = swarm.ask()
    swarm.tell(x, np.broadcast_to(np.asarray(values, dtype=float), (len(x),)))
    return x


# --- when and how large ---


@given(patience=st.integers(1, 6), growth=st.floats(1, 3), population=st.integers(1, 5))
def test_sizes_follow_the_growth(patience, growth, population):
    made = recipe(patience=patience, growth=growth, population=population)
    swarm = pso.Swarm(bounds=BOUNDS, recipe=made, seed=0)
    expected = population
    for _ in range(4):
        for _ in range(patience + 1):
            assert len(tell(swarm, 1.0)) == expected
        expected = -int(-(expected * growth) // 1)


# --- what is kept and what is new ---


def test_the_new_swarm_starts_in_the_box_and_is_evaluated_before_it_moves():
    swarm = pso.Swarm(bounds=BOUNDS, recipe=recipe(patience=1), seed=0)
    tell(swarm, 1.0)
    tell(swarm, 1.0)
    fresh, v = swarm.positions.copy(), swarm.velocities.copy()
    assert (abs(fresh) <= 5).all() and np.unique(fresh, axis=0).shape == fresh.shape == (6, 2)
    assert np.isnan(swarm.values).all() and np.isinf(swarm.personal_best_values).all()
    assert np.array_equal(tell(swarm, 2.0), fresh)
    assert np.array_equal(swarm.personal_bests, fresh) and np.array_equal(swarm.velocities, v)


def test_the_new_swarm_is_not_drawn_to_the_old_best():
    """On the global topology with all weight on g, everybody jumps to g: it must be the new
    swarm's.
    """
    jump = pso.compose([pso.social(1.0, "none")], restart=RestartSwarm(patience=1), population=3)
    swarm = pso.Swarm(bounds=BOUNDS, recipe=jump, seed=0)
    tell(swarm, [0.0, 1.0, 2.0])
    old = swarm.best.x
    tell(swarm, 3.0)
    fresh = tell(swarm, [9.0, 8.0, 7.0, 9.0, 9.0])
    assert np.allclose(swarm.ask(), fresh[2])
    assert np.array_equal(swarm.best.x, old) and swarm.best.value == 0.0


def test_schedules_start_over_and_the_stop_rule_looks_at_the_best_of_all():
    moved = pso.Term(
        "drift", pso.schedule.Linear(1.0, 0.0, 4), lambda s: 0 * s.x + 1.0, random="none"
    )
    made = pso.compose(
        [moved], restart=[RestartSwarm(patience=2, growth=1)], stop=[pso.stopping.Patience(4)],
        population=1, launch=pso.initialise.at_rest, boundary=pso.boundary.none,
    )  # fmt: skip
    swarm = pso.Swarm(bounds=BOUNDS, recipe=made, seed=0)
    steps, stops = [], []
    for value in (1.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        before = swarm.positions.copy()
        x = tell(swarm, value)
        steps.append(float((x - before)[0, 0]))
        stops.append(swarm.stop())
    np.testing.assert_allclose(steps, [0, 1, 0.75, 0, 1, 0.75], atol=1e-12)
    assert stops == [{}, {}, {}, {}, {"patience": 4}, {"patience": 5}]


# --- particles by themselves ---


@pytest.mark.parametrize("kind", [np.float64, torch.bfloat16])
def test_a_policy_sends_single_particles_elsewhere(kind):
    """Two of four particles, each time: they are drawn in the bounds and keep their bests."""

    def first_two(state, swarm):
        swarm.scatter(np.arange(4) < 2)

    made = pso.compose([pso.inertia(0.0)], restart=first_two, population=4)
    swarm = pso.Swarm(bounds=BOUNDS, recipe=made, seed=0, dtype=kind)
    first = as_array(swarm.ask().copy() if kind is np.float64 else swarm.ask().double())
    tell(swarm, 0.0)
    tell(swarm, 1.0)
    later = as_array(swarm.positions if kind is np.float64 else swarm.positions.double())
    bests = as_array(swarm.personal_bests if kind is np.float64 else swarm.personal_bests.double())
    assert np.array_equal(later[2:], first[2:]) and not (later[:2] == first[:2]).any()
    assert (abs(later) <= 5).all() and np.array_equal(bests, first)


def test_a_swarm_whose_particles_went_elsewhere_is_saved_to_the_bit(tmp_path):
    def idle(state, swarm):
        still = state.stagnation >= 2
        swarm.scatter(still)
        state.stagnation[still] = 0

    made = replace(recipe(), restart=(idle,))
    swarm = pso.Swarm(bounds=BOUNDS, recipe=made, seed=0)
    drive(swarm, 9)
    swarm.save(tmp_path / "swarm.npz")
    again = pso.Swarm.load(tmp_path / "swarm.npz", recipe=made)
    assert drive(swarm, 9) == drive(again, 9)
    assert np.array_equal(swarm.ask(), again.ask())


# --- exactness ---


@pytest.mark.parametrize("name", ["constriction", "clpso", "spso2011"])
@pytest.mark.parametrize("saved_after", [1, 9, 10, 17])
def test_a_saved_swarm_of_any_size_goes_on_to_the_bit(tmp_path, name, saved_after):
    made = recipe(name, patience=2, growth=1.5, population=5)
    whole = pso.Swarm(bounds=BOUNDS, recipe=made, seed=3)
    half = pso.Swarm(bounds=BOUNDS, recipe=made, seed=3)
    sizes = drive(whole, 30)
    assert len(set(sizes)) >= 3
    drive(half, saved_after)
    half.save(tmp_path / "s")
    loaded = pso.Swarm.load(tmp_path / "s", recipe=made)
    assert drive(loaded, 30 - saved_after) == sizes[saved_after:]
    assert same_state(whole, loaded)


def test_tickets_make_the_same_run_across_restarts():
    made = recipe(patience=2, population=3)
    whole, single = (pso.Swarm(bounds=BOUNDS, recipe=made, seed=5) for _ in range(2))
    sizes = drive(whole, 20)
    assert len(set(sizes)) >= 3
    for size in sizes:
        tickets = single.ask(99)
        assert len(tickets) == size
        for ticket in reversed(tickets):
            single.tell(ticket, float(ripples(ticket.x)))
    assert np.array_equal(whole.ask(), single.ask()) and whole.best.value == single.best.value
