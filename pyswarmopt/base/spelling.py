"""What other libraries call an argument, and the answer to somebody who types that here."""

from __future__ import annotations

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

# An argument of another library that is none here, and what to do.
ELSEWHERE = {
    **dict.fromkeys(
        ("direction", "maximize", "maximise"), "for the largest value call pso.maximize"
    ),
    "directions": "for several objectives call pso.minimize_multi",
    **dict.fromkeys(
        ("tol", "atol", "rtol", "ftol", "xtol"),
        (
            "a search ends at max_evals=, max_iter=, timeout=, or at target=, a value that is good "
            "enough"
        ),
    ),
    **dict.fromkeys(("lb", "lower", "low", "ub", "upper", "high"), "say bounds=[(low, high), ...]"),
    **dict.fromkeys(("jac", "grad", "hess"), "no derivatives are used"),
    **dict.fromkeys(
        ("mutation", "recombination"),
        "coefficients belong to a recipe: recipe=pso.recipes.fips(...)",
    ),
    "init": "starting points are drawn in the bounds; a point to begin with is x0=",
    "polish": "leave it out: the default search refines what it finds",
    "updating": "asynchronous=True is 'immediate'; without it the points of a round wait for each other",
    **dict.fromkeys(
        ("w", "c1", "c2", "options"), "say recipe=pso.recipes.inertia_weight(...) or another recipe"
    ),
}


def answered(function: Callable[P, R]) -> Callable[P, R]:
    """Have arguments of another name answered by ours: TypeError, one line."""
    names = list(inspect.signature(function).parameters)
    hints = {
        **{name: f"here it is {our}=" for name, our in FOREIGN.items() if our in names},
        **ELSEWHERE,
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
    import difflib

    near = (
        name
        if name in hints
        else next(iter(difflib.get_close_matches(name, [*names, *hints], 1, 0.7)), None)
    )
    if near is None:
        return f"there is {', '.join(names)}"
    return hints.get(near, f"here it is {near}=")
