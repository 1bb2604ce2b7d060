"""Untrusted JSON: what it may not hold is rejected while parsing; values by annotations.

Dataclasses are read from objects, tuples from lists, everything else as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import chain
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

_LARGEST = 2**63 - 1
DEEPEST = 100  # levels; real files have about ten


class WrongType(ValueError):
    """A value is missing or not of its type.

    Attributes:
        path: fields that lead to it, separated by spaces.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is missing or of a wrong type")
        self.path = path


def typed(value: object, hint: Any, path: str = "") -> Any:
    """Read a value of JSON as a type.

    Numbers are finite and integers have 64 bits; strings are encodable as UTF-8 and contain no NUL.

    Args:
        value: read from JSON.
        hint: ``None``, ``bool``, ``int``, ``float``, ``str``, ``Any``, a dataclass, a
            ``TypedDict``, a union, or ``list``, ``tuple`` and ``dict[str, ...]`` of those. What a
            dataclass does not name is left out.
        path: of the value, for the error.

    Raises:
        WrongType: names the place of the first value that is not of its type.

    Example:
        >>> typed({"a": [1, 2.5]}, dict[str, tuple[float, ...]])
        {'a': (1, 2.5)}
    """
    if hint is Any:
        return value
    if hint in _PLAIN:
        return value if _PLAIN[hint](value) else _refuse(path)
    if is_dataclass(hint):
        return hint(**_fields(value, hint, path))  # type: ignore[operator]
    if is_typeddict(hint):
        return _fields(value, hint, path)
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        fitting = (one for one in reversed(inner) if fits(value, one))
        return typed(value, next(fitting, inner[0]), path)
    if kind in (dict, Mapping):
        if not isinstance(value, dict) or not all(map(_text, value)):
            return _refuse(path)
        return {key: typed(part, inner[1], path) for key, part in value.items()}
    if kind in (list, Sequence, tuple):
        return _elements(value, tuple if kind is tuple else list, inner, path)
    raise TypeError(f"{hint!r} is no type that JSON can have")


def fits(value: object, hint: Any) -> bool:
    """Check whether `value` is of type `hint`, see `typed`.

    Example:
        >>> fits([1, 2.5], tuple[float, ...]), fits([1], tuple[float, float]), fits(True, int), fits("x", str | None)
        (True, False, False, True)
    """
    try:
        typed(value, hint)
    except WrongType:
        return False
    return True


def wrong_field(value: Mapping[str, object], shape: Mapping[str, Any]) -> str | None:
    """The first field of an object that is missing or not of its type; None: there is none.

    Args:
        value: read from JSON; what `shape` does not name may be anything.
        shape: field -> type, as in `typed`.

    Example:
        >>> wrong_field({"n": 1, "more": []}, {"n": int}), wrong_field({"n": "1"}, {"n": int})
        (None, 'n')
    """
    return next(
        (name for name, hint in shape.items() if name not in value or not fits(value[name], hint)),
        None,
    )


def _refuse(path: str) -> Any:
    raise WrongType(path)


def _fields(value: object, kind: Any, path: str) -> dict[str, Any]:
    """The fields of a dataclass or ``TypedDict`` that an object has."""
    if not isinstance(value, dict):
        return _refuse(path)
    hints, required = _hints(kind)
    where = f"{path} ".lstrip()
    read = {}
    for name, hint in hints.items():
        if name in value:
            read[name] = typed(value[name], hint, where + name)
        elif name in required:
            return _refuse(where + name)
    return read


@cache
def _hints(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Field -> type, and the fields without a default."""
    hints = get_type_hints(kind)
    if is_typeddict(kind):
        return hints, kind.__required_keys__
    required = (
        f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING
    )
    return {f.name: hints[f.name] for f in fields(kind)}, frozenset(required)


def _elements(value: object, make: Callable[..., Any], inner: tuple[Any, ...], path: str) -> Any:
    if not isinstance(value, list):
        return _refuse(path)
    if make is list or inner[-1] is Ellipsis:
        inner = inner[:1] * len(value)
    if len(value) != len(inner):
        return _refuse(path)
    return make(typed(part, hint, path) for part, hint in zip(value, inner, strict=True))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _number(value: object) -> bool:
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


def _text(value: object) -> bool:
    return (
        isinstance(value, str)
        and "\0" not in value
        and not any("\ud800" <= c <= "\udfff" for c in value)
    )


_PLAIN: dict[Any, Callable[[Any], bool]] = {
    bool: lambda value: isinstance(value, bool),
    int: _whole,
    float: _number,
    str: _text,
    None: lambda value: value is None,
    NoneType: lambda value: value is None,
}


def parse_json(text: str | bytes, unique: bool = False) -> Any:
    """Parse a JSON text.

    Args:
        text: the text; bytes are UTF-8 (or UTF-16 or UTF-32).
        unique: reject duplicate keys in an object, of which Python keeps the last.

    Raises:
        json.JSONDecodeError: malformed; has the position.
        ValueError: any of the above, nesting too deep, an integer with thousands of digits, bytes
            that are not text.

    Example:
        >>> parse_json(101 * "[" + 101 * "]")
        Traceback (most recent call last):
        ValueError: nested too deeply (more than 100 levels)
    """
    too_deep = f"nested too deeply (more than {DEEPEST} levels)"
    try:
        value = json.loads(text, object_pairs_hook=_unique if unique else None)
    except RecursionError as error:
        raise ValueError(too_deep) from error
    level = [value]
    for _ in range(DEEPEST):
        level = list(chain.from_iterable(map(_inside, level)))
        if not level:
            return value
    raise ValueError(too_deep)


def _inside(value: Any) -> Iterator[Any]:
    """The objects and lists in a value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (part for part in parts if isinstance(part, dict | list))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f'"{key}" is given twice in one object; rename or remove one')
        content[key] = value
    return content
