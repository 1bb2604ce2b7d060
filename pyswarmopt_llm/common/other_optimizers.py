"""The optimizers of a search besides Model Swarms: other recipes, pycma and nevergrad."""

from __future__ import annotations

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


def module_of(name: str) -> str | None:
    """The module of an extra that an optimizer needs (`common.extras`)."""
    return "nevergrad" if name.startswith(NEVERGRAD) else "cma" if name == PYCMA else None


def optimizer_names() -> tuple[str, ...]:
    """The names of swarms and pycma, without ``nevergrad:NAME``."""
    return (*(name.replace("_", "-") for name in sorted(pso.recipes.RECIPES)), OWN, PYCMA)


def check_other(name: str, size: int = 0, population: int = 1) -> None:
    """Refuse an optimizer that can be made neither by `make_other` nor from `other_recipe`.

    Args:
        name: ``pycma``, ``nevergrad:NAME``, or name of a swarm other than Model Swarms.
        size: number of a candidate's coefficients, too few for some of nevergrad's optimisers; 0:
            unknown.
        population: positions per round.

    Raises:
        UserError: no such optimizer, or its extra is missing.
    """
    if is_own(OPTIMIZER, name):
        other_recipe(name, 1, 1)
        return
    need_extra(module_of(name), name)
    if name.startswith(NEVERGRAD):
        size = max(size, 2)
        points = torch.eye(size, dtype=torch.float64)
        with closing(_nevergrad(name, points, population, 2 * population, 0)):
            pass
    elif name not in optimizer_names():
        names = [*optimizer_names(), *of_packages(OPTIMIZER), f"{NEVERGRAD}NAME", "FILE.py:NAME"]
        raise unknown(OPTIMIZER, name, names)


def other_recipe(name: str, max_iter: int, patience: int) -> pso.Recipe:
    """The recipe of a swarm other than Model Swarms, without restarts of the whole swarm.

    Args:
        name: name of the swarm, or of a recipe of a user or another package; see `own`.
        max_iter: rounds after the first.
        patience: stop after this many rounds without a new best.

    Raises:
        UserError: no such file, or no such recipe in it.
    """
    if is_own(OPTIMIZER, name):
        try:
            recipe = made_recipe(own(OPTIMIZER, name), f"`{OPTIMIZER}` {name}")
        except ValueError as error:
            raise UserError(str(error)) from error
    else:
        recipe = pso.recipes.get("constriction" if name == OWN else name.replace("-", "_"))
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
    from pyswarmopt.interop.nevergrad import NevergradOptimizer, one_at_a_time

    kind = name.removeprefix(NEVERGRAD)
    try:
        width = 1 if one_at_a_time(kind) else population
        return NevergradOptimizer(
            kind, None, vertices, width, evaluations, seed % 2**32, maximize=True
        )
    # no such optimiser, or one of the few that take only one point at a time
    except ValueError as error:
        raise InvalidOption("optimizer", name, str(error)) from error
