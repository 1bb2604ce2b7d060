"""Users' own code, named FILE.py:NAME in a setting."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from numbers import Number
from pathlib import PurePath
from typing import Any, get_origin, get_type_hints

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path


def is_function(spec: str) -> bool:
    """Whether a name refers to an object in a Python file.

    Example:
        >>> is_function("mine.py:score"), is_function("style=mine.py:score"), is_function("judge:rules.txt")
        (True, True, False)
    """
    return spec.endswith(".py") or spec.rpartition(":")[0].endswith(".py")


def own(setting: str, spec: str) -> Any:
    """The object that a setting names; its file is executed.

    Raises:
        UserError: there is no such file, or it has no such object.
    """
    from pyswarmopt.base.own_file import object_of

    file, _, name = spec.rpartition(":")
    if file:
        spec = f"{user_path(file)}:{name}"
    try:
        return object_of(spec, f"`{setting}`")
    except ValueError as error:
        raise UserError(str(error)) from error


def fingerprint(spec: str) -> str:
    """SHA-256 (hex) of an object's file and of the files beside it that it imports."""
    from pyswarmopt.base.own_file import sources

    return hashlib.sha256(sources(user_path(spec.rpartition(":")[0]))).hexdigest()


def use_names(config: Any) -> None:
    """Replace paths in a configuration by texts, and lists and single values of tuple fields by tuples.

    Raises:
        InvalidOption: a value is an object, such as a function, that a resumed run could not load.
    """
    hints = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        if get_origin(hints[field.name]) is not tuple:
            value = _text(field.name, value)
        elif isinstance(value, tuple | list):
            value = tuple(_text(field.name, each) for each in value)
        else:
            value = (_text(field.name, value),)
        object.__setattr__(config, field.name, value)


def _text(field: str, value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, str | Number):
        return value
    name = getattr(value, "__name__", type(value).__name__)
    raise InvalidOption(
        field, name, "is not a text; use FILE.py:NAME for a function, NAME=VALUE for a dict"
    )
