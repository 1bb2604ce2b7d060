"""Rows of a file as prompts without answers, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import content, parse_item
from pyswarmopt_llm.scores.tasks.load import (
    QUESTION,
    Columns,
    FileRow,
    Table,
    find_columns,
    first_of,
)
from pyswarmopt_llm.scores.tasks.types import Item


def columns_of_prompts(table: Table, told: Mapping[str, str]) -> Columns:
    """The columns as the user tells them; the one of the questions holds the prompts."""
    told = {"prompt" if name == "question" else name: column for name, column in told.items()}
    column = first_of(("prompt", *QUESTION), table.names)
    told = {"prompt": column, **told} if column else told
    return find_columns(table, told, answered=False, prompts=True)


def prompt_reader(columns: Columns) -> Callable[[FileRow], Item]:
    """Reads the row of a prompt, and refuses one that was there before."""
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
