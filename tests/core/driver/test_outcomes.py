"""What a result says: its status in a word, failed calls, and equalities that are aimed at zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
from swarm_runs import bowl
from watched import Watched

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 2


def fragile(x):
    """A bowl whose solver gives up on one side."""
    if x[0] > 1:
        raise RuntimeError(f"mesh failed at {x[0]}")
    return bowl(x)


@pytest.mark.parametrize(
    ("status", "options"),
    [
        ("budget", {"max_evals": 30}),
        ("budget", {"max_iter": 3}),
        ("target", {"max_evals": 500, "target": 1e-3}),
        ("infeasible", {"max_evals": 30, "constraints": lambda x: 1.0}),
        ("callback", {"max_evals": 30, "callback": lambda r: True}),
        ("failed", {"max_evals": 60, "fun": lambda x: math.nan}),
    ],
)
def test_status_is_a_word(status, options):
    r = pso.minimize(**{"fun": bowl, "bounds": BOX, "seed": 0, **options})
    assert r.status == r["status"] == status
    assert status in repr(r)
    assert status != "failed" or r.failures == {"nan": 60}


def test_failed_calls_are_counted_and_named():
    raised = 0

    def counting(x):
        nonlocal raised
        raised += x[0] > 1
        return fragile(x)

    r = pso.minimize(counting, BOX, max_evals=49, seed=0, on_error="worst")
    assert raised > 1
    assert r.failures == {"RuntimeError": raised}
    assert f"{raised} of 49 calls failed" in r.message


def test_failures_survive_a_checkpoint(tmp_path):
    fun = Watched(fragile)
    path = tmp_path / "search.npz"
    for calls in 24, 48:
        r = pso.minimize(fun, BOX, max_evals=calls, seed=0, on_error="worst", checkpoint=path)
        failed = sum(x[0] > 1 for x in fun.points)
        assert failed == sum(r.failures.values()) > 0


def test_a_point_with_a_value_comes_before_one_without():
    """Where the constraint is broken least the solver fails; nothing is feasible."""

    def solver(x):
        if x[0] > 3:
            raise RuntimeError("no mesh")
        return bowl(x)

    r = pso.minimize(
        solver, BOX, constraints=lambda x: 6 - x[0], max_evals=60, seed=0, on_error="worst"
    )
    assert r.status == "infeasible"
    assert math.isfinite(r.fun)
    assert 2.5 < r.x[0] <= 3


def test_a_search_aims_well_inside_the_tolerance_of_equalities():
    """The least of x + y on the circle of radius 1 is -sqrt(2); on its tolerance's edge it is less."""
    circle = {"type": "eq", "fun": lambda x: 1e-3 * float(x @ x - 1)}  # within 1e-4
    r = pso.minimize(
        lambda x: float(x.sum()), BOX, constraints=circle, max_evals=150, seed=0,
        history="particles",
    )  # fmt: skip
    points, values = r.evaluated()
    well_inside = np.abs((points**2).sum(axis=1) - 1) <= 0.03
    assert values[well_inside].min() == pytest.approx(-math.sqrt(2), abs=0.02)
    assert r.success
