"""`minimize_multi`: its budget, clock, record and means; the front itself is in test_pareto.py."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 2


def both(x):
    return [float(x @ x), float((x - 2) @ (x - 2))]


# up to (24, 24) in 6 dimensions, by 10,000 points of the line from one centre to the other
LINE = 6 * np.linspace(0.0, 2.0, 10_001) ** 2
FRONT = pso.pareto.hypervolume(np.column_stack([LINE, LINE[::-1]]), [24, 24])


def test_models_reach_a_front_that_is_a_thin_curve():
    """Between two centres, (0, ..., 0) and (2, ..., 2); with 80 calls a swarm is far away (0 to 0.46)."""
    r = pso.minimize_multi(both, [(-5.0, 5.0)] * 6, max_evals=80, seed=0)
    assert np.median(np.ptp(r.x, axis=1)) < 0.8  # coordinates of a point of the front are equal
    assert pso.pareto.hypervolume(r.fun, [24, 24]) > 0.85 * FRONT


def test_models_keep_to_what_is_allowed_and_has_a_value():
    """A fifth of the line is allowed, and a half of that has no value."""
    space = {"x": (0.0, 10.0), "kind": ["good", "bad"], "n": pso.integer(0, 4)}

    def fun(x, kind, n):
        value = math.nan if x > 9 else x
        return [value + n + (kind == "bad"), -value + n + 2 * (kind == "bad")]

    r = pso.minimize_multi(
        fun, space=space, constraints=lambda x, kind, n: 8 - x, max_evals=100, seed=0
    )
    assert {(p["kind"], p["n"]) for p in r.params} == {("good", 0)}
    found = sorted(p["x"] for p in r.params)
    assert 8 <= found[0] < 8.1
    assert 8.9 < found[-1] <= 9


def test_every_evaluated_point_can_be_kept(tmp_path):
    called = []

    def fun(x):
        called.append(tuple(x.tolist()))
        return both(x)

    r = pso.minimize_multi(fun, BOX, max_evals=90, seed=0)
    points, values = r.evaluated()
    assert {tuple(x) for x in points.tolist()} == set(called)
    assert np.allclose(values, [both(x) for x in points])


def test_time_ends_a_search():
    def slow(x):
        time.sleep(0.02)
        return both(x)

    r = pso.minimize_multi(slow, BOX, max_evals=5000, seed=0, timeout=0.5)
    assert "timeout" in r.message or "time" in r.message
    assert r.status == "time"
    assert 0 < r.nfev < 100


def test_a_front_is_a_table():
    """With a column for each parameter, empty where it is inactive, and for each objective."""
    space = {"kind": ["a", "b"], "size": pso.when("kind", "b", (0.0, 1.0))}
    front = pso.minimize_multi(
        lambda kind, size=0.5: (size + (kind == "a"), 1 - size), space=space, max_evals=60, seed=0
    )
    table = front.to_pandas()
    assert table[["fun0", "fun1"]].to_numpy().tolist() == front.fun.tolist()
    for row, params in zip(table.to_dict("records"), front.params, strict=True):
        assert row["kind"] == params["kind"]
        assert row["size"] == params["size"] if "size" in params else math.isnan(row["size"])


def test_a_front_is_a_result_that_other_searches_begin_from_and_no_list_of_known_values():
    front = pso.minimize_multi(both, [(-9, 9)], max_evals=30, seed=1)
    assert isinstance(front, pso.Result) and front["nfev"] == 30 == len(front.history)
    assert [len(each.value) for each in front.history] == [2] * 30
    asked: list[float] = []
    pso.minimize(lambda x: asked.append(x[0]) or 1.0, [(-9, 9)], x0=front, max_evals=40, seed=1)
    assert asked[: len(front.x)] == front.x.ravel().tolist()
    for wrong in (
        lambda: pso.minimize(abs, [(-9, 9)], known=front),
        lambda: pso.plot.trace(front),
        front.importance,
    ):
        with pytest.raises(ValueError, match=r"MultiResult|front"):
            wrong()
