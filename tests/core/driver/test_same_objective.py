"""A checkpoint is taken up by the objective that it was written with, and by no other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from swarm_runs import bowl

import pyswarmopt as pso
from pyswarmopt.driver.start import check_value

BOX = [(-4.0, 4.0)] * 2


def other(x):
    return float((x**2).sum()) + 100.0


def front(x):
    return x[0] ** 2, (x[0] - 2) ** 2 + x[1] ** 2


def other_front(x):
    return x[0] ** 2, (x[0] - 2) ** 2 + x[1] ** 2 + 1.0


WAYS = [
    {},
    {"recipe": "constriction"},
    {"asynchronous": True},
    {"vectorized": True},
    {"constraints": lambda x: x[0]},
]


@pytest.mark.parametrize("how", WAYS)
def test_another_objective_is_refused_by_the_files_name(tmp_path, how):
    path = tmp_path / "c.npz"
    arguments = {"bounds": BOX, "max_evals": 90, "seed": 1, "checkpoint": path, **how}

    def rows(fun):
        return (lambda x: np.array([fun(row) for row in x])) if how.get("vectorized") else fun

    first = pso.minimize(rows(bowl), **arguments)
    with pytest.raises(ValueError, match=r"c\.npz: .* another objective") as refused:
        pso.minimize(rows(other), **arguments)
    assert "\n" not in str(refused.value)
    assert pso.minimize(rows(bowl), **arguments).fun == first.fun  # the file is as it was


def test_a_front_of_other_objectives_is_refused(tmp_path):
    arguments = {"max_evals": 90, "seed": 1, "population": 10, "checkpoint": tmp_path / "c.npz"}
    pso.minimize_multi(front, BOX, 2, **arguments)
    pso.minimize_multi(front, BOX, 2, **arguments)
    with pytest.raises(ValueError, match=r"c\.npz: .* another objective"):
        pso.minimize_multi(other_front, BOX, 2, **arguments)


def test_an_objective_that_fails_now_says_nothing_where_failures_are_forgiven(tmp_path):
    def fails(x):
        raise RuntimeError("no licence")

    arguments = {"bounds": BOX, "max_evals": 60, "seed": 1, "checkpoint": tmp_path / "c.npz"}
    first = pso.minimize(bowl, **arguments)
    assert pso.minimize(fails, on_error="worst", **arguments).fun == first.fun
    with pytest.raises(RuntimeError, match="no licence"):
        pso.minimize(fails, **arguments)


@pytest.mark.parametrize(
    ("stored", "scale", "allowed"),
    [(1e6, 0.0, 1e-3), (-1e6, 1.0, 1e-3), (2.0, 1e6, 1e-3), (0.0, -1e6, 1e-3),
     (1.0, math.inf, 1e-9), (1.0, math.nan, 1e-9)],
)  # fmt: skip
def test_a_value_may_differ_by_rounding_of_itself_or_of_what_the_search_began_with(
    stored, scale, allowed
):
    for now in (stored, stored + 0.5 * allowed, stored - 0.5 * allowed):
        check_value("c.npz", stored, now, scale)
    for now in (stored + 2 * allowed, stored - 2 * allowed):
        with pytest.raises(ValueError, match=r"c\.npz: .* another objective"):
            check_value("c.npz", stored, now, scale)


def test_a_changed_constraint_is_said_in_its_own_amounts(tmp_path):
    arguments = {"bounds": BOX, "max_evals": 60, "seed": 1, "checkpoint": tmp_path / "c.npz"}
    pso.minimize(bowl, constraints=lambda x: 6 - x[0], **arguments)
    with pytest.raises(ValueError, match=r"by 2\.\d* there, 3\.\d* now"):
        pso.minimize(bowl, constraints=lambda x: 7 - x[0], **arguments)


def test_a_composition_of_ones_own_is_known_by_its_parts_and_not_by_its_name(tmp_path):
    def run(weight, name):
        terms = [pso.inertia(weight), pso.cognitive(1.5), pso.social(1.5)]
        recipe = pso.compose(terms, population=5)
        search = {"bounds": BOX, "max_evals": 40, "seed": 0, "checkpoint": tmp_path / name}
        return pso.minimize(bowl, recipe=recipe, **search).fun

    assert run(0.7, "a") == run(0.7, "a") != run(0.4, "b")
    with pytest.raises(ValueError, match="other parts"):
        run(0.4, "a")
