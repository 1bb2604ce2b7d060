"""SwarmSampler: optuna's distributions, other ranges, failed and parallel trials, other studies."""

from __future__ import annotations

import math
import warnings

import pytest

optuna = pytest.importorskip("optuna")
from pyswarmopt.interop.optuna import SwarmSampler  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")


def everything(trial):
    x = trial.suggest_float("x", -5, 5)
    lr = trial.suggest_float("lr", 1e-5, 1, log=True)
    step = trial.suggest_float("step", 0.1, 0.7, step=0.1)
    n = trial.suggest_int("n", 1, 9, step=2)
    units = trial.suggest_int("units", 1, 512, log=True)
    opt = trial.suggest_categorical("opt", ["adam", "sgd"])
    reals = (x - 1) ** 2 + (math.log10(lr) + 2) ** 2 + abs(step - 0.7)
    return reals + abs(n - 7) + math.log(units) + (opt == "sgd")


def run(sampler, objective=everything, n_trials=60, direction="minimize", **options):
    study = optuna.create_study(sampler=sampler, direction=direction)
    study.optimize(objective, n_trials=n_trials, **options)
    return study


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_every_kind_of_parameter_is_searched_better_than_at_random(direction, sign):
    def searched(sampler):
        return run(sampler, lambda trial: sign * everything(trial), direction=direction)

    ours, random = searched(SwarmSampler(seed=0)), searched(optuna.samplers.RandomSampler(seed=0))
    assert sign * ours.best_value < sign * random.best_value
    again = searched(SwarmSampler(seed=0))
    assert [t.value for t in again.trials] == [t.value for t in ours.trials]


def test_the_ranges_of_the_latest_trials_are_searched():
    """It drew at random for good once a range had changed."""
    study = run(SwarmSampler(seed=0), lambda t: (t.suggest_float("x", -1, 1) - 3) ** 2, 20)
    study.optimize(lambda t: (t.suggest_float("x", -5, 5) - 3) ** 2, n_trials=40)
    assert study.best_value < 1e-6


def test_trials_may_run_side_by_side_and_fail():
    def objective(trial):
        x = trial.suggest_float("x", -9, 9)
        if x < -5:
            raise RuntimeError("no")
        trial.report(-9.0, 0)
        if x > 5:
            raise optuna.TrialPruned
        return (x - 2) ** 2

    study = run(SwarmSampler(seed=0), objective, 60, catch=RuntimeError)
    assert study.best_value < 0.01
    trials = [study.ask() for _ in range(6)]
    asked = [trial.suggest_float("x", -9, 9) for trial in trials]
    for trial, x in reversed(list(zip(trials, asked, strict=True))):
        study.tell(trial, (x - 2) ** 2)
    assert len(study.trials) == 66


def test_a_study_loaded_again_goes_on_and_another_study_starts_anew():
    sampler = SwarmSampler(seed=0)
    study = run(sampler, n_trials=30)
    study.enqueue_trial({"x": 99.0})  # outside
    study.optimize(everything, n_trials=1)
    best = study.best_value
    study.sampler = SwarmSampler(seed=0)
    study.optimize(everything, n_trials=30)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 61
    assert study.best_value < best
    other = run(sampler, lambda t: (t.suggest_float("x", -5, 5) + 4) ** 2 + 100, 40)
    assert other.best_value < 100.01


def tree(trial):
    """The left branch is the better one at most points, the right one at its optimum."""
    if trial.suggest_categorical("kind", ["left", "right", "leaf"]) == "left":
        return (trial.suggest_float("a", -5, 5) - 2.2) ** 2 + 0.5
    if trial.params["kind"] == "leaf":
        return 9.0
    return (trial.suggest_float("b", -5, 5) + 1.4) ** 2 + (trial.suggest_float("c", -5, 5) - 3) ** 2


def layers(trial):
    count = trial.suggest_int("count", 1, 3)
    weights = [trial.suggest_float(f"w{i}", -3, 3) for i in range(count)]
    return sum((w - i) ** 2 for i, w in enumerate(weights)) + 2 * (3 - count)


def beyond(trial):
    """What decides is a real number."""
    x = trial.suggest_float("x", 0, 10)
    return (x - 6) ** 2 + ((trial.suggest_float("y", 0, 10) - 3) ** 2 if x > 5 else 4.0)


@pytest.mark.parametrize("objective", [tree, layers, beyond])
def test_parameters_under_one_choice_are_searched(objective):
    """They were drawn at random, two times worse than a random sampler's."""
    ours = run(SwarmSampler(seed=1), objective, 90)
    random = run(optuna.samplers.RandomSampler(seed=1), objective, 300)
    assert ours.best_value < 0.01 * random.best_value
    branches = {frozenset(trial.params) for trial in ours.trials[-15:]}
    assert len(branches) > 1  # it still tries the others


def test_a_space_that_gains_a_parameter_leaves_its_old_branch():
    study = run(SwarmSampler(seed=0), lambda t: (t.suggest_float("x", -5, 5) - 3) ** 2 - 1, 20)
    study.optimize(
        lambda t: (t.suggest_float("x", -5, 5) - 3) ** 2 + t.suggest_float("y", -5, 5) ** 2,
        n_trials=50,
    )
    assert min(trial.value for trial in study.trials[20:]) < 1e-6


@pytest.mark.filterwarnings("default")
def test_a_range_that_changes_in_every_trial_is_said_once():
    def objective(trial):
        x = trial.suggest_float("x", 0, 10)
        return (x - 6) ** 2 + (trial.suggest_float("z", 0, x + 0.1) - 4) ** 2

    with pytest.warns(UserWarning, match="SwarmSampler draws 'z' at random") as said:
        run(SwarmSampler(seed=0), objective, 15)
    assert sum("SwarmSampler" in str(each.message) for each in said) == 1


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "said"), [("x", True), ("kind", False)])
def test_a_parameter_that_appears_outside_the_searched_space_is_said_once(name, said):
    """A real number that decides whether another exists cannot be narrowed; a label can."""

    def objective(trial):
        x = trial.suggest_float("x", 0, 10)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        exists = x * 1000 % 1 > 0.5 if name == "x" else kind == "a"
        return abs(x - 5) + (trial.suggest_float("z", 1, 2) if exists else 0.5)

    study = optuna.create_study(sampler=SwarmSampler(seed=0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study.optimize(objective, n_trials=60)
    found = [str(w.message) for w in caught if "at random" in str(w.message)]
    assert [message[:35] for message in found] == ["SwarmSampler draws 'z' at random, b"] * said


def test_several_objectives_are_refused():
    study = optuna.create_study(sampler=SwarmSampler(), directions=["minimize", "minimize"])
    with pytest.raises(ValueError, match="one objective"):
        study.optimize(lambda t: (t.suggest_float("x", 0, 1), 1.0), n_trials=3)
