"""Histories: what is kept at each granularity, within which bounds, and how it gets out."""

from __future__ import annotations

import math
from itertools import pairwise
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from swarm_runs import bowl
from watched import Watched

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3


def test_history_can_be_exported():
    fun = Watched(bowl)
    r = pso.minimize(fun, BOX, recipe="constriction", population=10, max_evals=50, seed=0)
    frame = r.history.to_pandas()
    assert [*frame.columns] == ["iteration", "evaluations", "best"]
    assert frame["best"][2] == min(fun.values[:30])
    assert frame["evaluations"].tolist() == [10, 20, 30, 40, 50]


def test_particles_are_the_evaluations():
    fun = Watched(bowl)
    r = pso.minimize(
        fun, BOX, "constriction", population=6, max_evals=28, seed=0, history="particles"
    )
    rows = r.history.to_pandas()
    assert [*rows.columns] == ["iteration", "particle", "value", "again", "x0", "x1", "x2"]
    assert (6 * rows["iteration"] + rows["particle"]).tolist() == list(range(28))
    assert rows["value"].tolist() == fun.values
    assert np.array_equal(rows[["x0", "x1", "x2"]], fun.points)


@given(rounds=st.integers(1, 200))
def test_history_stays_within_its_limit_and_evenly_spaced(rounds):
    with mock.patch("pyswarmopt.driver.history.LIMIT", 5):
        history = pso.History()
        for t in range(rounds):
            history.add(t, t, 0.0, [pso.ParticleRecord(t, 0, math.nan, np.zeros(1))])
            assert len(history) <= 5
    kept = [record.iteration for record in history]
    assert kept[0] == 0 and len({b - a for a, b in pairwise(kept)}) <= 1
    assert rounds - kept[-1] <= max(1, 2 * rounds // 5 + 1)


def test_points_of_the_first_iteration_are_all_kept():
    history = pso.History("particles")
    for _ in range(300):
        history.add(0, 1, 0.0, [pso.ParticleRecord(0, 0, 0.0, np.zeros(4000))])
    assert len(history) == 300
