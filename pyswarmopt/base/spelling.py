"""What other libraries call an argument, and the answer to somebody who types that here."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# An argument of another library, and ours.
FOREIGN = {
    "algorithm": "recipe", "budget": "max_evals", "callbacks": "callback", "cons": "constraints",
    "disp": "progress", "dimensions": "bounds", "f": "fun", "func": "fun", "guess": "x0",
    "initial_point": "x0", "iters": "max_iter", "maxeval": "max_evals", "maxevals": "max_evals",
    "maxfev": "max_evals", "maxfun": "max_evals", "maxfevals": "max_evals", "maxiter": "max_iter",
    "method": "recipe", "n_calls": "max_evals", "n_iter": "max_iter", "n_jobs": "workers",
    "n_particles": "population", "n_trials": "max_evals", "num_workers": "workers",
    "objective": "fun", "optimizer": "recipe", "param_distributions": "space",
    "popsize": "population", "pop_size": "population", "random_state": "seed", "rng": "seed",
    "sampler": "recipe", "show_progress": "progress", "strategy": "recipe",
    "swarmsize": "population", "swarm_size": "population", "verbose": "progress",
}  # fmt: skip

# Arguments of other libraries that are none here, and what to do.
ELSEWHERE = {
    "direction maximize maximise": "for the largest value call pso.maximize",
    "directions": "for several objectives call pso.minimize_multi",
    "tol atol rtol ftol xtol": "a search ends at max_evals=, max_iter=, timeout= or target=",
    "lb lower low ub upper high": "say bounds=[(low, high), ...]",
    "jac grad hess": "no derivatives are used",
    "w c1 c2 options mutation recombination": "coefficients belong to a recipe: recipe=pso.recipes.fips(...)",
    "init": "starting points are drawn in the bounds; a point to begin with is x0=",
    "polish": "leave it out: the default search refines what it finds",
    "updating": "asynchronous=True is 'immediate'; without it the points of a round wait for each other",
}


def answered(function: Callable[P, R]) -> Callable[P, R]:
    """Have arguments of another name answered by ours: TypeError, one line."""
    names = list(inspect.signature(function).parameters)
    hints = {
        **{name: f"here it is {our}=" for name, our in FOREIGN.items() if our in names},
        **{name: hint for foreign, hint in ELSEWHERE.items() for name in foreign.split()},
    }

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in names:
                raise TypeError(
                    f"{function.__name__}() has no argument {name}; {_hint(name, names, hints)}"
                )
        if len(args) > 1 and "bounds" in kwargs:
            raise TypeError(
                f"{function.__name__}(fun, bounds): two bounds were given; a starting point is x0="
            )
        return function(*args, **kwargs)

    return call


def _hint(name: str, names: list[str], hints: dict[str, str]) -> str:
    near = difflib.get_close_matches(name, [*names, *hints], 1, 0.7)
    if not near:
        return f"there is {', '.join(names)}"
    return hints.get(near[0], f"here it is {near[0]}=")
