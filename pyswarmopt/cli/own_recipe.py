"""Recipes named on the command line: the package's, the default search, or one in a user's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyswarmopt.cli.options import DEFAULT

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe


def named(words: str) -> dict[str, Recipe | None]:
    """Name -> recipe, from a comma-separated list; a FILE.py:NAME is called NAME.

    Raises:
        ValueError: no recipe, an unknown one, two with one name, or a file without it.
    """
    found: dict[str, Recipe | None] = {}
    for word in dict.fromkeys(part.strip() for part in words.split(",") if part.strip()):
        name, recipe = _one(word)
        if name in found:
            raise ValueError(f"--recipes: two are called {name}; give yours another name")
        found[name] = recipe
    if not found:
        raise ValueError("--recipes: name at least one, such as constriction,clpso")
    return found


def _one(word: str) -> tuple[str, Recipe | None]:
    _, colon, variable = word.rpartition(":")
    if colon:
        from pyswarmopt.algorithms.own_file import made_recipe
        from pyswarmopt.base.own_file import object_of

        return variable, made_recipe(object_of(word, "--recipes"), f"--recipes {word}")
    name = word.replace("-", "_")
    if name == DEFAULT:
        return name, None
    from pyswarmopt.algorithms import registry

    return name, registry.get(name)
