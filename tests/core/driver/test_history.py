"""Histories: what is kept at each granularity, and how it gets out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from swarm_runs import bowl
from watched import Watched

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3


def test_history_is_a_table():
    pytest.importorskip("pandas")
    fun = Watched(bowl)
    r = pso.minimize(fun, BOX, recipe="constriction", population=10, max_evals=50, seed=0)
    frame = r.history.to_pandas()
    assert list(frame) == ["iteration", "evaluations", "best", "mean", "spread"]
    assert frame["best"][2] == min(fun.values[:30])
    assert math.isclose(frame["mean"][2], sum(fun.values[20:30]) / 10)
    assert frame["evaluations"].tolist() == [10, 20, 30, 40, 50]


def test_particles_are_the_evaluations():
    pytest.importorskip("pandas")
    fun = Watched(bowl)
    r = pso.minimize(
        fun, BOX, "constriction", population=6, max_evals=28, seed=0, history="particles"
    )
    rows = r.history.to_pandas()
    assert list(rows) == ["iteration", "particle", "value", "violation", "x0", "x1", "x2"]
    assert (6 * rows["iteration"] + rows["particle"]).tolist() == list(range(28))
    assert rows["value"].tolist() == fun.values
    assert np.array_equal(rows[["x0", "x1", "x2"]], fun.points)
