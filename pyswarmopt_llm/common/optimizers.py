"""The optimizers of a search, starting from the experts: Model Swarms, and `other_optimizers`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.restart import RestartSwarm
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.config import MODEL_SWARMS, NEVERGRAD, PATIENCE, PYCMA, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.registry import unknown


def is_swarm(name: str) -> bool:
    """Whether it is a swarm of this library, which only compares values."""
    return not name.startswith(NEVERGRAD) and name != PYCMA


def check_optimizer(
    name: str, settings: Sequence[str] = (), size: int = 0, population: int = 1
) -> None:
    """Refuse an optimizer that `make_optimizer` cannot make.

    Args:
        name: as a user wrote it.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE``.
        size: coefficients of a candidate; 0: not known.
        population: positions per round.

    Raises:
        UserError: no such optimizer, one whose extra is not installed, or coefficients that it does
            not take.

    Example:
        >>> check_optimizer("model-swarm")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.InvalidOption: optimizer model-swarm: unknown; did you mean model-swarms?
    """
    if name != MODEL_SWARMS:
        check_other(name, settings, size, population)
    elif settings:
        recipe_options(settings)


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
        name: that `check_optimizer` accepts: a recipe of `pyswarmopt.recipes`, ``pso`` (the
            library's own choice), ``pycma``, or ``nevergrad:NAME``.
        vertices: (n, D), the experts' positions.
        population: positions per round, at least n; sequential optimisers get one.
        max_iter: rounds after the first.
        patience: swarms stop after this many rounds without a new best; other optimisers ignore it.
        seed: random seed.
        compat: ``paper`` or ``reference``, for ``model-swarms``.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE`` (see `recipe_options`).

    Raises:
        UserError: nevergrad cannot make it for so many points at a time.

    Example:
        >>> import torch
        >>> swarm = make_optimizer("constriction", torch.eye(3), population=5, max_iter=9, patience=4, seed=0)
        >>> swarm.ask().shape
        torch.Size([5, 3])
    """
    if name != MODEL_SWARMS:
        return make_other(name, vertices, population, max_iter, patience, seed)
    recipe = pso.recipes.model_swarms(
        patience=patience,
        max_iter=max_iter,
        compat="reference" if compat == "reference" else "paper",
        **(recipe_options(settings) if settings else {}),
    )
    return swarm_of(recipe, vertices, population, seed)


def swarm_of(recipe: pso.Recipe, vertices: Tensor, population: int, seed: int) -> pso.Swarm:
    """The swarm of a recipe that maximises, starting from these positions, (n, D)."""
    return pso.Swarm(
        positions=vertices,
        population=population,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=vertices.dtype,
    )


def optimizer(config: SearchConfig, vertices: Tensor) -> pso.Optimizer:
    """The optimizer of a search that starts from these positions, (n, D) (see `Space.starts`)."""
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


@contextmanager
def released(optimizer: pso.Optimizer) -> Iterator[pso.Optimizer]:
    """Close the optimizer on exit, if it can be closed (see `NevergradOptimizer.close`)."""
    try:
        yield optimizer
    finally:
        if hasattr(optimizer, "close"):
            optimizer.close()


# parameters of the recipe with an option of their own
_OTHER_OPTIONS = ("patience", "max_iter", "compat")


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


OWN = "pso"  # the library's choice without bounds, which the default for functions needs


_OWN_RECIPE = "constriction"


def module_of(name: str) -> str | None:
    """The module that an optimizer needs of an extra (`common.extras`)."""
    return "nevergrad" if name.startswith(NEVERGRAD) else "cma" if name == PYCMA else None


def optimizer_names() -> tuple[str, ...]:
    """The names of swarms and pycma; ``nevergrad:NAME`` is known, too."""
    return (*(name.replace("_", "-") for name in sorted(pso.recipes.RECIPES)), OWN, PYCMA)


def check_other(
    name: str, settings: Sequence[str] = (), size: int = 0, population: int = 1
) -> None:
    """Refuse an optimizer that `make_other` cannot make.

    Args:
        name: of a swarm but Model Swarms, ``pycma`` or ``nevergrad:NAME``.
        settings: coefficients, of which it takes none.
        size: coefficients of a candidate, which some of nevergrad's refuse; 0: not known.
        population: positions per round.

    Raises:
        UserError: there is none of that name, its extra is not installed, or coefficients, which it
            does not take.
    """
    if settings:
        why = f"sets coefficients of model-swarms, not of {name}; remove one"
        raise InvalidOption("settings", settings[0], why)
    need_extra(module_of(name), name)
    if name.startswith(NEVERGRAD):
        _one_at_a_time(name)
        if size:
            points = torch.eye(max(size, 2), size, dtype=torch.float64)
            with released(make_other(name, points, population, 1, 1, 0)):
                pass
    elif name not in optimizer_names():
        raise unknown("optimizer", name, [*optimizer_names(), f"{NEVERGRAD}NAME"])


def make_other(
    name: str, vertices: Tensor, population: int, max_iter: int, patience: int, seed: int
) -> pso.Optimizer:
    """An optimizer that maximises, starting from the experts.

    Args:
        name: of a swarm but Model Swarms, ``pycma`` or ``nevergrad:NAME``.
        vertices: (n, D), the experts' positions.
        population: positions per round; sequential optimisers get one.
        max_iter: rounds after the first.
        patience: swarms stop after this many rounds without a new best.
        seed: random seed.

    Raises:
        UserError: nevergrad cannot make it for so many points at a time.
    """
    evaluations = population * (max_iter + 1)
    if is_swarm(name):
        recipe = pso.recipes.get(_OWN_RECIPE if name == OWN else name.replace("-", "_"))
        # Coefficients have no bounds, so a full restart has no region to draw from.
        restart = tuple(policy for policy in recipe.restart if not isinstance(policy, RestartSwarm))
        recipe = replace(recipe, restart=restart, stop=(Patience(patience), MaxIter(max_iter)))
        recipe = recipe.planned(max(max_iter, 1))
        return swarm_of(recipe, vertices, population, seed)
    if name == PYCMA:
        from pyswarmopt.interop.pycma import PycmaOptimizer

        return PycmaOptimizer(vertices, population, evaluations, seed, maximize=True)
    from pyswarmopt.interop.nevergrad import NevergradOptimizer

    kind = name.removeprefix(NEVERGRAD)
    width = 1 if _one_at_a_time(name) else population
    try:
        return NevergradOptimizer(
            kind, None, vertices, width, evaluations, seed % 2**32, maximize=True
        )
    # a few of nevergrad's cannot be made with more than one point at a time
    except ValueError as error:
        raise InvalidOption("optimizer", name, str(error)) from error


def _one_at_a_time(name: str) -> bool:
    """Whether an optimiser of nevergrad's takes one point at a time."""
    from pyswarmopt.interop.nevergrad import one_at_a_time

    try:
        return one_at_a_time(name.removeprefix(NEVERGRAD))
    except ValueError as error:
        raise InvalidOption("optimizer", name, str(error)) from error
