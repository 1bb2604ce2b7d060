"""Personal bests that are worth something else after all: the bests follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from swarm_runs import bowls, drive

import pyswarmopt as pso


def fresh(**options) -> pso.Swarm:
    return pso.Swarm(bounds=[(-5, 5)] * 2, population=5, seed=3, **options)


@pytest.mark.parametrize("maximize", [False, True])
@given(
    values=st.lists(
        st.one_of(st.floats(-100, 100), st.sampled_from([math.nan, math.inf])),
        min_size=5,
        max_size=5,
    )
)
def test_the_best_is_the_best_of_the_new_values(maximize, values):
    swarm = drive(fresh(maximize=maximize), bowls, 4)
    p, count, worst = swarm.personal_bests.copy(), swarm.evaluations, swarm.worst.value
    sign = -1.0 if maximize else 1.0
    swarm.revalue(values)
    costs = [sign * v if math.isfinite(v) else math.inf for v in values]
    i = int(np.argmin(costs))
    assert swarm.best.value == sign * costs[i] and np.array_equal(swarm.best.x, p[i])
    assert (
        np.array_equal(swarm.personal_bests, p)
        and (sign * swarm.personal_best_values).tolist() == costs
    )
    assert swarm.evaluations == count and swarm.worst.value == worst


def test_the_swarm_follows_its_new_best():
    """With x <- x + (g - x) everybody goes to g."""
    follow = pso.compose([pso.social(1.0, "none")])
    swarm = pso.Swarm(positions=[[0.0], [4.0]], velocities=[[0.0], [0.0]], recipe=follow, seed=0)
    swarm.tell(swarm.ask(), [-9.0, 1.0])
    swarm.revalue([2.0, 1.0])
    assert swarm.ask().tolist() == [[4.0], [4.0]]


def test_one_value_for_each_is_wanted():
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        drive(fresh(), bowls, 1).revalue([1.0])
