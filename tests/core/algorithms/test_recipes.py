"""Recipes and their parts, against literal transcriptions and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.parts import boundary

# --- boundaries ---

# both x here are counted from the lower wall
BOX = boundary.make_box([(1.0, 11.0)], None, np.dtype("float64"))


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
    one = np.ones((1, 1))
    got_x, got_v = rule((x + 1) * one, v * one, BOX, np.random.default_rng(0))
    assert (got_x.item() - 1, got_v.item()) == (new_x, new_v)


@pytest.mark.parametrize("rule", [boundary.clip, boundary.reflect, boundary.periodic])
@given(
    box=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0, 1e3)), min_size=1, max_size=3),
    data=st.data(),
)
def test_boundaries_keep_the_inside_and_bring_the_rest_in(rule, box, data):
    pairs = [(low, low + width) for low, width in box]
    assume(any(low < high for low, high in pairs))
    where = st.lists(st.floats(-1e5, 1e5), min_size=len(box), max_size=len(box))
    x = np.array(data.draw(st.lists(where, min_size=1, max_size=4)))
    made = boundary.make_box(pairs, None, np.dtype("float64"))
    new_x, new_v = rule(x, x.copy(), made, np.random.default_rng(0))
    assert (new_x >= made.low).all() and (new_x <= made.high).all()
    inside = (x >= made.low) & (x <= made.high)
    assert np.array_equal(new_x[inside], x[inside]) and np.array_equal(new_v[inside], x[inside])


# --- stop rules ---


def test_every_stop_rule_names_itself():
    kinds = {"MaxIter": 3, "Target": 5.0, "Patience": 2}
    rules = [getattr(pso.stopping, kind)(limit) for kind, limit in kinds.items()]
    recipe = pso.compose(terms=(pso.inertia(1.0),), stop=rules)
    swarm = pso.Swarm(positions=[[0.0], [1.0]], recipe=recipe, maximize=True, seed=0)
    answers = [swarm.stop()]
    for best in (4.0, 5.0, 5.0, 5.0):
        swarm.tell(swarm.ask(), [best, 0.0])
        answers.append(swarm.stop())
    assert answers[:3] == [{}, {}, {"target": 5.0}]
    assert answers[3] == {"target": 5.0}
    assert answers[4] == {"max_iter": 3, "target": 5.0, "patience": 2}


# --- the length of a run ---

BOX_OF_2 = [(-5.0, 5.0)] * 2


@pytest.mark.parametrize("name", ["clpso", "inertia_weight"])
@pytest.mark.parametrize(
    ("limits", "moves"),
    [
        ({"max_evals": 200}, 24),  # 8 of the 200 calls are the start
        ({"max_evals": 197}, 24),  # the last move is cut
        ({"max_evals": 10**6, "max_iter": 7}, 7),
        ({"max_evals": 3}, 1),
    ],
)
def test_the_inertia_falls_over_the_whole_run(name, limits, moves):
    options = {"population": 8, "seed": 3, "history": "particles", **limits}
    found = pso.minimize(pso.functions.rastrigin, BOX_OF_2, name, **options)
    recipe = pso.recipes.get(name, horizon=moves)
    expected = pso.minimize(pso.functions.rastrigin, BOX_OF_2, recipe, **options)
    other = pso.recipes.get(name, horizon=1000)
    unplanned = pso.minimize(pso.functions.rastrigin, BOX_OF_2, other, **options)
    assert (found.evaluated()[0] == expected.evaluated()[0]).all()
    assert moves == 1 or (found.evaluated()[0] != unplanned.evaluated()[0]).any()


def test_a_schedule_of_ones_own_is_that_of_the_run_too():
    step = pso.schedule.Linear(1.0, 0.0)
    drift = pso.Term("drift", 1.0, lambda s: 0 * s.x + 1.0, random="none")
    recipe = pso.compose([drift], schedule=step, boundary=boundary.none, population=1)
    r = pso.minimize(
        lambda x: -x[0], [(0, 1)], recipe, max_evals=5, x0=[0.5], seed=0, history="particles"
    )
    # four moves of 1, 3/4, 1/2 and 1/4
    assert r.evaluated()[0].ravel().tolist() == [0.5, 1.5, 2.25, 2.75, 3.0]
