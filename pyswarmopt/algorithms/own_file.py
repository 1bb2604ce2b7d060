"""A recipe in a file of the user's, as FILE.py:NAME."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from pyswarmopt.algorithms.recipe import Recipe


def recipe_of(word: str, option: str) -> Recipe:
    """The recipe, or what the function of that name returns, of a FILE.py:NAME.

    Args:
        word: as it was given.
        option: that it was given to, for messages.

    Raises:
        ValueError: no such file, or it has no such recipe.
    """
    file, _, variable = word.rpartition(":")
    where = f"{option} {word}"
    made = vars(_module(where, Path(file))).get(variable)
    recipe = made() if callable(made) else made
    if not isinstance(recipe, Recipe):
        raise ValueError(
            f"{where}: {variable} is no recipe; assign {variable} = pso.compose(...) there"
        )
    return recipe


def _module(where: str, file: Path) -> Any:
    """The user's file, run once; `where` begins messages."""
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"{where}: there is no file {file}; write FILE.py:NAME")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{where}: {file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses of the file look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    return module
