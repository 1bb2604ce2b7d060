"""Read `history.jsonl`: one scored position per line, each line proven to be what a search writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.regular import LINES_LIMIT, open_regular


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
    try:
        with open_regular(path, LINES_LIMIT) as file:
            file.seek(start)
            data = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
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
    if not all(good(row[name]) for name, good in _OPTIONAL.items() if name in row):
        return False
    return "number" not in row or (_count(row["number"]) and _count(row.get("asked")))


def _number(value: object) -> bool:
    """A finite number that is not a truth value."""
    return fits(value, float)


def _count(value: object) -> bool:
    return fits(value, int) and value >= 0  # type: ignore[operator]


def _real(value: object) -> bool:
    """A number, infinite ones and NaN included."""
    return isinstance(value, float) or fits(value, int)


def _own(value: object) -> bool:
    """A task's value, its standard error (NaN where there is none) and count."""
    return isinstance(value, list) and len(value) == 3 and _number(value[0]) and _real(value[1]) and _count(value[2])


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
    "coefficients": lambda value: fits(value, list[float]),
    "value": _number,
    "n": _count,
    "seconds": lambda value: _number(value) and value >= 0,  # type: ignore[operator]
    "items": _items,
}

_OPTIONAL: dict[str, Callable[[object], bool]] = {
    "bounds": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_real, value)),
    "values": lambda value: isinstance(value, dict) and all(map(_own, value.values())),
}

__all__ = ["is_row", "read_journal"]
