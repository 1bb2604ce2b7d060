"""The optimizers of a search, starting from the experts: Model Swarms, other recipes, a user's own
and nevergrad's.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import MODEL_SWARMS, NEVERGRAD
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.own import is_function, own
from pyswarmopt_llm.common.registry import unknown

_GONE = {"pycma": "use nevergrad:CMA, the same algorithm"}
OWN = "pso"  # the library's default without bounds, as needed for functions
OPTIMIZER = "optimizer"  # name of the setting
# parameters of the recipe that have options of their own
_OTHER_OPTIONS = ("patience", "max_iter", "compat")


def is_swarm(name: str) -> bool:
    """Whether the optimizer is a swarm of this library, which only compares values."""
    return not name.startswith(NEVERGRAD)


def optimizer_names() -> tuple[str, ...]:
    """The names of swarms, without ``nevergrad:NAME``."""
    return (*(name.replace("_", "-") for name in sorted(pso.recipes.RECIPES)), OWN)


def check_optimizer(name: str, settings: Sequence[str] = ()) -> None:
    """Refuse an optimizer that `make_optimizer` cannot make.

    Args:
        name: name given by the user.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE``.

    Raises:
        UserError: there is no such optimizer, its extra is missing, or it does not have these
            coefficients.

    Example:
        >>> check_optimizer("model-swarm")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.InvalidOption: optimizer model-swarm is unknown; use one of: ...
    """
    if name == MODEL_SWARMS:
        recipe_options(settings)
        return
    if settings:
        why = f"sets a coefficient of model-swarms, not of {name}; remove it, or change `optimizer`"
        raise InvalidOption("settings", settings[0], why)
    if name.startswith(NEVERGRAD):
        need_extra("nevergrad", name)
        _points_at_once(name, 1)
    elif is_function(name):
        other_recipe(name, 1, 1)
    elif name not in optimizer_names():
        names = [*optimizer_names(), f"{NEVERGRAD}NAME", "FILE.py:NAME"]
        raise unknown(OPTIMIZER, name, names, _GONE.get(name))


def make_optimizer(
    name: str,
    vertices: Tensor,
    *,
    population: int,
    max_iter: int,
    patience: int,
    seed: int,
    compat: Any = "paper",
    settings: Sequence[str] = (),
    asynchronous: bool = False,
) -> pso.Optimizer:
    """A maximiser that starts from the experts.

    Args:
        name: a name that `check_optimizer` accepts: a recipe of `pyswarmopt.recipes`, ``pso`` (the
            library's default), or ``nevergrad:NAME``.
        vertices: positions of the experts, (n, D).
        population: positions per iteration, at least n; sequential optimisers get one.
        max_iter: iterations after the first.
        patience: swarms stop after this many iterations without a new best; other optimisers ignore
            it.
        seed: random seed.
        compat: ``paper`` or ``reference``, for ``model-swarms``.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE`` (see `recipe_options`).
        asynchronous: whether the particles of a swarm move one by one.
    """
    if name.startswith(NEVERGRAD):
        from pyswarmopt.interop.nevergrad import NevergradOptimizer

        kind = name.removeprefix(NEVERGRAD)
        width = _points_at_once(name, population)
        budget = population * (max_iter + 1)
        return NevergradOptimizer(kind, None, vertices, width, budget, seed % 2**32, maximize=True)
    if name == MODEL_SWARMS:
        given = recipe_options(settings)
        recipe = pso.recipes.model_swarms(
            patience=patience, max_iter=max_iter, compat=compat, **given
        )
    else:
        recipe = other_recipe(name, max_iter, patience)
    return pso.Swarm(
        positions=vertices,
        population=population,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=vertices.dtype,
        asynchronous=asynchronous,
    )


def _points_at_once(name: str, population: int) -> int:
    """Positions that an optimiser of nevergrad proposes at once: one, or the population.

    Raises:
        UserError: there is no such optimizer.
    """
    from pyswarmopt.interop.nevergrad import one_at_a_time

    try:
        return 1 if one_at_a_time(name.removeprefix(NEVERGRAD)) else population
    except ValueError as error:
        raise InvalidOption(OPTIMIZER, name, f": {error}") from error


@contextmanager
def released(optimizer: pso.Optimizer) -> Iterator[pso.Optimizer]:
    """Close the optimizer on exit, if possible (see `NevergradOptimizer.close`)."""
    try:
        yield optimizer
    finally:
        if hasattr(optimizer, "close"):
            optimizer.close()


def other_recipe(name: str, max_iter: int, patience: int) -> pso.Recipe:
    """The recipe of a swarm other than Model Swarms, without restarts of the whole swarm.

    Args:
        name: name of the swarm, or of a recipe of a user; see `own`.
        max_iter: iterations after the first.
        patience: stop after this many iterations without a new best.

    Raises:
        UserError: there is no such file, or it has no such recipe.
    """
    if is_function(name):
        from pyswarmopt.algorithms.own_file import made_recipe

        try:
            recipe = made_recipe(own(OPTIMIZER, name), f"`{OPTIMIZER}` {name}")
        except ValueError as error:
            raise UserError(str(error)) from error
    else:
        recipe = pso.recipes.get("constriction" if name == OWN else name.replace("-", "_"))
    # Coefficients are unbounded, so a full restart has no region to draw from.
    restart = [each for each in recipe.restart if not isinstance(each, pso.restart.RestartSwarm)]
    stop = pso.stopping.Patience(patience), pso.stopping.MaxIter(max_iter)
    recipe = replace(recipe, restart=tuple(restart), stop=stop)
    return recipe.planned(max(max_iter, 1))


def recipe_options(settings: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of `pyswarmopt.recipes.model_swarms` from ``NAME=VALUE``.

    Raises:
        UserError: there is no such coefficient, or its value is invalid.

    Example:
        >>> recipe_options(["repel=0", "restart-patience=3"])
        {'repel': 0.0, 'restart_patience': 3}
    """
    parameters = inspect.signature(pso.recipes.model_swarms).parameters
    defaults = {name: parameters[name].default for name in parameters if name not in _OTHER_OPTIONS}
    options: dict[str, Any] = {}
    try:
        for setting in settings:
            name, _, text = setting.partition("=")
            name = name.replace("-", "_")
            if name not in defaults:
                why = f"is not a coefficient; use one of: {', '.join(defaults)}"
                raise InvalidOption("settings", setting, why)
            options[name] = type(defaults[name])(text)
        pso.recipes.model_swarms(**options)
    except ValueError as error:
        raise InvalidOption("settings", " ".join(settings), f": {error}") from error
    return options
