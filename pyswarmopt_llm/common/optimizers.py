"""Whatever can search: swarms by recipe, nevergrad's optimisers, pycma, all from the experts' positions."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.restart import RestartSwarm
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.config import NEVERGRAD, PYCMA, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.recipe_options import recipe_options

OWN = "pso"  # the library's own choice where there are no bounds, which its default for functions needs
_OWN_RECIPE = "constriction"


def optimizer_names() -> tuple[str, ...]:
    """The names of swarms and pycma; ``nevergrad:NAME`` goes beside them."""
    return (*(name.replace("_", "-") for name in sorted(pso.recipes.RECIPES)), OWN, PYCMA)


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
    """An optimizer that maximises and looks at the experts first.

    Args:
        name: a recipe of `pyswarmopt.recipes`, ``pso`` (the library's own choice), ``pycma``, or ``nevergrad:NAME``.
        vertices: (n, D), the experts' positions.
        population: positions in a round, at least n; an optimiser that takes one point at a time gets one.
        max_iter: rounds after the first.
        patience: swarms stop after so many rounds without a new best; the others end with their rounds.
        seed: the same seed gives the same search.
        compat: ``paper`` or ``reference``, for ``model-swarms``.
        settings: coefficients of ``model-swarms``, ``NAME=VALUE`` (see `recipe_options`).

    Raises:
        UserError: no such optimizer, or one that cannot search here.

    Example:
        >>> import torch
        >>> found = make_optimizer("constriction", torch.eye(3), population=5, max_iter=9, patience=4, seed=0)
        >>> found.ask().shape
        torch.Size([5, 3])
    """
    if settings and name != "model-swarms":
        raise UserError(f"--set {settings[0]}: sets coefficients of model-swarms, not of {name}; leave one of them out")
    evaluations = population * (max_iter + 1)
    if name.startswith(NEVERGRAD):
        return _nevergrad(name.removeprefix(NEVERGRAD), vertices, population, evaluations, seed)
    if name == PYCMA:
        from pyswarmopt.interop.pycma import PycmaOptimizer

        return PycmaOptimizer(vertices, population, evaluations, seed, maximize=True)
    recipe_name = _OWN_RECIPE if name == OWN else name.replace("-", "_")
    if recipe_name not in pso.recipes.RECIPES:
        near = difflib.get_close_matches(name, optimizer_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"use {', '.join(optimizer_names())} or nevergrad:NAME"
        raise UserError(f"--optimizer {name}: unknown; {hint}")
    if recipe_name == "model_swarms":
        recipe = pso.recipes.model_swarms(
            patience=patience,
            max_iter=max_iter,
            compat="reference" if compat == "reference" else "paper",
            **recipe_options(settings),
        )
    else:
        recipe = pso.recipes.get(recipe_name)
        # Coefficients have no bounds, so there is nowhere to send a whole swarm that starts again.
        restart = tuple(policy for policy in recipe.restart if not isinstance(policy, RestartSwarm))
        recipe = replace(recipe, restart=restart, stop=(Patience(patience), MaxIter(max_iter)))
    return pso.Swarm(
        positions=vertices, population=population, recipe=recipe, maximize=True, seed=seed, dtype=vertices.dtype
    )


def is_swarm(name: str) -> bool:
    """Whether it is a swarm of this library, which looks at values only to compare them with bests and the worst."""
    return not name.startswith(NEVERGRAD) and name != PYCMA


def optimizer(config: SearchConfig, vertices: Tensor) -> pso.Optimizer:
    """The optimizer that starts from the experts' positions, (n, D), or from more (see `Space.starts`).

    Raises:
        UserError: an unknown optimizer.
    """
    return make_optimizer(
        config.optimizer,
        vertices,
        population=max(config.particles, len(vertices)),
        max_iter=config.max_iter,
        patience=config.patience,
        seed=config.seed,
        compat=config.compat,
        settings=config.settings,
    )


@contextmanager
def released(optimizer: pso.Optimizer) -> Iterator[pso.Optimizer]:
    """Close the optimizer in the end, where it has something to close (see `NevergradOptimizer.close`)."""
    try:
        yield optimizer
    finally:
        if hasattr(optimizer, "close"):
            optimizer.close()


def _nevergrad(name: str, vertices: Tensor, population: int, evaluations: int, seed: int) -> pso.Optimizer:
    from pyswarmopt.interop.nevergrad import NevergradOptimizer, one_at_a_time

    try:
        width = 1 if one_at_a_time(name) else population
        return NevergradOptimizer(
            name, positions=vertices, population=width, budget=evaluations, seed=seed % 2**32, maximize=True
        )
    except ValueError as error:
        raise UserError(f"--optimizer {NEVERGRAD}{name}: {error}") from error


__all__ = ["NEVERGRAD", "PYCMA", "is_swarm", "make_optimizer", "optimizer", "optimizer_names", "released"]
