"""Objects from a user's file, named FILE.py:NAME; only this module runs such files."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from contextlib import chdir, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from pyswarmopt.base.spelling import did_you_mean

_FORM = "write FILE.py:NAME"
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)\s.*", re.MULTILINE)


def object_of(word: str, option: str) -> Any:
    """The object named by FILE.py:NAME.

    The file is executed once unless it changes. As for a script, imports are searched in its
    folder. Its output goes to stderr, since stdout is for results.

    Args:
        word: FILE.py:NAME as given.
        option: name of the option, for messages.

    Raises:
        ValueError: there is no such file, or no such name in it.
    """
    file, _, variable = word.rpartition(":")
    where = f"{option} {word}"
    if not file:
        raise ValueError(f"{where} does not name a variable in the file; {_FORM}")
    found = vars(_module(where, Path(file)))
    if variable not in found:
        hint = did_you_mean(variable, found, "define it")
        raise ValueError(f"{where}: {file} does not define {variable}; {hint}")
    return found[variable]


def sources(file: Path) -> bytes:
    """The sources of a file and of its direct and indirect imports from its folder."""
    files = [file]
    for each in files:  # which grows
        for name in re.findall(rb"\w+", b" ".join(_IMPORT.findall(each.read_bytes()))):
            beside = file.parent / name.decode(errors="replace")
            found = [beside.with_suffix(".py"), *sorted(beside.rglob("*.py"))]
            files += [path for path in found if path.is_file() and path not in files]
    return b"".join(each.read_bytes() for each in files)


def raised(error: BaseException, file: Path) -> str:
    """An exception of a user's code on one line, with the line of their file that raised it."""
    text = next(iter(str(error).splitlines()), "").replace("`", "'")  # which mark options
    shown = type(error).__name__
    if text:
        shown += f": {text}"
    if isinstance(error, SyntaxError):
        return f"{shown} on line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    if lines:
        return f"{shown} on line {lines[-1]} of {file.name}"
    return shown


def _module(where: str, file: Path) -> ModuleType:
    """The user's file as a module; `where` starts messages."""
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"{where}: there is no Python file {file}; {_FORM}")
    file = file.resolve()
    digest = hashlib.sha256(bytes(file) + sources(file)).hexdigest()
    name = f"own_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # of a file .py
    module = importlib.util.module_from_spec(spec)
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    sys.modules[name] = module  # its dataclasses look themselves up here
    try:
        with chdir("."), redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(
            f"{where}: the file cannot be run ({raised(error, file)}); fix it"
        ) from error
    return module
