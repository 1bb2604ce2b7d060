"""A recipe in a file of the user's, as FILE.py:NAME."""

from __future__ import annotations

from typing import Any

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.own_file import object_of


def recipe_of(word: str, option: str) -> Recipe:
    """The recipe, or what the function of that name returns, of a FILE.py:NAME.

    Args:
        word: as it was given.
        option: that it was given to, for messages.

    Raises:
        ValueError: no such file, or it has no such recipe.
    """
    return made_recipe(object_of(word, option), f"{option} {word}")


def made_recipe(made: Any, where: str) -> Recipe:
    """A recipe, or what a function without arguments makes; `where` begins messages.

    Raises:
        ValueError: it is none, or the function raised.
    """
    try:
        recipe = made() if callable(made) else made
    except Exception as error:
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        variable = where.rpartition(":")[2]
        raise ValueError(
            f"{where}: {variable} is no recipe; assign {variable} = pso.compose(...) there"
        )
    return recipe
