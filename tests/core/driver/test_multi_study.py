"""`MultiStudy` against `minimize_multi`: the same points, whoever calls the objectives."""

from __future__ import annotations

import copy
import math
import pickle

import pytest

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 2
SPACE = {"x": (0.0, 10.0), "kind": ["good", "bad"], "n": pso.integer(0, 4)}


def both(x):
    """Two bowls, without a value on one side."""
    return [math.nan if x[0] > 4 else float(x @ x), float((x - 2) @ (x - 2))]


def named(x, kind, n):
    return [x + n, (kind == "bad") - x + 2 * n]


def told(study, answer, path=None):
    """The result of a study told by `answer`; with a path, of the latest copy from there."""
    here = study()
    while trials := here.ask():
        if path is not None:
            here.save(path)
            here = study().load(path)
            assert [t.x.tolist() for t in here.ask()] == [t.x.tolist() for t in trials]
        here.tell([answer(trial) for trial in trials])
    return here.result()


def same(a, b):
    assert a.x.tolist() == b.x.tolist() and a.fun.tolist() == b.fun.tolist()
    assert (a.nfev, a.nit, a.message, a.failures) == (b.nfev, b.nit, b.message, b.failures)


@pytest.mark.parametrize(
    "problem",
    [
        {"bounds": BOX, "max_evals": 240, "population": 40},  # models up to 200, then the swarm
        {"bounds": [(-5.0, 5.0)] * 21, "max_evals": 40},
        {"bounds": BOX, "max_evals": 60, "constraints": lambda x: 1 - x[0]},
        {"bounds": [(-2, 2)] * 2, "max_evals": 60, "integrality": [True, True]},  # 25 points in all
        {"bounds": BOX, "max_evals": 60, "recipe": "constriction", "x0": [[1, 1], [2, 2]]},
    ],
    ids=["models", "swarm", "constraints", "integers", "recipe"],
)
def test_a_study_saved_at_each_step_finds_what_minimize_multi_finds(problem, tmp_path):
    expected = pso.minimize_multi(both, seed=3, **problem)
    path = tmp_path / "study.npz"
    found = told(lambda: pso.MultiStudy(seed=3, **problem), lambda trial: both(trial.x), path)
    same(found, expected)
    assert len(found.x) > 3


def test_parameters_have_names():
    expected = pso.minimize_multi(named, space=SPACE, max_evals=40, seed=1)
    study = pso.MultiStudy(space=SPACE, max_evals=40, seed=1)
    found = told(lambda: study, lambda trial: named(**trial.params))
    same(found, expected)
    assert found.params == expected.params


def test_trials_are_numbered_and_stay_until_they_are_told():
    study = pso.MultiStudy(BOX, max_evals=30, seed=0)
    first = study.ask()
    assert [trial.number for trial in first] == [*range(len(first))]
    first.clear()
    again = study.ask()
    assert again
    study.tell([both(trial.x) for trial in again])
    assert study.ask()[0].number == len(again) == study.result().nfev


@pytest.mark.parametrize("wrong", [[1.0], [[1.0, 2.0]], [["a", "b"]], [[1.0], [1.0, 2.0]]])
def test_values_of_another_shape_are_refused_and_cost_nothing(wrong):
    study = pso.MultiStudy(BOX, max_evals=30, seed=0)
    trials = study.ask()
    with pytest.raises(ValueError, match=rf"tell: .*\({len(trials)}, 2\)"):
        study.tell(wrong)
    study.tell([both(trial.x) for trial in trials])
    assert study.result().nfev == len(trials)


def test_values_without_points_are_refused():
    with pytest.raises(ValueError, match="ask"):
        pso.MultiStudy(BOX, seed=0).tell([[1.0, 2.0]])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda study: pickle.loads(pickle.dumps(study))])
def test_a_copied_or_pickled_study_goes_on_as_the_first(copied):
    study = pso.MultiStudy(BOX, max_evals=50, seed=1)
    while trials := study.ask():
        other = copied(study)
        study.tell([both(trial.x) for trial in trials])
        other.tell([both(trial.x) for trial in trials])
        assert [t.x.tolist() for t in other.ask()] == [t.x.tolist() for t in study.ask()]
    same(study.result(), other.result())


def test_another_studys_file_is_refused(tmp_path):
    path = tmp_path / "study.npz"
    pso.MultiStudy(BOX, max_evals=30, seed=0).save(path)
    with pytest.raises(ValueError, match="another"):
        pso.MultiStudy(BOX, n_objectives=3, max_evals=30, seed=0).load(path)
