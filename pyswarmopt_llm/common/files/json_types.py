"""Untrusted JSON: what it may not hold is rejected while parsing; values by annotations.

Dataclasses are read from objects, tuples from lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from typing import Any

DEEPEST = 100  # levels; real files have about ten
# which pydantic names, too, where a value may have several types
_TYPES = ("str", "int", "constrained-str")


class WrongType(ValueError):
    """A value is missing or not of its type.

    Attributes:
        path: fields and keys that lead to it, separated by spaces.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is missing or of a wrong type")
        self.path = path


def typed(value: object, hint: Any, path: str = "") -> Any:
    """Read a value of JSON as a type, by pydantic in its strict mode.

    Numbers are finite, integers have 64 bits, and strings contain no NUL.

    Args:
        value: read from JSON.
        hint: ``None``, ``bool``, ``int``, ``float``, ``str``, ``Any``, a dataclass, a
            ``TypedDict``, a union, or ``list``, ``tuple`` and ``dict[str, ...]`` of those. What a
            dataclass does not name is left out.
        path: path of the value, for the error.

    Raises:
        WrongType: names the place of the first value that is not of its type.

    Example:
        >>> typed({"a": [1, 2.5]}, dict[str, tuple[float, ...]])
        {'a': (1.0, 2.5)}
    """
    from pydantic import ValidationError

    if _is_unsafe(value):
        raise WrongType(path or "an integer of 64 bits, or a text without NUL,")
    try:
        return _reader(hint).validate_json(json.dumps([value]))[0]
    except ValidationError as error:
        wrong = error.errors()[0]
        cause = wrong.get("ctx", {}).get("error")  # of a dataclass that checks itself
        inner = cause.path if isinstance(cause, WrongType) else ""
        places = [place for place in wrong["loc"] if isinstance(place, str)]
        names = [name for name in (path, *places, inner) if name not in _TYPES]
        raise WrongType(" ".join(filter(None, names))) from error


def _is_unsafe(value: object) -> bool:
    """Whether an integer in a value has more than 64 bits, or a text contains NUL."""
    if isinstance(value, dict):
        return any(map(_is_unsafe, chain(value, value.values())))
    if isinstance(value, list):
        return any(map(_is_unsafe, value))
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, int) and value.bit_length() > 63


@cache
def _reader(hint: Any) -> Any:
    """What reads a list of one value of a type."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(list[hint], config=ConfigDict(strict=True, allow_inf_nan=False))


def fits(value: object, hint: Any) -> bool:
    """Check whether `value` is of type `hint`, see `typed`.

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
