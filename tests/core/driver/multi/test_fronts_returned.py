"""Objectives and constraints of one simulation, in one call: Binh & Korn's problem (1997)."""

from __future__ import annotations

import numpy as np
import pytest

import pyswarmopt as pso

BOX = [(0, 5), (0, 3)]
REFERENCE = [140, 50]


def simulate(x):
    values = 4 * x[0] ** 2 + 4 * x[1] ** 2, (x[0] - 5) ** 2 + (x[1] - 5) ** 2
    limits = (x[0] - 5) ** 2 + x[1] ** 2 - 25, 7.7 - (x[0] - 8) ** 2 - (x[1] + 3) ** 2
    return values, limits


def apart(**options):
    return pso.minimize_multi(
        lambda x: simulate(x)[0], BOX, constraints=lambda x: np.array(simulate(x)[1]), **options
    )


def test_a_front_takes_constraints_with_its_objectives(tmp_path):
    options = {"max_evals": 60, "seed": 0}
    r = pso.minimize_multi(
        simulate, BOX, constraints="returned", checkpoint=tmp_path / "a.npz", **options
    )
    assert r.feasible and max(max(simulate(x)[1]) for x in r.x) <= 0
    assert np.allclose(r.fun, [simulate(x)[0] for x in r.x])
    best = pso.pareto.hypervolume(apart(**options).fun, REFERENCE)
    assert pso.pareto.hypervolume(r.fun, REFERENCE) > 0.95 * best
    again = pso.minimize_multi(
        simulate, BOX, constraints="returned", checkpoint=tmp_path / "a.npz", **options
    )
    assert np.array_equal(again.fun, r.fun)


def test_a_study_is_told_both_and_may_fail():
    study = pso.Study(BOX, objectives=2, constraints="returned", max_evals=60, seed=0)
    failed = 0
    while trial := study.ask():
        if trial.x[1] > 2.5:
            failed += 1
            study.tell(trial, None)
        else:
            values, limits = simulate(trial.x)
            study.tell(trial, values, constraints=limits)
    r = study.result()
    assert failed and sum(r.failures.values()) == failed
    assert len(r.x) > 3 and max(max(simulate(x)[1]) for x in r.x) <= 0


def test_without_a_feasible_point_the_least_violation_is_reported():
    r = pso.minimize_multi(
        lambda x: (simulate(x)[0], [1.0 + x[0]]), BOX, constraints="returned", max_evals=40, seed=0
    )
    assert r.status == "infeasible" and 1 <= r.maxcv < 1.2


def test_a_form_without_constraints_is_refused_with_what_is_wanted():
    with pytest.raises(ValueError, match=r"must return \(2 values, constraints\), got"):
        pso.minimize_multi(lambda x: [1.0, 2.0], BOX, constraints="returned", max_evals=9)
    study = pso.Study(BOX, objectives=2, constraints="returned", max_evals=9)
    with pytest.raises(ValueError, match="constraints= is required"):
        study.tell([1.0, 1.0], [1.0, 2.0])
