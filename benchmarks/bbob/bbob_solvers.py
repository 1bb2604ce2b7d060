"""The solvers of `bbob.py`: `solver(fun, dim, budget, seed)` minimises fun on [-5, 5]^D with its
package's defaults.

fun takes a (D,) float array, returns a float, and raises `Done` once the budget is used or the last
target is hit. A solver that returns earlier is started again with another seed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from bbob_problems import HIGH, LOW, Floats

Objective = Callable[[Floats], float]
Solver = Callable[[Objective, int, int, int], None]

APART = 7919  # of the seeds of two starts
SWARM = 40  # particles, where the package has no default of its own


class Done(Exception):
    """Nothing is left to find, or no evaluation is left."""


def restarted(
    solver: Solver, fun: Objective, dim: int, left: Callable[[], int], seed: int, apart: int = APART
) -> int:
    """Run a solver, and again with another seed where it returns early; the number of starts.

    `left()` is how many evaluations it still has, 0 when nothing is left to find. fun raises `Done`
    then.

    Raises:
        RuntimeError: it returned without an evaluation.
    """
    starts = 0
    while before := left():
        with contextlib.suppress(Done):
            solver(fun, dim, before, seed + apart * starts)
        starts += 1
        if left() == before:
            raise RuntimeError("a solver returned without an evaluation")
    return starts


def ours(fun: Objective, dim: int, budget: int, seed: int, recipe: str | None = None) -> None:
    import pyswarmopt

    pyswarmopt.minimize(
        fun, [(LOW, HIGH)] * dim, recipe=recipe, max_evals=budget, seed=seed, vectorized=False
    )


def anywhere(fun: Objective, dim: int, budget: int, seed: int) -> None:
    """The default search, but from a random point in the place of the middle of the box."""
    import pyswarmopt

    x0 = np.random.default_rng(seed).uniform(LOW, HIGH, dim)
    pyswarmopt.minimize(
        fun, [(LOW, HIGH)] * dim, x0=x0, max_evals=budget, seed=seed, vectorized=False
    )


def random_search(fun: Objective, dim: int, budget: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(budget):
        fun(random.uniform(LOW, HIGH, dim))


def pycma_bipop(fun: Objective, dim: int, budget: int, seed: int) -> None:
    import cma

    random = np.random.default_rng(seed)
    options = {
        "bounds": [LOW, HIGH],
        "maxfevals": budget,
        "seed": seed + 1,
        "verbose": -9,
        "verb_log": 0,
    }
    cma.fmin2(
        fun, lambda: random.uniform(LOW, HIGH, dim), 2.0, restarts=30, bipop=True, options=options
    )


def pycma_lq(fun: Objective, dim: int, budget: int, seed: int) -> None:
    """CMA-ES with a model of second order that decides how many points are evaluated."""
    import cma

    x0 = np.random.default_rng(seed).uniform(LOW, HIGH, dim)
    options = {
        "bounds": [LOW, HIGH],
        "maxfevals": budget,
        "seed": seed + 1,
        "verbose": -9,
        "verb_log": 0,
    }
    cma.fmin_lq_surr2(fun, x0, 2.0, options=options)


def nevergrad(
    fun: Objective, dim: int, budget: int, seed: int, kind: str = "PSO", bounds: str = "arctan"
) -> None:
    """With its own default, bouncing bounds, its swarms are no better than random search at
    20-D.
    """
    import nevergrad as ng

    space = ng.p.Array(shape=(dim,)).set_bounds(LOW, HIGH, method=bounds)
    space.random_state.seed(seed)
    optimizer = ng.optimizers.registry[kind](parametrization=space, budget=budget)
    for _ in range(budget):
        candidate = optimizer.ask()
        optimizer.tell(candidate, fun(candidate.value))


def pagmo_pso(fun: Objective, dim: int, budget: int, seed: int) -> None:
    import pygmo

    class Boxed:
        def fitness(self, x: Floats) -> list[float]:
            return [fun(x)]

        def get_bounds(self) -> tuple[list[float], list[float]]:
            return [LOW] * dim, [HIGH] * dim

        def __deepcopy__(self, memo: Any) -> Any:
            return self

    swarm = pygmo.population(pygmo.problem(Boxed()), SWARM, seed=seed)
    pygmo.algorithm(pygmo.pso(gen=budget // SWARM + 1, seed=seed)).evolve(swarm)


def scipy_de(fun: Objective, dim: int, budget: int, seed: int) -> None:
    from scipy.optimize import differential_evolution

    differential_evolution(fun, [(LOW, HIGH)] * dim, rng=seed)


def dual_annealing(fun: Objective, dim: int, budget: int, seed: int) -> None:
    from scipy.optimize import dual_annealing

    dual_annealing(fun, [(LOW, HIGH)] * dim, rng=seed)


def l_bfgs_b(fun: Objective, dim: int, budget: int, seed: int) -> None:
    """From a random point, with differences."""
    from scipy.optimize import minimize

    x0 = np.random.default_rng(seed).uniform(LOW, HIGH, dim)
    minimize(fun, x0, bounds=[(LOW, HIGH)] * dim, method="L-BFGS-B")


def minion(fun: Objective, dim: int, budget: int, seed: int, kind: str = "LSHADE") -> None:
    """The winners of the CEC's competitions, told the budget."""
    import minionpy

    def batch(points: list[Any], _: object = None) -> list[float]:
        return [fun(np.array(x)) for x in points]

    box = [(LOW, HIGH)] * dim
    try:
        minionpy.Minimizer(batch, box, algo=kind, maxevals=budget, seed=seed).optimize()
    except RuntimeError as error:
        if not str(error).startswith("Done"):
            raise
        raise Done from error  # which C++ has turned into its own kind


PEERS: dict[str, Solver] = {
    "random": random_search,
    "pycma-bipop": pycma_bipop,
    "pycma-lq": pycma_lq,
    "nevergrad-pso": nevergrad,
    "nevergrad-sqopso": lambda *a: nevergrad(*a, kind="SQOPSO"),
    "pagmo-pso": pagmo_pso,
    "scipy-de": scipy_de,
    "dual-annealing": dual_annealing,
    "l-bfgs-b": l_bfgs_b,
    "nevergrad-ngopt": lambda *a: nevergrad(*a, kind="NGOpt", bounds="bouncing"),
    "l-shade": minion,
    "jso": lambda *a: minion(*a, kind="jSO"),
    "arrde": lambda *a: minion(*a, kind="ARRDE"),
    "nl-shade-rsp": lambda *a: minion(*a, kind="NLSHADE_RSP"),
    "lsrtde": lambda *a: minion(*a, kind="LSRTDE"),
    "rcmaes": lambda *a: minion(*a, kind="RCMAES"),
}

MADE_BY = {
    "numpy": "random",
    "cma": "pycma-bipop pycma-lq",
    "nevergrad": "nevergrad-pso nevergrad-sqopso nevergrad-ngopt",
    "pygmo": "pagmo-pso",
    "scipy": "scipy-de dual-annealing l-bfgs-b",
    "minionpy": "l-shade jso arrde nl-shade-rsp lsrtde rcmaes",
    "pyswarmopt": "pyswarmopt",
}


def package(name: str) -> str:
    """The package of a solver, with its version: "cma 4.5.0"."""
    solver = name.partition(":")[0]
    made_by = next(made_by for made_by, names in MADE_BY.items() if solver in names.split())
    return f"{made_by} {metadata.version(made_by)}"


def find(name: str) -> Solver:
    """A peer, `pyswarmopt` (the default, recipe=None), `pyswarmopt:anywhere` (see above) or
    `pyswarmopt:RECIPE`.

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
    return anywhere if recipe == "anywhere" else lambda *a: ours(*a, recipe=recipe or None)
