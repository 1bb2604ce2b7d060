"""Users' own code named in a setting: FILE.py:NAME, or an entry point of a package."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path, PurePath
from typing import Any, get_origin, get_type_hints

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.registry import plugins

# Fields of configurations that may name an object.
_OBJECTS = ("metric", "metrics", "methods", "optimizer", "space")


def is_function(spec: str) -> bool:
    """Whether a name refers to an object in a Python file.

    Example:
        >>> is_function("mine.py:score"), is_function("style=mine.py:score"), is_function("judge:rules.txt")
        (True, True, False)
    """
    return spec.endswith(".py") or spec.rpartition(":")[0].endswith(".py")


def is_own(setting: str, spec: str) -> bool:
    """Whether a setting names an object from a user or another package."""
    return is_function(spec) or spec in of_packages(setting)


def of_packages(setting: str) -> dict[str, EntryPoint]:
    """Name -> entry point that other packages add to a setting: group ``swarm_llm.metrics`` for the
    setting metric, and so on.
    """
    return plugins(setting.removesuffix("s") + "s")


def named(value: Any) -> str:
    """The name of a function in a file, FILE.py:NAME, for settings: any process can load it. Texts
    and paths are already names.

    Raises:
        UserError: the object has no name in a file, for example because a notebook defines it.

    Example:
        >>> named("f1"), named(named).endswith("own.py:named")
        ('f1', True)
    """
    if isinstance(value, str | PurePath):
        return str(value)
    name = getattr(value, "__name__", "")
    module = sys.modules.get(getattr(value, "__module__", ""))
    file = Path(getattr(module, "__file__", None) or "")
    if file.suffix != ".py" or vars(module).get(name) is not value:
        shown = name or type(value).__name__
        raise UserError(
            f"{shown} is not in a file, so a resumed run could not load it; move it to a file and "
            "use FILE.py:NAME"
        )
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    return f"{file}:{name}"


def own(setting: str, spec: str) -> Any:
    """The object that a setting names; its file is executed.

    Raises:
        UserError: there is no such file, or it has no such object.
    """
    if spec in of_packages(setting):
        return of_packages(setting)[spec].load()
    from pyswarmopt.base.own_file import object_of

    file, _, name = spec.rpartition(":")
    if file:
        spec = f"{user_path(file)}:{name}"
    try:
        return object_of(spec, f"`{setting}`")
    except ValueError as error:
        raise UserError(str(error)) from error


def fingerprint(spec: str) -> str:
    """SHA-256 (hex) of an object's file and of the files beside it that it imports; for a package,
    of its name.
    """
    file = user_path(spec.rpartition(":")[0])
    content = spec.encode()
    if file.is_file():
        from pyswarmopt.base.own_file import sources

        content = sources(file)
    return hashlib.sha256(content).hexdigest()


def use_names(config: Any) -> None:
    """Replace paths and objects in a configuration by names. In a tuple field, a single value
    becomes a tuple, and a dictionary becomes ``name=value`` texts.
    """
    kind: Any = type(config)
    for name, several in _several(kind).items():
        value = getattr(config, name)
        if not several:
            names = _one(name, value)
        elif isinstance(value, Mapping):
            names = tuple(f"{key}={_one(name, each)}" for key, each in value.items())
        elif isinstance(value, tuple | list):
            names = tuple(_one(name, each) for each in value)
        else:
            names = (_one(name, value),)
        object.__setattr__(config, name, names)


def _one(name: str, value: Any) -> Any:
    plain = value is None or isinstance(value, str | tuple | list)
    if isinstance(value, PurePath) or (name in _OBJECTS and not plain):
        return named(value)
    return value


@cache
def _several(config: type[Any]) -> dict[str, bool]:
    """Field of a configuration -> whether it is a tuple."""
    hints = get_type_hints(config)
    return {each.name: get_origin(hints[each.name]) is tuple for each in fields(config)}
