"""Particles that move one by one: fairness, late answers, nothing lost or doubled, resume with some
in flight.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swarm_runs import bowl, same_state

import pyswarmopt as pso
from pyswarmopt.parts.restart import RestartSwarm

RECIPES = sorted(pso.recipes.RECIPES)


def fresh(recipe="constriction", population=5, seed=3, **options) -> pso.Swarm:
    given = {"bounds": [(-5, 5)] * 2, "population": population, "asynchronous": True}
    return pso.Swarm(**given | {"recipe": recipe, "seed": seed} | options)


class Fleet:
    """Workers of unequal speed: which one answers next is drawn; remembers all that it was
    handed.
    """

    def __init__(self, swarm: pso.Swarm, workers: int, seed: int) -> None:
        self.swarm, self.workers, self.random = swarm, workers, np.random.default_rng(seed)
        self.flying: list[pso.Ticket] = []
        self.handed: list[pso.Ticket] = []
        self.told: list[tuple[pso.Ticket, float]] = []

    def run(self, count: int, fun=bowl) -> Fleet:
        for _ in range(count):
            self.fill()
            ticket = self.flying.pop(int(self.random.integers(len(self.flying))))
            value = fun(ticket.x)
            self.swarm.tell(ticket, value)
            self.told.append((ticket, value))
        return self

    def fill(self) -> None:
        while len(self.flying) < self.workers:
            tickets = self.swarm.ask(1)
            if not tickets:
                break
            self.flying += tickets
            self.handed += tickets


# --- who moves when ---


def test_the_one_that_has_waited_longest_is_next():
    swarm = fresh(population=4)
    a, b, c, d = swarm.ask(9)
    assert not swarm.ask(1)
    for ticket in (c, a, d):
        swarm.tell(ticket, bowl(ticket.x))
    assert [ticket.particle for ticket in swarm.ask(9)] == [2, 0, 3] and not swarm.ask(1)
    swarm.tell(b, 0.0)
    assert [ticket.particle for ticket in swarm.ask(9)] == [1]
    with pytest.raises(ValueError, match="already told"):
        swarm.tell(b, 0.0)
    with pytest.raises(ValueError, match=r"call ask\(n\)"):
        swarm.ask()


def test_a_particle_hears_at_once_of_what_another_has_just_found():
    """By hand, with weights 1 and no random factors: x <- x + (g - x) is g itself."""
    follow = pso.compose([pso.social(1.0, "none")], topology=pso.topology.Global())
    swarm = pso.Swarm(
        positions=[[0.0], [4.0], [9.0]], velocities=[[0.0]] * 3, recipe=follow, seed=0,
        asynchronous=True,
    )  # fmt: skip
    first, second = swarm.ask(2)
    swarm.tell(second, 1.0)
    assert swarm.ask(1)[0].x.tolist() == [9.0]  # the third, where it starts
    # the second, at its own best; the third is still out
    assert swarm.ask(1)[0].x.tolist() == [4.0]
    swarm.tell(first, 0.5)
    assert swarm.ask(1)[0].x.tolist() == [0.0]


@pytest.mark.parametrize("topology", ["global", "ring", "von_neumann", "random"])
def test_without_random_numbers_a_move_is_that_of_the_whole_swarm(topology):
    """Where all values of a round are told before anybody moves, all go where they would have gone
    together.
    """
    recipe = pso.recipes.model_swarms(randomness="none", patience=99)
    recipe = replace(recipe, topology=pso.topology.named(topology))
    for seed in range(5):
        alone = fresh(recipe, 7, seed)
        together = fresh(recipe, 7, seed, asynchronous=False)
        for _ in range(5):
            tickets = alone.ask(7)
            x = together.ask()
            np.testing.assert_allclose([t.x for t in tickets], x, rtol=1e-12, atol=1e-12)
            together.tell(x, [bowl(row) for row in x])
            for ticket in tickets:
                alone.tell(ticket, bowl(ticket.x))
        assert alone.iteration == together.iteration == 4


@pytest.mark.parametrize("once", [True, False])
def test_a_particle_that_stagnates_goes_back_when_it_lands_and_not_while_it_flies(once):
    back = pso.restart.RestartAtBest(2, once)
    recipe = pso.compose([pso.inertia(1.0)], restart=back, boundary=pso.boundary.none)
    start = {"positions": [[0.0], [10.0]], "velocities": [[1.0], [1.0]]}
    swarm = pso.Swarm(**start, recipe=recipe, seed=0, asynchronous=True)
    a, b = swarm.ask(2)
    swarm.tell(a, 0.0)
    swarm.tell(b, 0.0)
    for expected in (1.0, 2.0):  # worse and worse
        [a] = swarm.ask(1)
        assert a.x.item() == expected
        [b] = swarm.ask(1)
        swarm.tell(a, 5.0)
        assert swarm.pending[0].x.item() == b.x.item() == 10 + expected
        swarm.tell(b, 5.0)
    assert swarm.ask(1)[0].x.item() == 0.0 and swarm.velocities[0].item() == 0.0


# --- late answers ---


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=12)
@given(
    workers=st.integers(1, 8),
    seed=st.integers(0, 999),
    count=st.integers(1, 90),
    maximize=st.booleans(),
)
def test_nothing_is_lost_or_doubled(recipe, workers, seed, count, maximize):
    sign = -1.0 if maximize else 1.0
    swarm = fresh(recipe, seed=seed, maximize=maximize)
    fleet = Fleet(swarm, workers, seed).run(count, lambda x: sign * bowl(x))
    assert swarm.evaluations == count == len(fleet.told)
    assert swarm.iteration == max(count // 5 - 1, 0)
    tickets = fleet.handed
    assert len({t.number for t in tickets}) == len(tickets)
    assert all((t.x >= -5).all() and (t.x <= 5).all() for t in tickets)
    # in the air: what was handed out and not told, at the positions it was handed out with
    flying = {t.number: t for t in swarm.pending}
    assert flying.keys() == {t.number for t in fleet.flying}
    for t in fleet.flying:
        assert np.array_equal(flying[t.number].x, t.x) and flying[t.number].particle == t.particle
    # every personal best is the best that its particle was told, and the best the best of all
    for i in range(5):
        own = [(sign * value, ticket.x) for ticket, value in fleet.told if ticket.particle == i]
        if own:
            cost, x = min(own, key=lambda pair: pair[0])
            assert swarm.personal_best_values[i] == sign * cost
            assert np.array_equal(swarm.personal_bests[i], x)
    costs = [sign * value for _, value in fleet.told]
    assert swarm.best.value == sign * min(costs) == sign * bowl(swarm.best.x)
    assert swarm.worst.value == sign * max(costs)


@settings(max_examples=20)
@given(data=st.data())
def test_a_value_that_is_not_finite_never_becomes_a_best_or_worst(data):
    swarm = fresh(seed=0)
    value = st.one_of(st.sampled_from([math.nan, math.inf, -math.inf]), st.floats(-1e6, 1e6))
    fleet = Fleet(swarm, 3, 0).run(data.draw(st.integers(1, 25)), lambda x: data.draw(value))
    finite = [v for _, v in fleet.told if math.isfinite(v)]
    assert swarm.best.value == (min(finite) if finite else math.inf)
    assert swarm.worst.value == (max(finite) if finite else -math.inf)
    assert np.isfinite(swarm.positions).all()


# --- restarts of the whole swarm ---


@settings(max_examples=8)
@given(workers=st.integers(1, 6), seed=st.integers(0, 99))
def test_a_swarm_that_restarts_waits_for_those_in_flight(workers, seed):
    restart = (RestartSwarm(patience=3, growth=2.0),)
    recipe = replace(pso.recipes.constriction(population=4), restart=restart)
    swarm = fresh(recipe, None, seed)
    fleet = Fleet(swarm, workers, seed)
    grounded = 0
    for _ in range(60):
        n, fewer = len(swarm.positions), len(fleet.flying)
        fleet.run(1, lambda x: 1.0)  # nothing ever improves
        grounded += len(fleet.flying) < min(workers, n) - 1
        if len(swarm.positions) > n:
            assert not swarm.pending and not fleet.flying and fewer <= 1
    # one round that finds g, three without, four particles each: then eight, sixteen, ...
    assert len(swarm.positions) == 16 and swarm.evaluations == 60 == len(fleet.told)
    assert (grounded > 0) == (workers > 1)
    particles = [t.particle for t in fleet.handed]
    assert max(particles[:16]) == 3 and max(particles[-5:]) > 7


# --- saving ---


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=8)
@given(
    workers=st.integers(1, 6),
    seed=st.integers(0, 999),
    before=st.integers(0, 30),
    after=st.integers(1, 30),
)
def test_a_loaded_swarm_with_particles_in_flight_goes_on_as_if_nothing_had_happened(
    tmp_path_factory, recipe, workers, seed, before, after
):
    path = tmp_path_factory.mktemp("swarm") / "s.npz"
    whole, half = (Fleet(fresh(recipe, seed=seed), workers, seed).run(before) for _ in range(2))
    for fleet in (whole, half):
        fleet.fill()
    half.swarm.save(path)
    loaded = pso.Swarm.load(path)
    again = {t.number: t for t in loaded.pending}
    assert again.keys() == {t.number for t in half.flying}
    half.swarm, half.flying = loaded, [again[t.number] for t in half.flying]
    whole.run(after)
    half.run(after)
    assert same_state(whole.swarm, half.swarm)
    assert all(np.array_equal(s.x, t.x) for s, t in zip(whole.handed, half.handed, strict=True))
