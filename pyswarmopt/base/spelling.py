"""Other libraries' names for arguments, and messages for users who type them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Our arguments, and other libraries' names for them.
FOREIGN = {
    "bounds": "dimensions",
    "callback": "callbacks",
    "constraints": "cons",
    "fun": "f func objective",
    "max_evals": "budget maxeval maxevals maxfev maxfun maxfevals n_calls n_trials termination",
    "max_iter": "epoch epochs generations iterations iters maxiter n_gen n_iter ngen",
    "maximize": "direction maximise minmax",
    "n_objectives": "directions n_obj objectives",
    "on_error": "catch",
    "population": "n_particles pop popsize pop_size swarmsize swarm_size",
    "progress": "debug disp show_progress verbose",
    "recipe": "algorithm method optimizer sampler strategy",
    "known": "evaluated_rewards points_to_evaluate y0",
    "patience": "n_iter_no_change",
    "seed": "random_state rng",
    "space": "param_distributions pbounds search_space",
    "timeout": "max_seconds max_time maxtime time_limit",
    "workers": "n_jobs n_processes n_workers num_workers parallel processes",
    "x0": "guess initial_point starting_solutions",
}

# Arguments of other libraries without a counterpart, and what to do.
ELSEWHERE = {
    "direction maximize maximise minmax": "to maximise, call pso.maximize instead",
    "directions n_obj n_objectives objectives": "for several objectives, call pso.minimize_multi instead",
    "tol atol rtol ftol xtol tolerance minfunc minstep precision": "use patience= to stop when "
    "there is no improvement, or max_evals=, max_iter=, timeout= or target=",
    "feasibility_tol catol": "use equality_tolerance= for equalities",
    "constraints_func": "use constraints='returned' if fun returns (value, constraints)",
    "lb lower low lower_bounds ub upper high upper_bounds xl xu dim n_dim n_dims n_var": "use "
    "bounds=[(low, high), ...]",
    "jac grad hess": "derivatives are not used, so omit it",
    "ieqcons f_ieqcons": "use constraints={'type': 'ineq', 'fun': g} for g(x) >= 0",
    "constraint_ueq constraint_eq": "use constraints=[g] for g(x) <= 0, {'type': 'eq', 'fun': g} for g(x) = 0",
    "w c1 c2 omega phip phig options mutation recombination": "set coefficients in a recipe: "
    "recipe=pso.compose([pso.inertia(w), pso.cognitive(c1), pso.social(c2)])",
    "velocity_clamp v_max vmax": "set it in a recipe: recipe=pso.compose(terms, max_velocity=...)",
    "bh_strategy boundary topology": "set it in a recipe: recipe=pso.compose(terms, topology=..., boundary=...)",
    "init": "starting points are drawn within the bounds; use x0= to set your own",
    "polish": "omit it, since the default search refines its best point anyway",
    "updating": "for 'immediate', use asynchronous=True; for 'deferred', the default, omit it",
}


def answered(*records: type) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse arguments with foreign names, naming ours: TypeError, one line.

    Args:
        records: typed dicts of the keyword arguments that the signature does not list.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        called, names = _called(function)
        for record in records:
            names += [name for name in record.__annotations__ if name not in names]
        hints = {name: hint for words, hint in ELSEWHERE.items() for name in words.split()}
        for our in names:
            for name in FOREIGN.get(our, "").split():
                hints[name] = f"use {our}="
        return _refusing(function, called, names, functools.partial(_hint, names, hints))

    return decorate


# Attributes of other libraries' studies, and what to do.
ATTRIBUTES = {
    "best_params best_trial best_trials": "use result().params",
    "best_value": "use result().fun",
    "trials trials_dataframe get_trials": "use result().history.to_pandas()",
    "optimize": "use ask() and tell(), or pso.minimize to call a function",
    "add_trial enqueue_trial": "use tell(point, value) for any point, or x0= for the first",
    "suggest_float suggest_int suggest_categorical": "declare parameters in space={name: ...}",
}


def foreign_attribute(owner: str, name: str) -> str:
    """The message about an attribute that does not exist.

    Example:
        >>> foreign_attribute("Study", "best_value")
        "'Study' has no attribute 'best_value'; use result().fun"
    """
    hints = [hint for words, hint in ATTRIBUTES.items() if name in words.split()]
    return "; ".join([f"{owner!r} has no attribute {name!r}", *hints])


def suggesting(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse an unknown argument, naming the nearest one: TypeError, one line.

    Example:
        >>> suggesting(lambda tasks, seed: tasks)(task="t.json", seed=1)
        Traceback (most recent call last):
        TypeError: <lambda>() has no argument task; did you mean tasks?
    """
    called, names = _called(function)
    hint = functools.partial(did_you_mean, names=names, otherwise=f"see help({called})")
    return _refusing(function, called, names, hint)


def _called(function: Callable[..., Any]) -> tuple[str, list[str]]:
    """What a function, or a class with this constructor, is called, and its arguments."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD]
    return function.__qualname__.removesuffix(".__init__"), names


def _refusing(
    function: Callable[P, R], called: str, names: Sequence[str], hint: Callable[[str], str]
) -> Callable[P, R]:
    """The function, which refuses a name that is none of the arguments: TypeError, with a hint."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in names:
                raise TypeError(f"{called}() has no argument {name}; {hint(name)}")
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


def nearest(name: str, names: Iterable[str], least: float = 0.6) -> str | None:
    """The most similar name; None if none is similar enough."""
    import difflib  # imported on use, for a faster start of searches

    return next(iter(difflib.get_close_matches(name, list(names), 1, least)), None)


def _hint(names: list[str], hints: dict[str, str], name: str) -> str:
    # a foreign name has to be nearly the one that was typed: n_job is n_jobs, progress no processes
    known = nearest(name, hints, 0.85)
    if known is not None:
        return hints[known]
    near = nearest(name, names, 0.7)
    if near is not None:
        return f"use {near}="
    return f"use one of {', '.join(names)}"
