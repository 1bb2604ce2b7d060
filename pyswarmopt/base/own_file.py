"""An object in a user's file, as FILE.py:NAME."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from pyswarmopt.base.spelling import did_you_mean

_IMPORT = re.compile(rb"^[ \t]*(?:from|import)\s.*", re.MULTILINE)


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


def sources(file: Path) -> bytes:
    """The sources of a file and of what it imports from its folder, directly or not."""
    files = [file]
    for each in files:  # which grows
        for name in re.findall(rb"\w+", b" ".join(_IMPORT.findall(each.read_bytes()))):
            beside = file.parent / name.decode(errors="replace")
            found = [beside.with_suffix(".py"), *sorted(beside.rglob("*.py"))]
            files += [path for path in found if path.is_file() and path not in files]
    return b"".join(each.read_bytes() for each in files)


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
