"""Fifty trials of a mixed space."""

import optuna
import optunahub


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -5, 5)
    layers = trial.suggest_int("layers", 1, 8)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return (x - 2) ** 2 + (layers - 3) ** 2 + (kind == "b")


if __name__ == "__main__":
    module = optunahub.load_module("samplers/swarm_sampler")
    study = optuna.create_study(sampler=module.SwarmSampler(seed=0))
    study.optimize(objective, n_trials=50)
    print(study.best_trial.value, study.best_trial.params)
