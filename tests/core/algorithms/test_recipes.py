"""Recipes and their parts, against literal transcriptions and numbers worked by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.parts import boundary, schedule


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

# both x here are counted from the lower wall
BOX = boundary.make_box([(1.0, 11.0)], None, torch.float64, torch.device("cpu"))


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
    got_x, got_v = rule((x + 1) * one, v * one, BOX, torch.Generator())
    assert (got_x.item() - 1, got_v.item()) == (new_x, new_v)


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
    kinds = {"MaxIter": 3, "MaxEvals": 6, "Target": 5.0, "Patience": 2}
    rules = [getattr(pso.stopping, kind)(limit) for kind, limit in kinds.items()]
    recipe = pso.compose(terms=(pso.inertia(1.0),), stop=rules)
    swarm = pso.Swarm(positions=[[0.0], [1.0]], recipe=recipe, maximize=True, seed=0)
    answers = [swarm.stop()]
    for best in (4.0, 5.0, 5.0, 5.0):
        swarm.tell(swarm.ask(), [best, 0.0])
        answers.append(swarm.stop())
    assert answers[:3] == [{}, {}, {"target": 5.0}]
    assert answers[3] == {"max_evals": 6, "target": 5.0}
    assert answers[4] == {"max_iter": 3, "max_evals": 8, "target": 5.0, "patience": 2}


def test_a_linear_schedule_of_one_move_ends_after_it():
    assert [pso.schedule.Linear(0.9, 0.4, moves=1)(t) for t in range(3)] == pytest.approx(
        [0.9, 0.4, 0.4]
    )
    with pytest.raises(ValueError, match="at least 1"):
        pso.schedule.Linear(0.9, 0.4, moves=0)
