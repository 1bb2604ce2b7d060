"""A recipe from a user's file."""

from __future__ import annotations

from typing import Any

from pyswarmopt.algorithms.recipe import Recipe


def made_recipe(made: Any, where: str) -> Recipe:
    """The recipe, or the one returned by a function without arguments; `where` starts messages.

    Raises:
        ValueError: the object is not a recipe, or the function raised an error.
    """
    try:
        recipe = made() if callable(made) else made
    except Exception as error:
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        variable = where.rpartition(":")[2]
        raise ValueError(
            f"{where}: {variable} is not a recipe; define it as {variable} = pso.compose(...)"
        )
    return recipe
