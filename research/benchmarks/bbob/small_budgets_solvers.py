"""The solvers of `small_budgets.py`, each with its package's defaults.

`solver(fun, problem, budget, seed)` spends a budget and returns the values that it recommends, or
None for the best that it saw. One that knows only boxes gets the unit box. fun raises `Spent` after
its last call; a solver that ends earlier starts again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from small_budgets_problems import Problem, Range

Objective = Callable[[list[Any]], float]


def on_unit_box(fun: Objective, problem: Problem) -> Callable[[Any], float]:
    return lambda u: fun(
        [r.at(float(share)) for r, share in zip(problem.space, np.clip(u, 0, 1), strict=True)]
    )


def ours(fun: Objective, problem: Problem, budget: int, seed: int, **options: Any) -> list[Any]:
    import pyswarmopt as pso

    def parameter(r: Range) -> Any:
        if r.options:
            return list(r.options)
        if r.whole:
            return pso.integer(int(r.low), int(r.high), r.log)
        return pso.log(r.low, r.high) if r.log else (r.low, r.high)

    names = [f"x{i}" for i in range(len(problem.space))]
    space = {name: parameter(r) for name, r in zip(names, problem.space, strict=True)}

    def on_dict(params: dict[str, Any]) -> float:
        return fun([params[name] for name in names])

    found = pso.minimize(on_dict, space=space, max_evals=budget, seed=seed, **options)
    return [found.params[name] for name in names]


def random_search(fun: Objective, problem: Problem, budget: int, seed: int) -> None:
    random, on_box = np.random.default_rng(seed), on_unit_box(fun, problem)
    while True:
        on_box(random.random(len(problem.space)))


def scipy_de(fun: Objective, problem: Problem, budget: int, seed: int) -> None:
    from scipy.optimize import differential_evolution

    differential_evolution(on_unit_box(fun, problem), [(0, 1)] * len(problem.space), rng=seed)


def dual_annealing(fun: Objective, problem: Problem, budget: int, seed: int) -> None:
    from scipy.optimize import dual_annealing

    dual_annealing(on_unit_box(fun, problem), [(0, 1)] * len(problem.space), rng=seed)


def lq_cma_es(fun: Objective, problem: Problem, budget: int, seed: int) -> None:
    import cma

    x0 = np.random.default_rng(seed).random(len(problem.space))
    options = {
        "bounds": [0, 1],
        "maxfevals": budget,
        "seed": seed + 1,
        "verbose": -9,
        "verb_log": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cma.fmin_lq_surr2(on_unit_box(fun, problem), x0, 0.25, options=options)


def cma_es(fun: Objective, problem: Problem, budget: int, seed: int) -> None:
    import cma

    x0 = np.random.default_rng(seed).random(len(problem.space))
    options = {"bounds": [0, 1], "maxfevals": budget, "seed": seed + 1, "verbose": -9}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cma.fmin2(on_unit_box(fun, problem), x0, 0.25, options, bipop=True, restarts=9)


def catcma(fun: Objective, problem: Problem, budget: int, seed: int) -> None:
    """CatCMA with Margin (Hamano et al. 2025): real numbers, whole ones and options, each kind in a
    list of its own; of a whole number on a logarithmic scale it sees the logarithm.
    """
    from cmaes import CatCMAwM

    kinds = ["c" if r.options else "z" if r.whole else "x" for r in problem.space]
    whole = [steps(r) for r in problem.space if r.whole]
    options = [len(r.options) for r in problem.space if r.options]
    real = [[0.0, 1.0]] * kinds.count("x")
    optimizer = CatCMAwM(real or None, whole or None, options or None, seed=seed + 1)

    def value(solution: Any) -> float:
        # a kind that the space lacks is None
        parts = {"x": solution.x, "z": solution.z, "c": solution.c}
        next_of = {kind: iter(part) for kind, part in parts.items() if part is not None}
        values = []
        for kind, r in zip(kinds, problem.space, strict=True):
            drawn = next(next_of[kind])
            as_option = {"c": lambda d, r=r: r.options[int(np.argmax(d))],
                         "z": lambda d, r=r: int(np.rint(np.exp(d) if r.log else d)),
                         "x": lambda d, r=r: r.at(float(d))}  # fmt: skip
            values.append(as_option[kind](drawn))
        return fun(values)

    while not optimizer.should_stop():
        asked = [optimizer.ask() for _ in range(optimizer.population_size)]
        optimizer.tell([(solution, value(solution)) for solution in asked])


def steps(r: Range) -> list[float]:
    """Where on its scale the numbers of a whole range lie."""
    numbers = np.arange(int(r.low), int(r.high) + 1)
    return (np.log(numbers) if r.log else numbers).tolist()


def ngopt(fun: Objective, problem: Problem, budget: int, seed: int) -> list[Any]:
    from pyswarmopt.interop.nevergrad import ng  # with what NumPy 2.4 needs

    def parameter(r: Range) -> Any:
        if r.options:
            return ng.p.Choice(list(r.options))
        scalar = (
            ng.p.Log(lower=r.low, upper=r.high) if r.log else ng.p.Scalar(lower=r.low, upper=r.high)
        )
        return scalar.set_integer_casting() if r.whole else scalar

    space = ng.p.Tuple(*map(parameter, problem.space))
    space.random_state.seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = ng.optimizers.NGOpt(parametrization=space, budget=budget)
        for _ in range(budget):
            candidate = optimizer.ask()
            optimizer.tell(candidate, fun(list(candidate.value)))
        return list(optimizer.provide_recommendation().value)


def optuna(
    fun: Objective, problem: Problem, budget: int, seed: int, sampler: str = "TPESampler"
) -> None:
    import optuna

    def objective(trial: optuna.Trial) -> float:
        values = []
        for i, r in enumerate(problem.space):
            if r.options:
                values.append(trial.suggest_categorical(f"x{i}", r.options))
            elif r.whole:
                values.append(trial.suggest_int(f"x{i}", int(r.low), int(r.high), log=r.log))
            else:
                values.append(trial.suggest_float(f"x{i}", r.low, r.high, log=r.log))
        return fun(values)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = getattr(optuna.samplers, sampler)
        optuna.create_study(sampler=kind(seed=seed)).optimize(objective, n_trials=budget)


def smac(fun: Objective, problem: Problem, budget: int, seed: int) -> None:
    """With a Gaussian process where all parameters are real numbers, else with its random
    forest.
    """
    import tempfile

    from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
    from smac import BlackBoxFacade, HyperparameterOptimizationFacade, Scenario

    def parameter(name: str, r: Range) -> Any:
        if r.options:
            return Categorical(name, list(range(len(r.options))))
        return (Integer if r.whole else Float)(name, (r.low, r.high), log=r.log)

    names = [f"x{i}" for i in range(len(problem.space))]
    space = ConfigurationSpace(seed=seed)
    space.add([parameter(name, r) for name, r in zip(names, problem.space, strict=True)])

    def on_configuration(config: Any, seed: int = 0) -> float:
        chosen = zip((config[name] for name in names), problem.space, strict=True)
        return fun([r.options[int(value)] if r.options else value for value, r in chosen])

    whole = any(r.options or r.whole for r in problem.space)
    facade = HyperparameterOptimizationFacade if whole else BlackBoxFacade
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scenario = Scenario(
            space, deterministic=True, n_trials=budget, seed=seed, output_directory=Path(folder)
        )
        facade(scenario, on_configuration, overwrite=True, logging_level=False).optimize()


PEERS: dict[str, Callable[..., Any]] = {
    "random": random_search,
    "scipy-de": scipy_de,
    "dual-annealing": dual_annealing,
    "lq-cma-es": lq_cma_es,
    "cma-es": cma_es,
    "catcma": catcma,
    "optuna-tpe": optuna,
    "ngopt": ngopt,
    "optuna-gp": lambda *a: optuna(*a, sampler="GPSampler"),
    "smac": smac,
}
PACKAGES = {
    "pyswarmopt": "pyswarmopt",
    "random": "numpy",
    "scipy-de": "scipy",
    "dual-annealing": "scipy",
    "lq-cma-es": "cma",
    "cma-es": "cma",
    "catcma": "cmaes",
    "optuna-tpe": "optuna",
    "ngopt": "nevergrad",
    "optuna-gp": "optuna",
    "smac": "smac",
}
KNOW_THEIR_BUDGET = ("ngopt", "pyswarmopt", "smac")  # the others are run once, with the largest one


def package(name: str) -> str:
    """The package of a solver, with its version: "optuna 5.0.0"."""
    made_by = PACKAGES[name.partition(":")[0]]
    return f"{made_by} {version(made_by)}"


def find(name: str) -> Callable[..., Any]:
    """A peer, `pyswarmopt` (the default) or `pyswarmopt:RECIPE`.

    Raises:
        ValueError: no such solver.
    """
    if name in PEERS:
        return PEERS[name]
    package, _, recipe = name.partition(":")
    if package != "pyswarmopt":
        raise ValueError(
            f"no solver is called {name!r}; there are {', '.join(PEERS)}, pyswarmopt[:RECIPE]"
        )
    return lambda *a: ours(*a, recipe=recipe or None)
