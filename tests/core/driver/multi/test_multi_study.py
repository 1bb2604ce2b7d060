"""`Study` of several objectives against `minimize_multi`: the same points, whoever calls them."""

from __future__ import annotations

import math

import pytest

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 2


def both(x):
    """Two bowls, without a value on one side."""
    return [math.nan if x[0] > 4 else float(x @ x), float((x - 2) @ (x - 2))]


def told(study, answer, path):
    """The result of a study told by `answer`, saved and loaded after each value."""
    here = study()
    while trial := here.ask():
        here.save(path)
        here = study().load(path)
        again = here.ask()
        assert (again.number, again.x.tolist()) == (trial.number, trial.x.tolist())
        here.tell(again, answer(again))
    return here.result()


@pytest.mark.parametrize(
    "problem",
    [
        {"bounds": BOX, "max_evals": 240, "population": 40},  # models up to 200, then the swarm
        {"bounds": [(-5.0, 5.0)] * 21, "max_evals": 120},
        {"bounds": BOX, "max_evals": 60, "constraints": lambda x: 1 - x[0]},
        {"bounds": [(-2, 2)] * 2, "max_evals": 60, "integrality": [True, True]},  # 25 points in all
        {"bounds": BOX, "max_evals": 60, "x0": [[1, 1], [2, 2]]},
    ],
    ids=["models", "swarm", "constraints", "integers", "starts"],
)
def test_a_study_saved_at_each_value_finds_what_minimize_multi_finds(problem, tmp_path):
    expected = pso.minimize_multi(both, seed=3, **problem)
    found = told(
        lambda: pso.Study(seed=3, objectives=2, **problem),
        lambda trial: both(trial.x),
        tmp_path / "study.npz",
    )
    assert found.x.tolist() == expected.x.tolist() and found.fun.tolist() == expected.fun.tolist()
    assert (found.nfev, found.message, found.failures) == (
        expected.nfev, expected.message, expected.failures,
    )  # fmt: skip
    assert len(found.x) > 3
