"""Other libraries' names for arguments, and messages for users who type them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Other libraries' names for arguments: what to do instead -> the names. A key that ends in "=" is
# our argument; it is suggested for functions that have it.
FOREIGN = {
    "to maximise, call pso.maximize": "direction maximize maximise minmax",
    "for several objectives, call pso.minimize_multi": "directions n_obj n_objectives objectives",
    "use max_evals=, max_iter=, timeout= or target=, or patience= to stop without improvement":
    "tol atol rtol ftol xtol tolerance minfunc minstep precision",
    "for a tolerance other than 1e-4, use NonlinearConstraint(g, -tolerance, tolerance)": "feasibility_tol catol",
    "use constraints='returned' if fun returns (value, constraints)": "constraints_func",
    "use bounds=[(low, high), ...]":
    "lb lower low lower_bounds ub upper high upper_bounds xl xu dim n_dim n_dims n_var",
    "derivatives are not used, so omit it": "jac grad hess",
    "bind further arguments with functools.partial": "args",
    "use constraints={'type': 'ineq', 'fun': g} for g(x) >= 0": "ieqcons f_ieqcons",
    "use constraints=[g] for g(x) <= 0, {'type': 'eq', 'fun': g} for g(x) = 0":
    "constraint_ueq constraint_eq",
    "set coefficients in a recipe: recipe=pso.compose([pso.inertia(w), pso.cognitive(c1), pso.social(c2)])":
    "w c1 c2 omega phip phig options mutation recombination",
    "set it in a recipe: recipe=pso.compose(terms, max_velocity=...)": "velocity_clamp v_max vmax",
    "set it in a recipe: recipe=pso.compose(terms, topology=..., boundary=...)":
    "bh_strategy boundary topology",
    "use x0= for starting points; others are drawn within the bounds": "init",
    "omit it, since the default search refines its best point anyway": "polish",
    "use asynchronous=True for 'immediate'; omit 'deferred', the default": "updating",
    "bounds=": "dimensions",
    "callback=": "callbacks",
    "constraints=": "cons",
    "fun=": "f func objective",
    "max_evals=": "budget maxeval maxevals maxfev maxfun maxfevals n_calls n_trials termination",
    "max_iter=": "epoch epochs generations iterations iters maxiter n_gen n_iter ngen",
    "maximize=": "direction maximise minmax",
    "n_objectives=": "directions n_obj objectives",
    "on_error=": "catch",
    "population=": "n_particles pop popsize pop_size swarmsize swarm_size",
    "progress=": "debug disp show_progress verbose",
    "recipe=": "algorithm method optimizer sampler strategy",
    "known=": "evaluated_rewards points_to_evaluate y0",
    "patience=": "n_iter_no_change",
    "seed=": "random_state rng",
    "space=": "param_distributions pbounds search_space",
    "timeout=": "max_seconds max_time maxtime time_limit",
    "workers=": "n_jobs n_processes n_workers num_workers parallel processes",
    "x0=": "guess initial_point starting_solutions",
}  # fmt: skip


# what is looked for in our modules: module -> names elsewhere -> what to do
_HERE = {
    "pyswarmopt": {
        "PSO": "use pso.minimize(fun, bounds, recipe='constriction'), or pso.Swarm",
        "minimise": "use pso.minimize",
        "optimize": "use pso.minimize",
    },
    "topology": {"Star": "use topology.Global", "star": "use topology.Global"},
}


def missing(module: str, name: str) -> AttributeError:
    """The error for an unknown name in a module, with a hint if other libraries have it.

    Example:
        >>> missing("topology", "Star")
        AttributeError("topology has no attribute 'Star'; use topology.Global")
    """
    cure = _HERE[module].get(name)
    hint = ""
    if cure is not None:
        hint = f"; {cure}"
    return AttributeError(f"{module} has no attribute {name!r}{hint}")


class Elsewhere:
    """An attribute that only other libraries' objects have: the error for it says what to use.

    Not `__getattr__`, with which Python reads all attributes of a class more slowly.

    Args:
        cure: what to use instead.

    Example:
        >>> class Search:
        ...     best_value = Elsewhere("use search.result().fun")
        >>> Search().best_value
        Traceback (most recent call last):
        AttributeError: Search has no attribute 'best_value'; use search.result().fun
        >>> hasattr(Search(), "best_value")
        False
    """

    def __init__(self, cure: str) -> None:
        self.cure = cure

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no attribute {self.name!r}; {self.cure}")


def suggesting(function: Callable[P, R]) -> Callable[P, R]:
    """Raise a one-line TypeError for an unknown argument, with a suggestion; other libraries' names
    are recognised.

    Args:
        function: function, or a constructor.

    Example:
        >>> suggesting(lambda tasks, seed: tasks)(task="t.json", seed=1)
        Traceback (most recent call last):
        TypeError: <lambda>() has no argument task; did you mean tasks?
    """
    called = function.__qualname__.removesuffix(".__init__")
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.name != "self"]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in names:
                hint = did_you_mean(name, names, f"use one of {', '.join(names)}")
                for cure, words in FOREIGN.items():
                    if name not in words.split():
                        continue
                    if not cure.endswith("="):
                        hint = cure
                    elif cure[:-1] in names:
                        hint = f"use {cure}"
                raise TypeError(f"{called}() has no argument {name}; {hint}")
        return function(*args, **kwargs)

    return call


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """A hint for an unknown name: the nearest known one, or `otherwise`.

    Example:
        >>> did_you_mean("spere", ["sphere", "ackley"], "see the list")
        'did you mean sphere?'
    """
    near = nearest(name, names)
    if near is not None:
        return f"did you mean {near}?"
    return otherwise


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most similar name; None if none is similar enough."""
    import difflib  # imported on use, for a faster start of searches

    return next(iter(difflib.get_close_matches(name, list(names), 1)), None)
