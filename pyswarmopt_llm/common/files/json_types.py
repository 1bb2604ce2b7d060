"""Check values read from JSON against type annotations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

_LARGEST = 2**63 - 1


def fits(value: object, hint: Any) -> bool:
    """Whether `value` is of type `hint`, as far as JSON can express it (a tuple is a list).

    Numbers are finite and integers have 64 bits; strings are encodable as UTF-8 and contain no NUL.

    Args:
        value: read from JSON.
        hint: ``None``, ``bool``, ``int``, ``float``, ``str``, ``Any``, a union, or ``list``, ``tuple`` and
            ``dict[str, ...]`` of those.

    Example:
        >>> fits([1, 2.5], tuple[float, ...]), fits([1], tuple[float, float]), fits(True, int), fits("x", str | None)
        (True, False, False, True)
    """
    if hint is Any:
        return True
    if hint in (None, NoneType):
        return value is None
    if hint in _PLAIN:
        return _PLAIN[hint](value)
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(fits(value, kind) for kind in inner)
    if kind is dict:
        return isinstance(value, dict) and all(fits(k, str) and fits(v, inner[1]) for k, v in value.items())
    if kind in (list, tuple):
        return isinstance(value, list) and _elements(value, inner)
    raise TypeError(f"{hint!r} is no type that JSON can have")


def wrong_field(value: Mapping[str, object], shape: Mapping[str, Any]) -> str | None:
    """The first field of an object that is missing or not of its type; None if all are as they should be.

    Args:
        value: read from JSON; what `shape` does not name may be anything.
        shape: field -> type, as in `fits`.

    Example:
        >>> wrong_field({"n": 1, "more": []}, {"n": int}), wrong_field({"n": "1"}, {"n": int})
        (None, 'n')
    """
    return next((name for name, hint in shape.items() if name not in value or not fits(value[name], hint)), None)


def _elements(value: list[Any], inner: tuple[Any, ...]) -> bool:
    if len(inner) == 1 or inner[1] is Ellipsis:
        return all(fits(element, inner[0]) for element in value)
    return len(value) == len(inner) and all(map(fits, value, inner))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _number(value: object) -> bool:
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


def _text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


_PLAIN = {bool: lambda value: isinstance(value, bool), int: _whole, float: _number, str: _text}
