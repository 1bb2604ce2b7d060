"""Parameters by name: `space=`, what the objective gets, `Result.params`, conditions,
importance.
"""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas
import pytest

import pyswarmopt as pso
from pyswarmopt.driver.problem.importance import BINS, main_effects

SPACE = {
    "lr": pso.log(1e-5, 1.0),
    "layers": pso.integer(1, 8),
    "units": pso.integer(16, 1024, log=True),
    "opt": ["adam", "sgd", None],
    "momentum": pso.when("opt", "sgd", (0, 1)),
    "batch": 32,
}


def loss(lr, layers, units, opt, batch, momentum=None):
    return (
        abs(math.log10(lr) + 2)
        + abs(layers - 3)
        + abs(math.log2(units) - 6)
        + (opt != "sgd")
        + (momentum or 0)
    )


def test_the_objective_gets_plain_values_by_name_that_the_space_allows():
    seen = []

    def fun(**params):
        seen.append(params)
        return loss(**params)

    r = pso.minimize(fun, space=SPACE, max_evals=150, seed=0)
    assert r.nfev == len(seen) == 150
    for p in seen:
        assert type(p["lr"]) is float and 1e-5 <= p["lr"] <= 1
        assert type(p["layers"]) is int and 1 <= p["layers"] <= 8
        assert type(p["units"]) is int and 16 <= p["units"] <= 1024
        assert p["opt"] in ("adam", "sgd", None) and p["batch"] == 32
        assert ("momentum" in p) == (p["opt"] == "sgd")
    assert r.params == min(seen, key=lambda p: loss(**p)) and r.fun == loss(**r.params)
    assert json.loads(json.dumps(r.params)) == r.params


def test_x0_may_be_parameters_and_the_first_call_is_there():
    start = {"lr": 0.3, "layers": 7, "units": 100, "opt": "sgd", "momentum": 0.25}
    first = []
    pso.minimize(
        lambda p: first.append(p) or loss(**p), space=SPACE, max_evals=20, seed=0, x0=[start]
    )
    assert first[0] == pytest.approx(start | {"batch": 32})
    with pytest.raises(ValueError, match="x0 lacks momentum"):
        pso.minimize(loss, space=SPACE, x0={k: v for k, v in start.items() if k != "momentum"})
    with pytest.raises(ValueError, match=r"x0: layers=9"):
        pso.minimize(loss, space=SPACE, x0=start | {"layers": 9})
    with pytest.raises(ValueError, match="x0: 'speed'"):
        pso.minimize(loss, space=SPACE, x0=start | {"speed": 9})


def test_conditions_may_stand_on_conditions_and_list_several_values():
    space = pso.Space(
        {
            "kind": ["tree", "svm", "net"],
            "kernel": pso.when("kind", "svm", ["linear", "rbf"]),
            "gamma": pso.when("kernel", "rbf", (0.0, 1.0)),
            "scale": pso.when("kind", ["svm", "net"], [True, False]),
        }
    )
    names = {"tree": set(), "svm": {"kernel", "scale"}, "net": {"scale"}}
    for kind, kernel in itertools.product(range(3), range(2)):
        found = space.decode([kind, kernel, 0.5, 0])
        wanted = (
            {"kind"} | names[found["kind"]] | ({"gamma"} if (kind, kernel) == (1, 1) else set())
        )
        assert set(found) == wanted


def test_values_are_told_apart_exactly():
    """Options may be closer than any tolerance, and ranges end where they end."""
    space = pso.Space({"c": [1e-10, 1e-11], "r": pso.log(1e-20, 1.0), "n": pso.integer(1, 2**53)})
    start = {"c": 1e-11, "r": 1e-15, "n": 2**53 - 1}
    assert space.decode(space.encode(start))["c"] == 1e-11
    for wrong in ({"c": 2e-11}, {"r": 5e-21}, {"r": 1.0 + 1e-10}, {"n": 10**400}):
        assert not space.allows(start | wrong)


def test_whole_numbers_beyond_those_of_float64_are_refused():
    with pytest.raises(ValueError, match=r"up to 2\*\*53"):
        pso.integer(2**60, 2**60 + 8)


def test_constraints_get_the_names_that_they_take():
    r = pso.minimize(
        lambda a, b: a + b, space={"a": (0, 4), "b": pso.integer(0, 4)}, max_evals=120, seed=0,
        constraints=[lambda a: 1 - a, {"type": "ineq", "fun": lambda p: p["b"] - 2}],
    )  # fmt: skip
    assert r.maxcv == 0 and r.params["b"] == 2 and 1 <= r.params["a"] < 1.1


def test_importance_is_the_variance_of_the_main_effects():
    """Against brute force: every cell of a grid is evaluated, so effects are means over the other
    parameters, one evaluation without an effect among those of each bin.
    """
    levels = np.array([BINS, BINS, 3, 2])
    grid = np.array(list(itertools.product(*map(range, levels))), dtype=float)
    values = grid @ [30, 8, 50, 0]
    ranks = np.unique(values, return_inverse=True)[1].astype(float)
    variances = []
    for column, count in zip(grid.T, levels, strict=True):
        own = [ranks[column == level] - ranks.mean() for level in range(count)]
        variances.append(np.var([each.sum() / (len(each) + 1) for each in own]))
    shares = main_effects(grid / (levels - 1), values)
    np.testing.assert_allclose(shares, np.array(variances) / sum(variances), atol=1e-12)


def test_tables_and_points_have_names_and_units(tmp_path):
    r = pso.minimize(loss, space=SPACE, max_evals=60, seed=0)
    points, values = r.evaluated()
    table = r.history.to_pandas()
    assert list(table.columns) == ["iteration", "particle", "value", "again", *r.space.names]
    assert [loss(**params) for params in points] == pytest.approx(values.tolist())
    for params, (_, row) in zip(points, table.iterrows(), strict=True):
        for name in r.space.names:
            assert (
                row[name] == params[name]
                if params.get(name) is not None
                else pandas.isna(row[name])
            )
