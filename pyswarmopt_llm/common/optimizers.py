"""The optimizers of a search, starting from the experts: Model Swarms, and `other_optimizers`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import MODEL_SWARMS, NEVERGRAD, PATIENCE, PYCMA, SearchConfig


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
    if name != MODEL_SWARMS:
        from pyswarmopt_llm.common.other_optimizers import check_other

        check_other(name, settings, size, population)
    elif settings:
        from pyswarmopt_llm.common.swarm_settings import recipe_options

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

    Example:
        >>> import torch
        >>> swarm = make_optimizer("constriction", torch.eye(3), population=5, max_iter=9, patience=4, seed=0)
        >>> swarm.ask().shape
        torch.Size([5, 3])
    """
    if not is_swarm(name):
        from pyswarmopt_llm.common.other_optimizers import make_other

        return make_other(name, vertices, population, max_iter, seed)
    if name != MODEL_SWARMS:
        from pyswarmopt_llm.common.other_optimizers import other_recipe

        return swarm_of(other_recipe(name, max_iter, patience), vertices, population, seed)
    options: dict[str, Any] = {}
    if settings:
        from pyswarmopt_llm.common.swarm_settings import recipe_options

        options = recipe_options(settings)
    recipe = pso.recipes.model_swarms(
        patience=patience,
        max_iter=max_iter,
        compat="reference" if compat == "reference" else "paper",
        **options,
    )
    return swarm_of(recipe, vertices, population, seed)


def swarm_of(recipe: pso.Recipe, vertices: Tensor, population: int, seed: int) -> pso.Swarm:
    """A recipe's swarm that maximises, starting from these positions, (n, D)."""
    return pso.Swarm(
        positions=vertices,
        population=population,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=vertices.dtype,
    )


def optimizer(config: SearchConfig, vertices: Tensor) -> pso.Optimizer:
    """The optimizer of a search, starting from these positions, (n, D) (see `Space.starts`)."""
    return make_optimizer(
        config.optimizer,
        vertices,
        population=max(config.population, len(vertices)),
        max_iter=config.iterations,
        patience=config.patience or PATIENCE,
        seed=config.seed,
        compat="reference" if config.reference else "paper",
        settings=config.settings,
    )


@contextmanager
def released(optimizer: pso.Optimizer) -> Iterator[pso.Optimizer]:
    """Close the optimizer on exit, if possible (see `NevergradOptimizer.close`)."""
    try:
        yield optimizer
    finally:
        if hasattr(optimizer, "close"):
            optimizer.close()
