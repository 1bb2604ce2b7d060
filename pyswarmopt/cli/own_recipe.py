"""Recipes as the command line names them: one of the package's, the default search, or one in a file
of the user's.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyswarmopt.cli.options import DEFAULT

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe


def named(words: str) -> dict[str, Recipe | None]:
    """The recipes of a list with commas, by name; a FILE.py:NAME is called NAME.

    Raises:
        ValueError: none, an unknown one, two of one name, or a file without it.
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
    file, colon, variable = word.rpartition(":")
    if colon:
        return variable, _of_file(word, Path(file), variable)
    name = word.replace("-", "_")
    if name == DEFAULT:
        return name, None
    from pyswarmopt.algorithms import registry

    return name, registry.get(name)


def _of_file(word: str, file: Path, variable: str) -> Recipe:
    from pyswarmopt.algorithms.recipe import Recipe

    made = vars(_module(word, file)).get(variable)
    recipe = made() if callable(made) else made
    if not isinstance(recipe, Recipe):
        raise ValueError(
            f"--recipes {word}: {variable} is no recipe; assign {variable} = pso.compose(...) there"
        )
    return recipe


def _module(word: str, file: Path) -> Any:
    """The user's file, run once."""
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"--recipes {word}: there is no file {file}; write FILE.py:NAME")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"--recipes {word}: {file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses of the file look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"--recipes {word}: {type(error).__name__}: {error}") from error
    return module
