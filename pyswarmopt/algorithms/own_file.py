"""A recipe in a user's file, as FILE.py:NAME."""

from __future__ import annotations

from typing import Any

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.own_file import object_of


def recipe_of(word: str, option: str) -> Recipe:
    """The recipe named by FILE.py:NAME, or returned by a function of that name.

    Args:
        word: FILE.py:NAME as given.
        option: option with the name, for messages.

    Raises:
        ValueError: no such file, or no such recipe in it.
    """
    return made_recipe(object_of(word, option), f"{option} {word}")


def made_recipe(made: Any, where: str) -> Recipe:
    """A recipe, or the recipe made by a function without arguments; `where` starts messages.

    Raises:
        ValueError: not a recipe, or the function raised.
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
