"""The named algorithms; each has its own file in `pyswarmopt.algorithms`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyswarmopt.algorithms.bare_bones import bare_bones
from pyswarmopt.algorithms.clpso import clpso
from pyswarmopt.algorithms.constriction import constriction
from pyswarmopt.algorithms.covariant import covariant
from pyswarmopt.algorithms.fips import fips
from pyswarmopt.algorithms.inertia_weight import inertia_weight
from pyswarmopt.algorithms.model_swarms import model_swarms
from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.algorithms.spso2011 import spso2011
from pyswarmopt.base.spelling import did_you_mean

RECIPES: Mapping[str, Callable[..., Recipe]] = {
    "bare_bones": bare_bones,
    "clpso": clpso,
    "constriction": constriction,
    "covariant": covariant,
    "fips": fips,
    "inertia_weight": inertia_weight,
    "model_swarms": model_swarms,
    "spso2011": spso2011,
}


# names elsewhere -> what is nearest here
FOREIGN = {
    "pso": "constriction",
    "lbest": "constriction",
    "local_best": "constriction",
    "cma": "covariant, or recipe=None, the default",
    "cmaes": "covariant, or recipe=None, the default",
    "cma_es": "covariant, or recipe=None, the default",
}


def get(name: str, **options: Any) -> Recipe:
    """The recipe with this name; dashes count as underscores, and case is ignored.

    Args:
        name: one of `RECIPES`.
        options: arguments of the recipe's function.

    Returns:
        The recipe.

    Raises:
        ValueError: there is no such recipe.

    Example:
        >>> get("model-swarms", repel=0.01).name
        'model_swarms'
    """
    known = name.replace("-", "_").lower()
    if known in FOREIGN:
        raise ValueError(f"there is no recipe named {name!r}; did you mean {FOREIGN[known]}?")
    if known not in RECIPES:
        there_are = f"use {', '.join(sorted(RECIPES))}, or recipe=None for the default"
        raise ValueError(
            f"there is no recipe named {name!r}; {did_you_mean(known, RECIPES, there_are)}"
        )
    return RECIPES[known](**options)


def as_recipe(recipe: str | Recipe) -> Recipe:
    """The given recipe, or the recipe with the given name.

    Raises:
        ValueError: an unknown name, or neither a name nor a recipe.

    Example:
        >>> as_recipe("fips").name
        'fips'
    """
    if isinstance(recipe, str):
        return get(recipe)
    if isinstance(recipe, Recipe):
        return recipe
    raise ValueError(f"recipe={recipe!r}: use a name, or a Recipe such as pso.recipes.fips()")


__all__ = [
    "RECIPES",
    "bare_bones",
    "clpso",
    "constriction",
    "covariant",
    "fips",
    "get",
    "inertia_weight",
    "model_swarms",
    "spso2011",
]
