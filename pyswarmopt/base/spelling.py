"""Other libraries' names for an argument, and the answer to users who type them."""

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
    "direction maximize maximise minmax": "to maximise, call pso.maximize",
    "directions n_obj n_objectives objectives": "for several objectives call pso.minimize_multi",
    "tol atol rtol ftol xtol tolerance minfunc minstep precision": "patience= stops without "
    "improvement; max_evals=, max_iter=, timeout= and target= also stop",
    "feasibility_tol catol": "use equality_tolerance= for equalities",
    "constraints_func": "constraints='returned' if fun returns (value, constraints)",
    "lb lower low lower_bounds ub upper high upper_bounds xl xu dim n_dim n_dims n_var": "use "
    "bounds=[(low, high), ...]",
    "jac grad hess": "derivatives are not used; leave it out",
    "ieqcons f_ieqcons": "use constraints={'type': 'ineq', 'fun': g} for g(x) >= 0",
    "constraint_ueq constraint_eq": "constraints= takes functions that are at most 0; see its docs for equalities",
    "w c1 c2 omega phip phig options mutation recombination": "coefficients belong to a recipe: "
    "recipe=pso.compose([pso.inertia(w), pso.cognitive(c1), pso.social(c2)])",
    "velocity_clamp v_max vmax": "it belongs to a recipe: recipe=pso.compose(terms, max_velocity=)",
    "bh_strategy boundary topology": "it belongs to a recipe: recipe=pso.compose(terms, topology=, boundary=)",
    "init": "starting points are drawn within the bounds; x0= sets a starting point",
    "polish": "leave it out: the default search refines what it finds",
    "updating": "asynchronous=True is 'immediate'; by default the swarm updates after each round",
}


def answered(*records: type) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Answer arguments with foreign names by naming ours: TypeError, one line.

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
    "best_params best_trial best_trials": "result().params has the best parameters",
    "best_value": "result().fun has the best value",
    "trials trials_dataframe get_trials": "result().history contains every trial; it has to_pandas()",
    "optimize": "pso.minimize calls a function; a study uses ask and tell",
    "add_trial enqueue_trial": "tell(point, value) accepts any point, and x0= sets the first",
    "suggest_float suggest_int suggest_categorical": "parameters are declared as space={name: ...}",
}


def foreign_attribute(owner: str, name: str) -> str:
    """What to say about an attribute that does not exist.

    Example:
        >>> foreign_attribute("Study", "best_value")
        "'Study' has no attribute 'best_value': result().fun has the best value"
    """
    hints = [hint for words, hint in ATTRIBUTES.items() if name in words.split()]
    return ": ".join([f"{owner!r} has no attribute {name!r}", *hints])


def suggesting(function: Callable[P, R]) -> Callable[P, R]:
    """Answer an unknown argument with the nearest name: TypeError, one line.

    Example:
        >>> suggesting(lambda tasks, seed: tasks)(task="t.json", seed=1)
        Traceback (most recent call last):
        TypeError: <lambda>() has no argument task; did you mean tasks?
    """
    called, names = _called(function)
    hint = functools.partial(did_you_mean, names=names, otherwise=f"help({called}) lists them")
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
    return f"it accepts {', '.join(names)}"
