"""Rows of a new file as questions of the form that a run remembers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import parse_item
from pyswarmopt_llm.scores.tasks.prompts import placeholders
from pyswarmopt_llm.scores.tasks.tables.columns import Columns
from pyswarmopt_llm.scores.tasks.tables.names import Rows, check_names, parse_reading, renamed
from pyswarmopt_llm.scores.tasks.tables.problems import Problems
from pyswarmopt_llm.scores.tasks.types import Form, Item

log = logging.getLogger(__name__)

_LEFT = ("prompt", "id", "choices", "answers", "right")  # of a row, beside what its answer is
_ANSWERS = ("answer", "label", "split")  # columns that a new file may lack


def new_items(
    form: Form, rows: Rows, names: Sequence[str], path: Path, specs: Sequence[str] = ()
) -> list[Item | None]:
    """The rows of a new file as questions of this form, without answers; None for blank ones.

    Args:
        form: of the search's task.
        rows: (place, row) as `read_rows` gives them.
        names: of all columns.
        path: for messages.
        specs: of ``--columns``, the search's and those for this file; what it lacks of answers is
            left out.

    Raises:
        UserError: no rows, all of them blank, no such column, or rows that are no questions, all of them named.
    """
    if not rows:
        raise UserError(f"{path}: no rows; give one for each question")
    columns = _columns(form, names, path, specs)
    kept = [name for name in names if name not in columns.values() and name not in columns]
    header = [*columns, *kept]
    table, needed = Columns(header, str(path), answered=False), _needed(form)

    def filled(place: str, row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        record = renamed(row, columns)
        for name in needed:
            if record.get(name) is None or not str(record[name]).strip():
                column = columns.get(name, name)
                raise UserError(f'{place}: nothing in column "{column}"; fill it in')
        return place, record

    def parse(place: str, record: Mapping[str, Any]) -> Item:
        return _item(form, table, record, place)

    blank, problems = Problems(str(path), skip=True), Problems(str(path))
    records = blank.each(rows, filled)
    if not records:
        raise next(iter(blank.bad.values()))
    items = dict(zip((place for place, _ in records), problems.each(records, parse), strict=False))
    problems.refuse()
    if blank.bad:
        log.warning("%s: %s, since they are blank", path, blank.note())
    return [items.get(place) for place, _ in rows]


def _needed(form: Form) -> list[str]:
    """Columns without which nothing can be asked."""
    others = placeholders(form.prompt or "")
    return ["question", *(name for name in others if name not in ("question", "choices"))]


def _item(form: Form, table: Columns, record: Mapping[str, Any], place: str) -> Item:
    """One row by our names as a question of the form."""
    left = {*table.used, *_LEFT}
    raw = {name: value for name, value in record.items() if name and name not in left and value}
    raw["question"] = record["question"]
    if form.choices is not None:
        return replace(parse_item(raw, place, place, answered=False), choices=dict(form.choices))
    options = table.options(record, place)
    if options is None:
        raise UserError(f"{place}: no choices; add them, as the search's questions have them")
    return parse_item({**raw, "choices": list(options.values())}, place, place, answered=False)


def _columns(form: Form, names: Sequence[str], path: Path, specs: Sequence[str]) -> dict[str, str]:
    """Our name of a column -> the new file's."""
    columns = dict(parse_reading(specs).columns)
    columns = {
        name: column for name, column in columns.items() if name not in _ANSWERS or column in names
    }
    columns.setdefault("question", form.column)
    if columns["question"] == form.column and form.column not in names:
        listed = ", ".join(map(str, names)) or "nothing"
        raise UserError(
            f'{path}: no column "{form.column}", where the search had its questions (found: '
            f"{listed}); "
            "name it: `columns` question=COLUMN"
        )
    check_names(columns, names, str(path))
    return columns
