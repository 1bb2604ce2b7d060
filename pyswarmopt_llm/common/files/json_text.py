"""JSON from outside: what is nested without end, no number, or given twice is refused before anybody walks over it."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100  # levels; what people and libraries write has ten or so


def parse_json(text: str | bytes, unique: bool = False, numbers: bool = False) -> Any:
    """The value that a JSON text holds.

    Args:
        text: the text; bytes are UTF-8 (or UTF-16 or UTF-32).
        unique: refuse an object in which a key is given twice, of which Python keeps the last.
        numbers: refuse NaN and Infinity, which are no JSON.

    Raises:
        json.JSONDecodeError: malformed; has the place.
        ValueError: any of the above, a level too deep, an integer of thousands of digits, bytes that are no text.

    Example:
        >>> parse_json(101 * "[" + 101 * "]")
        Traceback (most recent call last):
        ValueError: nested too deeply (more than 100 levels)
    """
    too_deep = f"nested too deeply (more than {DEEPEST} levels)"
    try:
        value = json.loads(
            text, object_pairs_hook=_unique if unique else None, parse_constant=_no_number if numbers else None
        )
    except RecursionError as error:
        raise ValueError(too_deep) from error
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return value
    raise ValueError(too_deep)


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f'"{key}" is given twice in one object; rename or remove one')
        content[key] = value
    return content


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


__all__ = ["DEEPEST", "parse_json"]
