"""Rows without answers: prompts, without duplicates, and new questions in the form of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import (
    QUESTION,
    Columns,
    Reading,
    find_columns,
    first_of,
    in_other_case,
    parse_reading,
)
from pyswarmopt_llm.scores.tasks.items import content, parse_item
from pyswarmopt_llm.scores.tasks.rows import left_out, parse_rows, task_of
from pyswarmopt_llm.scores.tasks.table import FileRow, Table, read_table
from pyswarmopt_llm.scores.tasks.templates import placeholders
from pyswarmopt_llm.scores.tasks.types import Form, Item, Task

log = logging.getLogger(__name__)
_NOT_ASKED = ("prompt", "id", "answer", "answers", "right")


DEV_SHARE = 2  # half of the prompts are dev, since no one has to answer them


def read_prompts(name: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """All prompts of a file, without duplicates: lines of a text file, plain texts in JSON, or a
    column of prompts or questions.

    Raises:
        UserError: see `read_task`.
    """
    path = Path(name)
    if not os.path.isfile(path):
        why = "no such file; give a text file (a prompt a line), JSONL or CSV"
        raise InvalidOption("prompts", name, why)
    table = read_table(path, "prompt")
    columns = _columns_of_prompts(table, reading.columns)
    items, note = parse_rows(table, prompt_reader(columns), reading.skip_bad)
    task = task_of(table, columns, items, note, reading.seed, DEV_SHARE)
    return replace(task, column="prompt")


def _columns_of_prompts(table: Table, told: Mapping[str, str]) -> Columns:
    """The columns, with the user's names; the question column holds the prompts."""
    told = {"prompt" if name == "question" else name: column for name, column in told.items()}
    spelt = in_other_case(table.names, told)
    column = first_of(("prompt", *QUESTION), (*table.names, *spelt))
    told = {"prompt": spelt.get(column, column), **told} if column else told
    return find_columns(table, told, answered=False, prompts=True)


def prompt_reader(columns: Columns) -> Callable[[FileRow], Item]:
    """Returns a reader of prompt rows that refuses duplicates."""
    seen: dict[tuple[str, ...], str] = {}

    def read(row: FileRow) -> Item:
        columns.check(row, ("prompt",))
        record = {**columns.record(row), "choices": None}
        item = parse_item(record, row.location, row.id.removeprefix("row-"))
        other = seen.setdefault(content(item), row.location)
        if other != row.location:
            line = other.rpartition(": ")[2]
            raise UserError(f"{row.location}: the same prompt as {line}; remove one of them")
        return item

    return read


_UNNEEDED = ("answer", "label", "split")  # columns that new rows may lack


def new_items(form: Form, table: Table, specs: Sequence[str] = ()) -> list[Item | None]:
    """The rows of a new file as questions in this form, without answers; None for blank rows.

    Args:
        form: form of the search's task.
        table: the rows.
        specs: ``--columns`` of the search and of this file; answer columns that the file lacks are
            ignored.

    Raises:
        UserError: no rows, only blank rows, no such column, or rows without questions (all are
            named).
    """
    if not table.rows:
        raise UserError(f"{table.path}: no rows; give one for each question")
    told = {
        name: column
        for name, column in parse_reading(specs).columns.items()
        if name not in _UNNEEDED or column in table.names
    }
    told = {"question": form.column, **told}
    columns = replace(find_columns(table, told, answered=False), split="")
    needed = ["question", *placeholders(form.prompt or "")]
    needed = [name for name in needed if name != "choices"]
    blank: dict[str, UserError] = {}

    def parse(row: FileRow) -> Item | None:
        try:
            columns.check(row, needed)
        except UserError as error:
            blank[row.location] = error
            return None
        return _question(form, columns, row)

    items, _ = parse_rows(table, parse)
    if len(blank) == len(table.rows):
        raise next(iter(blank.values()))
    if blank:
        log.warning("%s: %s, since they are blank", table.path, left_out(table, list(blank)))
    return items


def _question(form: Form, columns: Columns, row: FileRow) -> Item:
    """A row as a question in this form, without its answer.

    Raises:
        UserError: the row has no choices, and the form none.
    """
    values = {
        name: value
        for name, value in columns.record(row).items()
        if value not in (None, "") and name not in _NOT_ASKED
    }
    if form.choices is not None:
        values.pop("choices", None)
    elif "choices" not in values:
        raise UserError(
            f"{row.location}: no choices; give a file whose rows have them, as the search's questions do"
        )
    item = parse_item(values, row.location, row.location, answered=False)
    return item if form.choices is None else replace(item, choices=dict(form.choices))
