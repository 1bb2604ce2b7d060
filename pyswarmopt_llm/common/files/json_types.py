"""Untrusted JSON: forbidden content is rejected while parsing, and values are read by type
annotations.

Dataclasses are read from objects, tuples from lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

# pydantic adds them to a path where a value may have several types
_TYPES = ("str", "int")


class WrongType(ValueError):
    """A missing value, or one of the wrong type.

    Attributes:
        path: fields and keys that lead to it, separated by spaces.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is missing or has the wrong type")
        self.path = path


def typed(value: object, hint: Any) -> Any:
    """Read a JSON value as a type, by pydantic in strict mode.

    Numbers are finite.

    Args:
        value: parsed JSON.
        hint: ``None``, ``bool``, ``int``, ``float``, ``str``, ``Any``, a dataclass, a
            ``TypedDict``, a union, or ``list``, ``tuple`` and ``dict[str, ...]`` of those. Fields
            unknown to a dataclass are dropped.

    Raises:
        WrongType: names the place of the first wrong value.

    Example:
        >>> typed({"a": [1, 2.5]}, dict[str, tuple[float, ...]])
        {'a': (1.0, 2.5)}
        >>> typed({"a": [True]}, dict[str, tuple[int, ...]])
        Traceback (most recent call last):
        pyswarmopt_llm.common.files.json_types.WrongType: a is missing or has the wrong type
    """
    from pydantic import ValidationError

    try:
        return _reader(hint).validate_json(json.dumps([value]))[0]
    except ValidationError as error:
        places = [place for place in error.errors()[0]["loc"] if isinstance(place, str)]
        raise WrongType(" ".join(name for name in places if name not in _TYPES)) from error


@cache
def _reader(hint: Any) -> Any:
    """A reader of one-element lists of a type."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(list[hint], config=ConfigDict(strict=True, allow_inf_nan=False))


def parse_json(text: str | bytes, unique: bool = False) -> Any:
    """Parse a JSON text.

    Args:
        text: text; bytes are UTF-8 (or UTF-16 or UTF-32).
        unique: whether to reject duplicate keys, of which Python keeps the last. NaN, which pandas
            writes for a missing value, and the infinities then become None, and `str` of a fraction
            is as written.

    Raises:
        json.JSONDecodeError: the text is malformed; the error has the position.
        ValueError: any of the above, the nesting is too deep, an integer has thousands of digits,
            or bytes are not text.
    """
    try:
        if not unique:
            return json.loads(text)
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_missing,
            parse_float=_Number,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def as_written(value: Any) -> str:
    """The JSON of a value, with the numbers of `parse_json` as they were written.

    Example:
        >>> as_written(parse_json('{"a": [1.10, -0.0, null]}', unique=True))
        '{"a": [1.10, -0.0, null]}'
    """
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(k, ensure_ascii=False)}: {as_written(v)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_written, value))}]"
    return json.dumps(value, ensure_ascii=False)


class _Number(float):
    """A number that is shown as it was written: 1.10, 1e3."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def _missing(constant: str) -> None:
    """The value of NaN or an infinity, which JSON does not have."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f'"{key}" appears twice in one object; rename or remove one')
        content[key] = value
    return content
