"""`Study`: asked for points and told their values, by anybody, in any order, across restarts."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from swarm_runs import bowl

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 2
SPACE = {"width": (1.0, 9.0), "teeth": pso.integer(2, 9), "metal": ["steel", "brass"]}


def weight(width, teeth, metal):
    return width * teeth * (1.0 if metal == "steel" else 1.3)


def strong(width, teeth):
    return 20 - width * teeth**1.2


def finish(study, fun):
    while not study.stop():
        trial = study.ask()
        study.tell(trial, fun(trial))
    return study.result()


@pytest.mark.parametrize(
    ("options", "fun"),
    [
        ({"bounds": BOX}, lambda t: bowl(t.x)),
        ({"space": SPACE}, lambda t: weight(**t.params)),
        ({"space": SPACE, "constraints": strong}, lambda t: weight(**t.params)),
        ({"bounds": BOX, "recipe": "constriction"}, lambda t: bowl(t.x)),
    ],
)
def test_a_study_finds_what_minimize_finds(options, fun):
    """The same points but for the last one, which `minimize` calls again."""
    told = finish(pso.Study(max_evals=49, seed=0, **options), fun)
    named = "space" in options
    r = pso.minimize((lambda p: weight(**p)) if named else bowl, max_evals=49, seed=0, **options)
    assert (told.fun, told.x.tolist(), told.nfev) == (r.fun, r.x.tolist(), r.nfev)


def test_values_may_come_in_any_order():
    study = pso.Study(space=SPACE, constraints=strong, seed=0, max_evals=90)
    while not study.stop():
        trials = [trial for trial in (study.ask() for _ in range(4)) if trial is not None]
        assert len({tuple(trial.params.values()) for trial in trials}) == len(trials)
        for trial in reversed(trials):
            study.tell(trial, weight(**trial.params))
    r = study.result()
    assert r.feasible
    assert r.fun < 20


def test_a_named_recipe_hands_out_its_round_and_waits_for_the_rest():
    study, swarm = (
        pso.Study(BOX, "fips", 5, seed=0),
        pso.Swarm(bounds=BOX, recipe="fips", population=5, seed=0),
    )
    for _ in range(4):
        trials = [study.ask() for _ in range(6)]
        assert trials.pop() is None
        x = swarm.ask()
        assert np.array([trial.x for trial in trials]).tolist() == x.tolist()
        for trial in reversed(trials):
            study.tell(trial, bowl(trial.x))
        swarm.tell(x, [bowl(row) for row in x])
    assert study.result().fun == swarm.best.value and study.result().nfev == 20


@pytest.mark.parametrize("population", [4, None])
@pytest.mark.parametrize("dim", [3, 6, 7])
def test_four_pending_are_the_proposals_of_a_population_of_four(dim, population):
    """While a model proposes, whether the first points are whole rounds or not. Without a
    population, the number of trials that are pending at the first value is it.
    """
    box = [(-5.0, 5.0)] * dim
    called = []
    pso.minimize(
        lambda x: called.append(x.tolist()) or bowl(x), box, population=4, max_evals=32, seed=2
    )
    study = pso.Study(box, population=population, max_evals=32, seed=2)
    asked = []
    while not study.stop():
        trials = [study.ask() for _ in range(4)]
        asked += [trial.x.tolist() for trial in trials]
        for trial in trials:
            study.tell(trial, bowl(trial.x))
    np.testing.assert_allclose(asked[: 5 * dim], called[: 5 * dim], rtol=1e-6)


def test_points_that_were_not_asked_for_count():
    study = pso.Study(BOX, seed=0)
    study.tell([4.0, 3.0], 25.0)
    study.tell(np.array([0.0, 0.1]), 0.01)
    study.tell([1.0, 1.0], None)
    r = study.result()
    assert (r.fun, r.x.tolist(), r.nfev, r.status) == (0.01, [0.0, 0.1], 3, "running")
    assert r.failures == {"nan": 1}


def test_a_point_that_was_told_is_not_asked_for():
    study = pso.Study(space={"a": [1, 2, 3]}, seed=0, max_evals=9)
    study.tell({"a": 2}, 5.0)
    asked = []
    while trial := study.ask():
        asked.append(trial.params["a"])
        study.tell(trial, float(trial.params["a"]))
    assert sorted(asked) == [1, 3]
    assert study.result().status == "exhausted"


def test_a_saved_study_goes_on_as_if_nothing_had_happened(tmp_path):
    def made():
        return pso.Study(space=SPACE, constraints=strong, seed=0, max_evals=40)

    study = made()
    for _ in range(15):
        trial = study.ask()
        study.tell(trial, weight(**trial.params))
    pending = study.ask()
    study.save(tmp_path / "study.npz")
    other = made().load(tmp_path / "study.npz")
    assert other.result().nfev == 15
    again = other.ask()
    assert (again.number, again.params) == (pending.number, pending.params)
    for each, trial in (study, pending), (other, again):
        each.tell(trial, weight(**trial.params))
    ends = [finish(each, lambda t: weight(**t.params)) for each in (study, other)]
    assert ends[0].x.tolist() == ends[1].x.tolist()
    assert len(ends[0].history) == len(ends[1].history) > 0


def test_returned_constraints_are_told_with_the_value():
    study = pso.Study(BOX, constraints="returned", seed=0, max_evals=80)
    while not study.stop():
        trial = study.ask()
        study.tell(trial, bowl(trial.x), trial.x.sum() - 1)
    assert study.result().fun == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("tell", "says"),
    [
        (lambda s, t: (s.tell(t, 1.0), s.tell(t, 1.0)), "trial 0 was already told"),
        (lambda s, t: s.tell([1.0], 1.0), r"a point must have shape \(2,\)"),
        (lambda s, t: s.tell([1.0, 9.0], 1.0), r"point\[0\]\[1\] = 9.0 is not within"),
        (lambda s, t: s.tell(t, 1.0, [0.0]), "constraints='returned'"),
        (lambda s, t: s.tell(t, "good"), "number"),
    ],
)
def test_what_cannot_be_told_is_refused(tell, says):
    study = pso.Study(BOX, seed=0)
    with pytest.raises(ValueError, match=says):
        tell(study, study.ask())


@pytest.mark.parametrize(
    "options",
    [
        {"bounds": BOX, "max_evals": 70},
        {"space": SPACE, "constraints": strong, "max_evals": 40},
        {"bounds": BOX, "recipe": "constriction", "max_evals": 70},
    ],
)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda study: pickle.loads(pickle.dumps(study))])
def test_a_copied_or_pickled_study_goes_on_as_the_first(options, copied):
    """With a pending trial, which either is told."""

    def value(trial):
        return bowl(trial.x) if trial.params is None else weight(**trial.params)

    study = pso.Study(seed=0, **options)
    asked = study.ask()
    while asked is not None:
        other = copied(study)
        study.tell(asked, value(asked))
        assert other.result().nfev == study.result().nfev - 1
        other.tell(asked, value(asked))
        asked = study.ask()
        same = other.ask()
        assert (asked is None) == (same is None)
        assert asked is None or (asked.number, *asked.x) == (same.number, *same.x)
    assert study.stop() == other.stop() and "max_evals" in study.stop()
