"""A checkpoint is taken up by the objective that it was written with, and by no other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from swarm_runs import bowl

import pyswarmopt as pso
from pyswarmopt.driver.judge import check_value

BOX = [(-4.0, 4.0)] * 2


def other(x):
    return float((x**2).sum()) + 100.0


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
    with pytest.raises(ValueError, match=r"c\.npz .* different objective") as refused:
        pso.minimize(rows(other), **arguments)
    assert "\n" not in str(refused.value)
    assert pso.minimize(rows(bowl), **arguments).fun == first.fun  # the file is as it was


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
        with pytest.raises(ValueError, match=r"c\.npz .* different objective"):
            check_value("c.npz", stored, now, scale)
