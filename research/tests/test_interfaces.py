"""The contributions to other projects, run through those projects' own interfaces."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "interfaces"


def loaded(path: str) -> ModuleType:
    """A file of the folder as a module."""
    spec = importlib.util.spec_from_file_location(f"sent_{Path(path).stem}", FOLDER / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_the_sampler_is_loaded_as_a_package_of_the_registry() -> None:
    optuna = pytest.importorskip("optuna", reason="needs optuna")
    hub = pytest.importorskip("optunahub", reason="needs optunahub")
    root = FOLDER / "optunahub" / "package"
    module = hub.load_local_module("samplers/swarm_sampler", registry_root=str(root))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=module.SwarmSampler(seed=0))
    study.optimize(lambda trial: (trial.suggest_float("x", -9, 9) - 2) ** 2, n_trials=20)
    assert study.best_value < 0.1


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "example.py"])
def test_the_package_has_the_registrys_files(name: str) -> None:
    assert (FOLDER / "optunahub/package/samplers/swarm_sampler" / name).is_file()


# ---- optimagic ----


@pytest.fixture
def optimagic() -> Any:
    return pytest.importorskip("optimagic", reason="needs optimagic")


def minimum(optimagic: Any, fun: Any, **options: Any) -> Any:
    """What optimagic finds from (-3, 3) in the box of side 10."""
    algorithm = loaded("optimagic/pyswarmopt_optimizer.py").PySwarmOpt
    chosen = {name: options.pop(name) for name in ("recipe", "n_cores") if name in options}
    return optimagic.minimize(
        fun=fun,
        params=np.array([-3.0, 3.0]),
        bounds=optimagic.Bounds(lower=np.full(2, -5.0), upper=np.full(2, 5.0)),
        algorithm=algorithm(stopping_maxfun=600, seed=0, **chosen),
        **options,
    )


@pytest.mark.parametrize("recipe", [None, "constriction"])
def test_optimagic_runs_the_search(optimagic: Any, recipe: str | None) -> None:
    found = minimum(optimagic, lambda x: float((x - [1, 2]) @ (x - [1, 2])), recipe=recipe)
    np.testing.assert_allclose(found.params, [1, 2], atol=0.1)
    assert found.n_fun_evals <= 600


def test_optimagics_constraints_are_met(optimagic: Any) -> None:
    constraint = optimagic.NonlinearConstraint(
        func=lambda x: x[0] + x[1], selector=lambda x: x, lower_bound=5.0
    )
    found = minimum(optimagic, lambda x: float(x @ x), constraints=[constraint])
    np.testing.assert_allclose(found.params, [2.5, 2.5], atol=1e-3)


# ---- CARP-S ----


def task(calls: int, objectives: int = 1) -> Any:
    """A bowl with all kinds of parameters, one of which depends on another."""
    pytest.importorskip("carps", reason="needs carps")
    spaces = pytest.importorskip("ConfigSpace", reason="needs ConfigSpace")
    from carps.objective_functions.objective_function import ObjectiveFunction
    from carps.utils import task as tasks
    from carps.utils.trials import TrialValue

    space = spaces.ConfigurationSpace()
    kind = spaces.Categorical("kind", ["adam", "sgd"])
    momentum = spaces.Float("momentum", (0.0, 1.0))
    space.add(
        spaces.Float("rate", (1e-5, 1.0), log=True),
        spaces.Integer("layers", (1, 8)),
        spaces.Categorical("width", [16, 64, 256], ordered=True),
        spaces.Constant("data", "digits"),
        kind,
        momentum,
        spaces.EqualsCondition(momentum, kind, "sgd"),
    )

    class Bowl(ObjectiveFunction):
        @property
        def configspace(self) -> Any:
            return space

        def _evaluate(self, trial_info: Any) -> Any:
            p = dict(trial_info.config)
            cost = (np.log10(p["rate"]) + 2) ** 2 + (p["layers"] - 3) ** 2 + (p["width"] != 64)
            cost += abs(p.get("momentum", 0.0) - 0.9)
            return TrialValue(cost=float(cost) if objectives == 1 else [float(cost), p["rate"]])

    return tasks.Task(
        name="bowl",
        objective_function=Bowl(),
        input_space=tasks.InputSpace(configuration_space=space),
        output_space=tasks.OutputSpace(n_objectives=objectives, objectives=("a", "b")[:objectives]),
        optimization_resources=tasks.OptimizationResources(n_trials=calls),
        metadata=tasks.TaskMetadata(),
    )


def test_carps_runs_the_search() -> None:
    given = task(60)
    optimizer = loaded("carps/pyswarmopt_carps.py").PySwarmOptOptimizer(given, seed=0)
    info, value = optimizer.run()
    assert value.cost < 0.3
    assert dict(info.config)["kind"] == "sgd"
    assert len(optimizer.history) == given.objective_function.n_function_calls == 60


def test_carps_gets_a_front() -> None:
    given = task(30, objectives=2)
    optimizer = loaded("carps/pyswarmopt_carps.py").PySwarmOptOptimizer(given, seed=0)
    front = np.array([value.cost for _, value in optimizer.run()])
    front = front[front[:, 0].argsort()]
    assert (np.diff(front[:, 1]) <= 0).all()
