"""Untrusted JSON: excessive nesting, non-numbers and duplicate keys are rejected while parsing."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100  # levels; real files have about ten


def parse_json(text: str | bytes, unique: bool = False, numbers: bool = False) -> Any:
    """Parse a JSON text.

    Args:
        text: the text; bytes are UTF-8 (or UTF-16 or UTF-32).
        unique: reject duplicate keys in an object, of which Python keeps the last.
        numbers: reject NaN and Infinity, which are not JSON.

    Raises:
        json.JSONDecodeError: malformed; has the position.
        ValueError: any of the above, nesting too deep, an integer with thousands of digits, bytes that are not text.

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
