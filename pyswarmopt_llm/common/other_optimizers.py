"""The optimizers of a search besides Model Swarms: other recipes, pycma and nevergrad."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.algorithms.own_file import made_recipe
from pyswarmopt.parts.restart import RestartSwarm
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.config import NEVERGRAD, PYCMA
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.own import is_own, of_packages, own
from pyswarmopt_llm.common.registry import unknown

if TYPE_CHECKING:
    from pyswarmopt.interop.nevergrad import NevergradOptimizer

OWN = "pso"  # the library's default without bounds, as needed for functions
OPTIMIZER = "optimizer"  # name of the setting
_OWN_RECIPE = "constriction"


def module_of(name: str) -> str | None:
    """The module of an extra that an optimizer needs (`common.extras`)."""
    return "nevergrad" if name.startswith(NEVERGRAD) else "cma" if name == PYCMA else None


def optimizer_names() -> tuple[str, ...]:
    """The names of swarms and pycma, without ``nevergrad:NAME``."""
    return (*(name.replace("_", "-") for name in sorted(pso.recipes.RECIPES)), OWN, PYCMA)


def check_other(
    name: str, settings: Sequence[str] = (), size: int = 0, population: int = 1
) -> None:
    """Refuse an optimizer that `make_other` cannot make.

    Args:
        name: ``pycma``, ``nevergrad:NAME``, or name of a swarm other than Model Swarms.
        settings: coefficients, which it does not take.
        size: number of a candidate's coefficients, too few for some of nevergrad's optimisers; 0:
            unknown.
        population: positions per round.

    Raises:
        UserError: no such optimizer, its extra is missing, or coefficients were given.
    """
    if settings:
        why = f"sets coefficients of model-swarms, not of {name}; remove one"
        raise InvalidOption("settings", settings[0], why)
    if is_own(OPTIMIZER, name):
        own_recipe(name)
        return
    need_extra(module_of(name), name)
    if name.startswith(NEVERGRAD):
        _one_at_a_time(name)
        if size:
            points = torch.eye(max(size, 2), size, dtype=torch.float64)
            with closing(_nevergrad(name, points, population, 2 * population, 0)):
                pass
    elif name not in optimizer_names():
        names = [*optimizer_names(), *of_packages(OPTIMIZER), f"{NEVERGRAD}NAME", "FILE.py:NAME"]
        raise unknown(OPTIMIZER, name, names)


def own_recipe(name: str) -> pso.Recipe:
    """The recipe of a user or another package; see `own`.

    Raises:
        UserError: no such file, or no such recipe in it.
    """
    try:
        return made_recipe(own(OPTIMIZER, name), f"`{OPTIMIZER}` {name}")
    except ValueError as error:
        raise UserError(str(error)) from error


def other_recipe(name: str, max_iter: int, patience: int) -> pso.Recipe:
    """The recipe of a swarm other than Model Swarms, without restarts of the whole swarm.

    Args:
        name: name of the swarm, or of a user's recipe.
        max_iter: rounds after the first.
        patience: stop after this many rounds without a new best.
    """
    if is_own(OPTIMIZER, name):
        recipe = own_recipe(name)
    else:
        recipe = pso.recipes.get(_OWN_RECIPE if name == OWN else name.replace("-", "_"))
    # Coefficients are unbounded, so a full restart has no region to draw from.
    restart = tuple(policy for policy in recipe.restart if not isinstance(policy, RestartSwarm))
    recipe = replace(recipe, restart=restart, stop=(Patience(patience), MaxIter(max_iter)))
    return recipe.planned(max(max_iter, 1))


def make_other(
    name: str, vertices: Tensor, population: int, max_iter: int, seed: int
) -> pso.Optimizer:
    """Another library's maximiser, starting from the experts.

    Args:
        name: ``pycma`` or ``nevergrad:NAME``.
        vertices: positions of the experts, (n, D).
        population: positions per round; sequential optimisers get one.
        max_iter: rounds after the first.
        seed: random seed.

    Raises:
        UserError: nevergrad's optimiser does not support this population.
    """
    evaluations = population * (max_iter + 1)
    if name == PYCMA:
        from pyswarmopt.interop.pycma import PycmaOptimizer

        return PycmaOptimizer(vertices, population, evaluations, seed, maximize=True)
    return _nevergrad(name, vertices, population, evaluations, seed)


def _nevergrad(
    name: str, vertices: Tensor, population: int, evaluations: int, seed: int
) -> NevergradOptimizer:
    """See `make_other`."""
    from pyswarmopt.interop.nevergrad import NevergradOptimizer

    kind = name.removeprefix(NEVERGRAD)
    width = 1 if _one_at_a_time(name) else population
    try:
        return NevergradOptimizer(
            kind, None, vertices, width, evaluations, seed % 2**32, maximize=True
        )
    # a few of nevergrad's optimisers take only one point at a time
    except ValueError as error:
        raise InvalidOption("optimizer", name, str(error)) from error


def _one_at_a_time(name: str) -> bool:
    """Whether a nevergrad optimiser takes one point at a time."""
    from pyswarmopt.interop.nevergrad import one_at_a_time

    try:
        return one_at_a_time(name.removeprefix(NEVERGRAD))
    except ValueError as error:
        raise InvalidOption("optimizer", name, str(error)) from error
