"""A table of a user's own as items: columns found by name or named by the user, choices from labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_text import parse_json
from pyswarmopt_llm.tasks.items import parse_item
from pyswarmopt_llm.tasks.tables.columns import LABEL, Columns
from pyswarmopt_llm.tasks.tables.draw import Located, draw_splits
from pyswarmopt_llm.tasks.tables.labels import with_label_choices
from pyswarmopt_llm.tasks.tables.names import SPLITS, Reading, Rows, checked_split, columns_of
from pyswarmopt_llm.tasks.types import RawTask


def read_table(rows: Rows, path: Path, reading: Reading, header: Sequence[str] = ()) -> RawTask:
    """The task of rows whose columns have our names already; `header` are columns that all rows may lack."""
    names = list(dict.fromkeys([*header, *columns_of(row for _, row in rows)]))
    if not rows:
        raise UserError(f"{path}: no rows; add some below the names of the columns")
    items, note = _items(rows, names, str(path), reading)
    if "split" not in names:
        splits, strata = draw_splits(items, reading.seed, str(path))
        return RawTask(path.stem, None, splits, strata=strata, note=note)
    splits = {split: [] for split in SPLITS}
    for (place, row), item in zip(rows, items, strict=True):
        splits[checked_split(row.get("split"), place)].append(item)
    return RawTask(path.stem, None, splits, note=note)


def _items(rows: Rows, names: Sequence[str], where: str, reading: Reading) -> tuple[list[Located], str]:
    if "prompt" in names and "question" not in names:  # verbatim prompts, as in every other file
        return [(place, parse_item(row, place, f"row-{i}")) for i, (place, row) in enumerate(rows, 1)], ""
    columns = Columns(names, where)
    table = [(_whole(row, columns, place, reading), place) for place, row in rows]
    columns.find_base(row[columns.answer] for row, _ in table)
    if not columns.base_is_clear(table):
        raise UserError(
            f'{where}: the numbers in "{columns.answer}" may count the options from 0 or from 1 (none is 0, none is '
            "the last); give the letters of the right options instead"
        )
    items = []
    for i, (row, place) in enumerate(table, 1):
        rest = {name: value for name, value in row.items() if name and name not in columns.used}
        items.append((place, parse_item(rest | columns.record(row, place), place, f"row-{i}")))
    if any(item.choices for _, item in items):
        return items, ""
    theirs = reading.columns.get(columns.answer, columns.answer)
    named = bool({columns.answer.casefold(), theirs.casefold()} & set(LABEL))
    return with_label_choices(items, f'{where}: column "{theirs}"', named)


def _whole(row: Mapping[str, Any], columns: Columns, where: str, reading: Reading) -> dict[str, Any]:
    """A row with a question and an answer, and with lists that a CSV file holds as JSON."""
    for column in (columns.question, columns.answer):
        if row.get(column) in (None, ""):
            theirs = reading.columns.get(column, column)
            raise UserError(f'{where}: nothing in column "{theirs}"; fill it in or remove the row')
    return {name: _parsed(value) if name == columns.options_column else value for name, value in row.items()}


def _parsed(value: Any) -> Any:
    """The list or object that a JSON text stands for."""
    if isinstance(value, str) and value.startswith(("[", "{")):
        try:
            return parse_json(value)
        except ValueError:
            pass  # `Columns` says that it is no list
    return value
