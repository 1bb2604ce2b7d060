"""The optimizers of a search, starting from the experts: Model Swarms, and `other_optimizers`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt_llm.common.config import MODEL_SWARMS, NEVERGRAD, PYCMA, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import RARE, options_of

# parameters of the recipe that have options of their own
_OTHER_OPTIONS = ("patience", "max_iter", "compat")


def is_swarm(name: str) -> bool:
    """Whether the optimizer is a swarm of this library, which only compares values."""
    return not name.startswith(NEVERGRAD) and name != PYCMA


def check_optimizer(
    name: str, settings: Sequence[str] = (), size: int = 0, population: int = 1
) -> None:
    """Refuse an optimizer that `make_optimizer` cannot make.

    Args:
        name: name given by the user.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE``.
        size: number of a candidate's coefficients; 0: unknown.
        population: positions per round.

    Raises:
        UserError: no such optimizer, its extra is missing, or it takes no such coefficients.

    Example:
        >>> check_optimizer("model-swarm")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.InvalidOption: optimizer model-swarm: unknown; did you mean model-swarms?
    """
    if name == MODEL_SWARMS:
        if settings:
            recipe_options(settings)
        return
    if settings:
        why = f"sets coefficients of model-swarms, not of {name}; remove one"
        raise InvalidOption("settings", settings[0], why)
    from pyswarmopt_llm.common.other_optimizers import check_other

    check_other(name, size, population)


def make_optimizer(
    name: str,
    vertices: Tensor,
    *,
    population: int,
    max_iter: int,
    patience: int,
    seed: int,
    compat: str = "paper",
    settings: Sequence[str] = (),
) -> pso.Optimizer:
    """A maximiser that starts from the experts.

    Args:
        name: a name that `check_optimizer` accepts: a recipe of `pyswarmopt.recipes`, ``pso`` (the
            library's default), ``pycma``, or ``nevergrad:NAME``.
        vertices: positions of the experts, (n, D).
        population: positions per round, at least n; sequential optimisers get one.
        max_iter: rounds after the first.
        patience: swarms stop after this many rounds without a new best; other optimisers ignore it.
        seed: random seed.
        compat: ``paper`` or ``reference``, for ``model-swarms``.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE`` (see `recipe_options`).

    Raises:
        UserError: nevergrad's optimiser does not support this population.
    """
    if name == MODEL_SWARMS:
        own: Any = {"compat": compat, **recipe_options(settings)}
        recipe = pso.recipes.model_swarms(patience=patience, max_iter=max_iter, **own)
    else:
        from pyswarmopt_llm.common.other_optimizers import make_other, other_recipe

        if not is_swarm(name):
            return make_other(name, vertices, population, max_iter, seed)
        recipe = other_recipe(name, max_iter, patience)
    return pso.Swarm(
        positions=vertices,
        population=population,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=vertices.dtype,
    )


@contextmanager
def released(optimizer: pso.Optimizer) -> Iterator[pso.Optimizer]:
    """Close the optimizer on exit, if possible (see `NevergradOptimizer.close`)."""
    try:
        yield optimizer
    finally:
        if hasattr(optimizer, "close"):
            optimizer.close()


def recipe_options(settings: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of `pyswarmopt.recipes.model_swarms` from ``NAME=VALUE``.

    Raises:
        UserError: no such coefficient, or a wrong value.

    Example:
        >>> recipe_options(["repel=0", "restart_patience=3"])
        {'repel': 0.0, 'restart_patience': 3}
    """
    parameters = inspect.signature(pso.recipes.model_swarms).parameters
    defaults = {name: parameters[name].default for name in parameters if name not in _OTHER_OPTIONS}
    options: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        name = name.replace("-", "_")
        if name not in defaults:
            rare = [field for field, one in options_of(SearchConfig).items() if one.group == RARE]
            hint = did_you_mean(name, [*defaults, *rare], f"coefficients are {', '.join(defaults)}")
            if name in _OTHER_OPTIONS:
                hint = "it is an option of its own"
            raise InvalidOption("settings", setting, f"no setting {name}; {hint}")
        try:
            options[name] = type(defaults[name])(text)
        except ValueError as error:
            why = f"{text!r} is not a number; write {name}={defaults[name]}"
            raise InvalidOption("settings", setting, why) from error
    try:
        pso.recipes.model_swarms(**options)
    except ValueError as error:
        raise InvalidOption("settings", " ".join(settings), str(error)) from error
    return options
