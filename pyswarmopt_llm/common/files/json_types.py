"""Untrusted JSON: forbidden content is rejected while parsing, and values are read by type
annotations.

Dataclasses are read from objects, tuples from lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

DEEPEST = 100  # levels; real files have about ten
# pydantic adds them to a path where a value may have several types
_TYPES = ("str", "int", "constrained-str")


class WrongType(ValueError):
    """A missing value, or one of the wrong type.

    Attributes:
        path: fields and keys that lead to it, separated by spaces.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is missing or of a wrong type")
        self.path = path


def typed(value: object, hint: Any, path: str = "") -> Any:
    """Read a JSON value as a type, by pydantic in strict mode.

    Numbers are finite, integers have 64 bits, and strings contain no NUL.

    Args:
        value: parsed JSON.
        hint: ``None``, ``bool``, ``int``, ``float``, ``str``, ``Any``, a dataclass, a
            ``TypedDict``, a union, or ``list``, ``tuple`` and ``dict[str, ...]`` of those. Fields
            unknown to a dataclass are dropped.
        path: path of the value, for the error.

    Raises:
        WrongType: names the place of the first wrong value.

    Example:
        >>> typed({"a": [1, 2.5]}, dict[str, tuple[float, ...]])
        {'a': (1.0, 2.5)}
    """
    from pydantic import ValidationError

    try:
        if _is_unsafe(value):
            raise WrongType(path or "an integer of 64 bits, or a text without NUL,")
        return _reader(hint).validate_json(json.dumps([value]))[0]
    except ValidationError as error:
        wrong = error.errors()[0]
        cause = wrong.get("ctx", {}).get("error")  # raised by a dataclass that checks itself
        inner = cause.path if isinstance(cause, WrongType) else ""
        places = [place for place in wrong["loc"] if isinstance(place, str)]
        names = [name for name in (path, *places, inner) if name not in _TYPES]
        raise WrongType(" ".join(filter(None, names))) from error


def _is_unsafe(value: object) -> bool:
    """Whether a value contains an integer of more than 64 bits, or a text with NUL."""
    if isinstance(value, dict):
        return any(map(_is_unsafe, (*value, *value.values())))
    if isinstance(value, list):
        return any(map(_is_unsafe, value))
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, int) and value.bit_length() > 63


@cache
def _reader(hint: Any) -> Any:
    """A reader of one-element lists of a type."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(list[hint], config=ConfigDict(strict=True, allow_inf_nan=False))


def fits(value: object, hint: Any) -> bool:
    """Whether `value` is of type `hint`, see `typed`.

    Example:
        >>> import math
        >>> fits([1, 2.5], tuple[float, ...]), fits([1], tuple[float, float]), fits(True, int), fits("x", str | None)
        (True, False, False, True)
        >>> fits([2**62], list[int]), fits([2**63], list[int]), fits(math.nan, float), fits(chr(0), str)
        (True, False, False, False)
    """
    try:
        typed(value, hint)
    except WrongType:
        return False
    return True


def wrong_field(value: Mapping[str, object], shape: Mapping[str, Any]) -> str | None:
    """The first missing or wrong field of an object; None if there is none.

    Args:
        value: parsed JSON; fields not in `shape` may have any value.
        shape: field -> type, as in `typed`.

    Example:
        >>> wrong_field({"n": 1, "more": []}, {"n": int}), wrong_field({"n": "1"}, {"n": int})
        (None, 'n')
    """
    for name, hint in shape.items():
        if name not in value or not fits(value[name], hint):
            return name
    return None


def parse_json(text: str | bytes, unique: bool = False) -> Any:
    """Parse a JSON text.

    Args:
        text: text; bytes are UTF-8 (or UTF-16 or UTF-32).
        unique: whether to reject duplicate keys, of which Python keeps the last; then NaN, by which
            pandas writes a missing value, and the infinities are None.

    Raises:
        json.JSONDecodeError: malformed; has the position.
        ValueError: any of the above, nesting too deep, an integer with thousands of digits, bytes
            that are not text.

    Example:
        >>> parse_json(101 * "[" + 101 * "]")
        Traceback (most recent call last):
        ValueError: nested too deeply (more than 100 levels)
    """
    hook = _unique if unique else None
    constant = _missing if unique else None
    with suppress(RecursionError):
        value = json.loads(text, object_pairs_hook=hook, parse_constant=constant)
        level: list[Any] = [[value]]
        for _ in range(DEEPEST + 1):
            parts = (part.values() if isinstance(part, dict) else part for part in level)
            level = [one for part in parts for one in part if isinstance(one, dict | list)]
            if not level:
                return value
    raise ValueError(f"nested too deeply (more than {DEEPEST} levels)")


def _missing(constant: str) -> None:
    """The value of NaN or an infinity, which JSON does not have."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f'"{key}" is given twice in one object; rename or remove one')
        content[key] = value
    return content
