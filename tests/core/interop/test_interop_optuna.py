"""SwarmSampler: optuna's distributions, trials side by side, failed trials, another search
space.
"""

from __future__ import annotations

import math
import pickle
import sys

import pytest

optuna = pytest.importorskip("optuna")
from pyswarmopt.interop.optuna import SwarmSampler  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")


def everything(trial):
    x = trial.suggest_float("x", -5, 5)
    lr = trial.suggest_float("lr", 1e-5, 1, log=True)
    step = trial.suggest_float("step", 0.5, 2.0, step=0.25)
    n = trial.suggest_int("n", 1, 9, step=2)
    units = trial.suggest_int("units", 1, 512, log=True)
    opt = trial.suggest_categorical("opt", ["adam", "sgd"])
    assert step in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    assert n in (1, 3, 5, 7, 9) and isinstance(units, int)
    reals = (x - 1) ** 2 + (math.log10(lr) + 2) ** 2 + abs(step - 1)
    return reals + abs(n - 7) + math.log(units) + (opt == "sgd")


def run(sampler, objective=everything, n_trials=150, **kwargs):
    study = optuna.create_study(sampler=sampler, direction=kwargs.pop("direction", "minimize"))
    study.optimize(objective, n_trials=n_trials, **kwargs)
    return study


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_every_kind_of_parameter_is_searched_better_than_at_random(direction, sign):
    def searched(sampler):
        return run(sampler, lambda trial: sign * everything(trial), direction=direction)

    ours, random = searched(SwarmSampler(seed=0)), searched(optuna.samplers.RandomSampler(seed=0))
    assert sign * ours.best_value < sign * random.best_value
    again = searched(SwarmSampler(seed=0))
    assert [t.value for t in again.trials] == [t.value for t in ours.trials]


def test_trials_may_run_side_by_side_and_fail():
    def objective(trial):
        x = trial.suggest_float("x", -9, 9)
        if x < -5:
            raise RuntimeError("no")
        return (x - 2) ** 2

    study = run(SwarmSampler(seed=2), objective, 80, n_jobs=1, catch=RuntimeError)
    assert study.best_value < 0.01

    study = optuna.create_study(sampler=SwarmSampler(seed=3, population=4))
    study.optimize(lambda t: t.suggest_float("x", -9, 9) ** 2, n_trials=1)
    trials = [study.ask() for _ in range(6)]  # two more than there are particles
    asked = [trial.suggest_float("x", -9, 9) for trial in trials]
    for trial, x in reversed(list(zip(trials, asked, strict=True))):
        study.tell(trial, x**2)
    study.optimize(lambda t: t.suggest_float("x", -9, 9) ** 2, n_trials=60)
    assert len(study.trials) == 67 and study.best_value < 0.01


def test_a_study_that_is_loaded_again_repeats_nothing_and_goes_on_from_its_best():
    """A new sampler of the same seed, as a script makes it that is started once more."""
    study = run(SwarmSampler(seed=0), n_trials=30)
    study.enqueue_trial({"x": 99.0})  # outside
    study.optimize(everything, n_trials=1)
    best = study.best_value
    study.sampler = SwarmSampler(seed=0)
    study.optimize(everything, n_trials=30)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 61
    assert study.best_value < best


def test_parameters_that_only_some_trials_have_are_left_to_chance():
    def objective(trial):
        kind = trial.suggest_categorical("kind", ["a", "b"])
        extra = trial.suggest_float("extra", 0, 1) if kind == "b" else 0.0
        return trial.suggest_float("x", -5, 5) ** 2 + extra

    assert run(SwarmSampler(seed=0), objective, 80).best_value < 0.05


def test_several_objectives_are_refused():
    study = optuna.create_study(sampler=SwarmSampler(), directions=["minimize", "minimize"])
    with pytest.raises(ValueError, match="one objective"):
        study.optimize(lambda t: (t.suggest_float("x", 0, 1), 1.0), n_trials=3)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.7), (0.0, 0.3)])
def test_the_top_of_a_grid_is_what_the_swarm_proposes(low, high):
    """Where `low + n * step` rounds to more than `high`, optuna draws a value of its own instead."""
    told = []

    class Watched(SwarmSampler):
        def sample_relative(self, study, trial, search_space):
            proposed = super().sample_relative(study, trial, search_space)
            told.append((trial.number, proposed))
            return proposed

    study = run(Watched(seed=0), lambda t: t.suggest_float("x", low, high, step=0.1), 25,
                direction="maximize")  # fmt: skip
    used = [study.trials[number].params for number, proposed in told if proposed]
    assert used == [proposed for _, proposed in told if proposed] and {"x": high} in used


def test_trials_of_several_threads_are_told_once_each():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    try:
        for seed in range(4):
            study = run(
                SwarmSampler(seed=seed, population=20),
                lambda t: sum(t.suggest_float(f"x{i}", -5, 5) ** 2 for i in range(10)),
                40, n_jobs=4,
            )  # fmt: skip
            assert len(study.trials) == 40
    finally:
        sys.setswitchinterval(before)


def test_a_sampler_goes_through_pickle_with_its_swarm():
    study = run(SwarmSampler(seed=0), n_trials=20)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(everything, n_trials=20)
    straight = run(SwarmSampler(seed=0), n_trials=40)
    assert [t.value for t in study.trials] == [t.value for t in straight.trials]


def test_one_sampler_may_serve_several_studies():
    """Each has its own swarm: the first one's costs lie far below all of the second's."""
    sampler = SwarmSampler(seed=0)
    run(sampler, lambda t: (t.suggest_float("x", -5, 5) - 1) ** 2, 40)
    second = run(sampler, lambda t: (t.suggest_float("x", -5, 5) + 4) ** 2 + 100, 40)
    assert second.best_value < 100.01
    third = run(sampler, lambda t: -((t.suggest_float("x", -5, 5) - 3) ** 2), 40,
                direction="maximize")  # fmt: skip
    assert third.best_value > -0.01
