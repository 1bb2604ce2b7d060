"""Read `history.jsonl`: one scored position per line, each line proven to be what a search writes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError


def read_journal(path: Path, start: int = 0, first: int = 1) -> tuple[list[dict[str, Any]], int]:
    """Rows of the journal, and the byte at which they end; a last line without its end is left out.

    Args:
        path: the journal; one that is not there has no rows.
        start: byte from which to read, the end of what was read before.
        first: number of the line that begins there, for messages.

    Raises:
        UserError: a line before the last is damaged.
    """
    if not path.exists():
        return [], start
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    size = data.rfind(b"\n") + 1
    rows = []
    for number, line in enumerate(data[:size].splitlines(), start=first):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not is_row(row):
            raise UserError(f"{path}: line {number}: damaged; restore it, or remove this line and those after it")
        rows.append(row)
    return rows, start + size


def is_row(row: object) -> bool:
    """Whether `row` has all columns of a scored position, with values of their kinds.

    Example:
        >>> is_row({"phase": "search"})
        False
    """
    if not isinstance(row, dict) or not all(name in row and good(row[name]) for name, good in _COLUMNS.items()):
        return False
    if "margins" in row and not (isinstance(row["margins"], dict) and all(map(_margins, row["margins"].values()))):
        return False
    return "number" not in row or (_count(row["number"]) and _count(row.get("asked")))


def _number(value: object) -> bool:
    """A finite number that is not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _items(value: object) -> bool:
    """Task name -> values per item, in either of the forms of `objective.pack`."""
    return isinstance(value, Mapping) and all(_packed(items) for items in value.values()) and bool(value)


def _margins(value: object) -> bool:
    """Of each item None, or its margins."""
    return isinstance(value, list) and all(m is None or (isinstance(m, list) and all(map(_number, m))) for m in value)


def _packed(items: object) -> bool:
    if isinstance(items, str):
        return set(items) <= set("01?")
    return isinstance(items, list) and all(value is None or _number(value) for value in items)


_COLUMNS: dict[str, Callable[[object], bool]] = {
    "phase": lambda value: isinstance(value, str),
    "iteration": _count,
    "particle": _count,
    "key": lambda value: isinstance(value, str),
    "coefficients": lambda value: isinstance(value, list),
    "value": _number,
    "n": _count,
    "seconds": lambda value: _number(value) and value >= 0,  # type: ignore[operator]
    "items": _items,
}

__all__ = ["is_row", "read_journal"]
