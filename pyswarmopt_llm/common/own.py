"""Users' own code named in a setting: FILE.py:NAME, or an entry point of a package."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import PurePath
from typing import Any, get_origin, get_type_hints

from pyswarmopt.base.own_file import object_of, sources
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.registry import plugins

_PLAIN = (str, int, float, tuple)  # settings are of these types


def is_function(spec: str) -> bool:
    """Whether a name means an object in a Python file.

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
    return plugins(setting if setting.endswith("s") else f"{setting}s")


def own(setting: str, spec: str) -> Any:
    """The object that a setting names; its file is executed.

    Raises:
        UserError: no such file, or no such object in it.
    """
    if spec in of_packages(setting):
        return of_packages(setting)[spec].load()
    file, _, name = spec.rpartition(":")
    try:
        return object_of(f"{user_path(file)}:{name}" if file else spec, f"`{setting}`")
    except ValueError as error:
        raise UserError(str(error)) from error


def fingerprint(spec: str) -> str:
    """SHA-256 (hex) of an object's file and what it imports from beside it; of a package, of its
    name.
    """
    file = user_path(spec.rpartition(":")[0])
    content = sources(file) if file.is_file() else spec.encode()
    return hashlib.sha256(content).hexdigest()


def use_names(config: Any) -> None:
    """Turn paths in a configuration into texts, and a single value of a tuple field into a tuple.

    Raises:
        UserError: a value is an object, which a resumed run could not load.
    """
    kind: Any = type(config)
    hints = _hints(kind)
    for each in fields(config):
        value = getattr(config, each.name)
        if get_origin(hints[each.name]) is tuple:
            if isinstance(value, tuple | list):
                several = value
            else:
                several = (value,)
            value = tuple(_plain(each.name, one) for one in several)
        object.__setattr__(config, each.name, _plain(each.name, value))


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, _PLAIN):
        return value
    raise InvalidOption(name, type(value).__name__, "is an object; write FILE.py:NAME or its name")


_hints = cache(get_type_hints)
