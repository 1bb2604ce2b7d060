"""Recipes and their parts, against literal transcriptions and numbers worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from literal_recipes import factors, source_of_factors

import pyswarmopt as pso
from pyswarmopt.parts import boundary, schedule


def constriction_run(start, velocities, fun, seed: int, rounds: int, ring: bool):
    """Clerc & Kennedy 2002, equations 3 and 4, loop by loop; positions of each round."""
    n, d = len(start), len(start[0])
    source = source_of_factors(torch.Generator().manual_seed(seed))
    phi = 4.1
    chi = 2 / abs(2 - phi - math.sqrt(phi**2 - 4 * phi))
    x = [list(row) for row in start]
    v = [list(row) for row in velocities]
    p = [list(row) for row in start]
    fp = [fun(row) for row in x]
    for _ in range(rounds):
        r1, r2 = factors(2, n, d, source)
        old_p, old_fp = [list(row) for row in p], list(fp)
        for i in range(n):
            best = i
            for j in [(i - 1) % n, (i + 1) % n] if ring else range(n):
                if old_fp[j] < old_fp[best]:
                    best = j
            for k in range(d):
                pull = 2.05 * r1[i][k] * (old_p[i][k] - x[i][k]) + 2.05 * r2[i][k] * (
                    old_p[best][k] - x[i][k]
                )
                v[i][k] = chi * (v[i][k] + pull)
                x[i][k] += v[i][k]
        for i in range(n):
            if fun(x[i]) < fp[i]:
                p[i], fp[i] = list(x[i]), fun(x[i])
    return x, v, p


@pytest.mark.parametrize("shape", ["ring", "global"])
def test_constriction_is_that_of_clerc_and_kennedy(shape):
    start = (
        torch.rand((7, 3), generator=torch.Generator().manual_seed(9), dtype=torch.float64) * 8
    ).tolist()

    def valley(row):
        return sum((row[k + 1] - row[k] ** 2) ** 2 + 0.1 * (1 - row[k]) ** 2 for k in range(2))

    v = [[0.1 * i, -0.2, 0.3] for i in range(7)]
    recipe = pso.recipes.constriction(topology=shape)
    swarm = pso.Swarm(positions=start, velocities=v, recipe=recipe, seed=3)
    for _ in range(31):
        x = swarm.ask()
        swarm.tell(x, [valley(row) for row in x.tolist()])
    x, v, p = constriction_run(start, v, valley, seed=3, rounds=30, ring=shape == "ring")
    np.testing.assert_allclose(swarm.positions.numpy(), x, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(swarm.velocities.numpy(), v, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(swarm.personal_bests.numpy(), p, rtol=1e-11, atol=1e-11)


def test_a_term_of_ones_own_joins_a_composition():
    drift = pso.Term(
        "drift", schedule.Linear(1.0, 0.0, moves=2), lambda s: 0 * s.x + 10.0, random="none"
    )
    recipe = pso.compose(terms=(pso.inertia(0.5), drift), launch=pso.initialise.at_rest)
    swarm = pso.Swarm(positions=[[0.0], [5.0]], recipe=recipe, seed=0)
    xs = []
    for _ in range(4):
        x = swarm.ask()
        xs.append(x[0, 0].item())
        swarm.tell(x, [0.0, 0.0])
    # v: 0.5 * 0 + 10, 0.5 * 10 + 5, 0.5 * 10 + 0
    assert xs == [0.0, 10.0, 20.0, 25.0]


# 20 particles x 200 rounds = 4000 evaluations; the centre of the box is 32 away from the optimum in
# value.
CONVERGENCE = [
    (pso.recipes.bare_bones(), 1e-12),
    (pso.recipes.clpso(horizon=200), 1e-6),
    (pso.recipes.constriction(), 1e-10),
    (pso.recipes.covariant(), 1e-12),
    (pso.recipes.surrogate(), 1e-12),
    (pso.recipes.constriction(topology="global"), 1e-10),
    (pso.recipes.constriction(topology="von_neumann"), 1e-10),
    (pso.recipes.constriction(topology="random"), 1e-10),
    (pso.recipes.fips(), 1e-8),
    (pso.recipes.fips(topology="ring"), 1e-6),
    (pso.recipes.inertia_weight(horizon=200), 1e-9),
    (pso.recipes.spso2011(), 1e-12),
    # It never leaves the hull of its start and shrinks on purpose: near, not exact.
    (pso.recipes.model_swarms(patience=999, max_iter=999, step_decay=1.0), 1.0),
]


@pytest.mark.parametrize(
    ("recipe", "reached"), CONVERGENCE, ids=lambda value: getattr(value, "name", None)
)
def test_the_optimum_of_a_sphere_off_the_centre_is_found(recipe, reached):
    optimum = torch.tensor([3.0, -2.0, 4.5], dtype=torch.float64)
    swarm = pso.Swarm(bounds=[(-5, 5)] * 3, population=20, recipe=recipe, seed=0)
    for _ in range(200):
        x = swarm.ask()
        swarm.tell(x, ((x - optimum) ** 2).sum(-1))
    assert swarm.best.value < reached


# --- boundaries ---

BOX = boundary.make_box([(0.0, 10.0)], None, torch.float64, torch.device("cpu"))


@pytest.mark.parametrize(
    ("rule", "x", "v", "new_x", "new_v"),
    [
        (boundary.none, 12.0, 4.0, 12.0, 4.0),
        (boundary.clip, 12.0, 4.0, 10.0, 0.0),
        (boundary.clip, -1.0, -4.0, 0.0, 0.0),
        (boundary.confine, 12.0, 4.0, 10.0, -2.0),
        (boundary.confine, -1.0, -2.0, 0.0, 1.0),
        (boundary.reflect, 12.0, 4.0, 8.0, -2.0),
        (boundary.reflect, -3.0, -4.0, 3.0, 2.0),
        (boundary.reflect, 27.0, 20.0, 0.0, -10.0),
        (boundary.periodic, 12.0, 4.0, 2.0, 4.0),
        (boundary.periodic, -21.0, -4.0, 9.0, -4.0),
        (boundary.periodic, 10.0, 4.0, 10.0, 4.0),
    ],
)
def test_boundaries_by_hand(rule, x, v, new_x, new_v):
    one = torch.ones((1, 1), dtype=torch.float64)
    got_x, got_v = rule(x * one, v * one, BOX, torch.Generator())
    assert (got_x.item(), got_v.item()) == (new_x, new_v)


@pytest.mark.parametrize(
    "rule", [boundary.clip, boundary.reflect, boundary.periodic, boundary.resample]
)
@given(
    box=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0, 1e3)), min_size=1, max_size=3),
    data=st.data(),
)
def test_boundaries_keep_the_inside_and_bring_the_rest_in(rule, box, data):
    pairs = [(low, low + width) for low, width in box]
    assume(any(low < high for low, high in pairs))
    where = st.lists(st.floats(-1e5, 1e5), min_size=len(box), max_size=len(box))
    x = torch.tensor(data.draw(st.lists(where, min_size=1, max_size=4)), dtype=torch.float64)
    made = boundary.make_box(pairs, None, torch.float64, torch.device("cpu"))
    new_x, new_v = rule(x, x.clone(), made, torch.Generator().manual_seed(0))
    assert (new_x >= made.low).all() and (new_x <= made.high).all()
    inside = (x >= made.low) & (x <= made.high)
    assert torch.equal(new_x[inside], x[inside]) and torch.equal(new_v[inside], x[inside])


# --- stop rules ---


def test_every_stop_rule_names_itself():
    rules = (
        pso.stopping.MaxIter(3),
        pso.stopping.MaxEvals(6),
        pso.stopping.Target(5.0),
        pso.stopping.Patience(2),
    )
    recipe = pso.compose(terms=(pso.inertia(1.0),), stop=rules)
    swarm = pso.Swarm(positions=[[0.0], [1.0]], recipe=recipe, maximize=True, seed=0)
    answers = [swarm.stop()]
    for best in (4.0, 5.0, 5.0, 5.0):
        swarm.tell(swarm.ask(), [best, 0.0])
        answers.append(swarm.stop())
    assert answers == [
        {},
        {},
        {"target": 5.0},
        {"max_evals": 6, "target": 5.0},
        {"max_iter": 3, "max_evals": 8, "target": 5.0, "patience": 2},
    ]


def test_a_linear_schedule_of_one_move_ends_after_it():
    assert [pso.schedule.Linear(0.9, 0.4, moves=1)(t) for t in range(3)] == pytest.approx(
        [0.9, 0.4, 0.4]
    )
    with pytest.raises(ValueError, match="at least 1"):
        pso.schedule.Linear(0.9, 0.4, moves=0)


def test_periodic_walls_of_a_box_that_is_not_about_zero():
    box = pso.Box(torch.tensor([1.0]), torch.tensor([4.0]))
    x = torch.tensor([[4.5], [0.5], [8.0], [2.0]])
    wrapped, _ = boundary.periodic(x, torch.zeros(4, 1), box, torch.Generator())
    assert wrapped.flatten().tolist() == [1.5, 3.5, 2.0, 2.0]
