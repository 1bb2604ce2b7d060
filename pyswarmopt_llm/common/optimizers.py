"""Optimizers by name, starting from the experts: swarms by recipe, and `other_optimizers`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.optimizer import Point
from pyswarmopt.parts.restart import RestartSwarm
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.config import MODEL_SWARMS, NEVERGRAD, PATIENCE, PYCMA, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.registry import lazy, unknown

OWN = "pso"  # the library's choice without bounds, which the default for functions needs
_OWN_RECIPE = "constriction"
check_other = lazy("pyswarmopt_llm.common.other_optimizers:check_other")
make_other = lazy("pyswarmopt_llm.common.other_optimizers:make_other")
# of positions, (N, D); None: not evaluated, NaN: failed
Values = Callable[[Tensor], Sequence[float | None]]
# parameters of the recipe with an option of their own
_OTHER_OPTIONS = ("patience", "max_iter", "compat")


def optimizer_names() -> tuple[str, ...]:
    """The names of swarms and pycma; ``nevergrad:NAME`` is known, too."""
    return (*(name.replace("_", "-") for name in sorted(pso.recipes.RECIPES)), OWN, PYCMA)


def is_swarm(name: str) -> bool:
    """Whether it is a swarm of this library, which only compares values."""
    return not name.startswith(NEVERGRAD) and name != PYCMA


def check_optimizer(name: str, settings: Sequence[str] = ()) -> None:
    """Refuse an optimizer that `make_optimizer` cannot make.

    Raises:
        UserError: no such optimizer, one whose extra is not installed, or coefficients that it does
            not take.

    Example:
        >>> check_optimizer("model-swarm")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.InvalidOption: optimizer model-swarm: unknown; did you mean model-swarms?
    """
    if settings and name != MODEL_SWARMS:
        raise InvalidOption(
            "settings", settings[0], f"sets coefficients of model-swarms, not of {name}; remove one"
        )
    recipe_options(settings)
    if not is_swarm(name):
        check_other(name)
    elif name not in optimizer_names():
        raise unknown("optimizer", name, [*optimizer_names(), f"{NEVERGRAD}NAME"])


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
    """An optimizer that maximises, starting from the experts.

    Args:
        name: a recipe of `pyswarmopt.recipes`, ``pso`` (the library's own choice), ``pycma``, or
            ``nevergrad:NAME``.
        vertices: (n, D), the experts' positions.
        population: positions per round, at least n; sequential optimisers get one.
        max_iter: rounds after the first.
        patience: swarms stop after this many rounds without a new best; other optimisers ignore it.
        seed: random seed.
        compat: ``paper`` or ``reference``, for ``model-swarms``.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE`` (see `recipe_options`).

    Raises:
        UserError: see `check_optimizer`.

    Example:
        >>> import torch
        >>> swarm = make_optimizer("constriction", torch.eye(3), population=5, max_iter=9, patience=4, seed=0)
        >>> swarm.ask().shape
        torch.Size([5, 3])
    """
    check_optimizer(name, settings)
    if not is_swarm(name):
        other: pso.Optimizer = make_other(
            name, vertices, population, population * (max_iter + 1), seed
        )
        return other
    if name == MODEL_SWARMS:
        recipe = pso.recipes.model_swarms(
            patience=patience,
            max_iter=max_iter,
            compat="reference" if compat == "reference" else "paper",
            **recipe_options(settings),
        )
    else:
        recipe = pso.recipes.get(_OWN_RECIPE if name == OWN else name.replace("-", "_"))
        # Coefficients have no bounds, so a full restart has no region to draw from.
        restart = tuple(policy for policy in recipe.restart if not isinstance(policy, RestartSwarm))
        recipe = replace(recipe, restart=restart, stop=(Patience(patience), MaxIter(max_iter)))
    return pso.Swarm(
        positions=vertices,
        population=population,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=vertices.dtype,
    )


def optimizer(config: SearchConfig, vertices: Tensor) -> pso.Optimizer:
    """The optimizer that starts from these positions, (n, D) (see `Space.starts`).

    Raises:
        UserError: see `check_optimizer`.
    """
    return make_optimizer(
        config.optimizer,
        vertices,
        population=max(config.population, len(vertices)),
        max_iter=config.iterations,
        patience=config.patience or PATIENCE,
        seed=config.seed,
        compat=config.compat,
        settings=config.settings,
    )


def recipe_options(settings: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of `pyswarmopt.recipes.model_swarms` from ``NAME=VALUE``.

    Raises:
        UserError: no such coefficient, or a value that it does not take.

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
            raise InvalidOption(
                "settings", setting, f"no coefficient {name}; there are {', '.join(defaults)}"
            )
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


def play_round(optimizer: pso.Optimizer, values: Values) -> None:
    """Ask for positions, evaluate them, tell."""
    positions = optimizer.ask()
    results = values(positions)
    dropped = [value is None for value in results]
    told = [math.nan if value is None else value for value in results]
    optimizer.tell(positions, told, dropped if any(dropped) else None)


def maximise(
    optimizer: pso.Optimizer, values: Values, affordable: Callable[[], bool] = lambda: True
) -> Point:
    """Play rounds until the optimizer stops, or another one is not affordable; the best point.

    Example:
        >>> swarm = pso.Swarm(bounds=[(-5, 5)] * 2, recipe=pso.recipes.get("constriction"), maximize=True, seed=0)
        >>> maximise(swarm, lambda x: (-(x**2).sum(-1)).tolist(), lambda: swarm.iteration < 50).value > -1e-3
        True
    """
    while affordable() and not optimizer.stop():
        play_round(optimizer, values)
    return optimizer.best


@contextmanager
def released(optimizer: pso.Optimizer) -> Iterator[pso.Optimizer]:
    """Close the optimizer on exit, if it can be closed (see `NevergradOptimizer.close`)."""
    try:
        yield optimizer
    finally:
        if hasattr(optimizer, "close"):
            optimizer.close()
