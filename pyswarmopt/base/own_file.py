"""An object in a user's file, as FILE.py:NAME."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from pyswarmopt.base.spelling import did_you_mean


def object_of(word: str, option: str) -> Any:
    """The object named by FILE.py:NAME.

    Args:
        word: FILE.py:NAME as given.
        option: option with the name, for messages.

    Raises:
        ValueError: no such file, or no such name in it.
    """
    file, _, variable = word.rpartition(":")
    where = f"{option} {word}"
    if not file:
        raise ValueError(f"{where}: names nothing in that file; write FILE.py:NAME")
    found = vars(_module(where, Path(file)))
    if variable not in found:
        hint = did_you_mean(variable, found, "write FILE.py:NAME")
        raise ValueError(f"{where}: {file} has no {variable}; {hint}")
    return found[variable]


def _module(where: str, file: Path) -> Any:
    """The user's file, executed once; `where` starts messages."""
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"{where}: there is no file {file}; write FILE.py:NAME")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{where}: {file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # its dataclasses look themselves up here
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    return module
