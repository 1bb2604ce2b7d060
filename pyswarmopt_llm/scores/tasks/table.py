"""A table as a task: its rows as items, labels as choices, dev and test as it says or drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import (
    LABEL,
    Columns,
    Reading,
    find_columns,
)
from pyswarmopt_llm.scores.tasks.formats import Row, Table, read_table
from pyswarmopt_llm.scores.tasks.items import parse_item
from pyswarmopt_llm.scores.tasks.types import Item, Task

T = TypeVar("T")
NAMED = 20  # bad rows in a message
# dev is one item in so many; of prompts, which nobody has to answer, every other one
DEV_SHARE, DEV_SHARE_OF_PROMPTS = 3, 2


def read_task(path: Path, reading: Reading, prompts: bool = False) -> Task:
    """All items of a file of questions with answers, or of prompts in a column ``prompt``.

    Args:
        path: of the file.
        reading: the user's settings.
        prompts: whether its items are prompts, whatever the columns, each once: the lines of a text
            file, plain texts in JSON, or a column of questions. Half of them are drawn as dev.

    Raises:
        UserError: see `read_table`, `find_columns` and `parse_rows`.
    """
    if prompts and not os.path.isfile(path):
        why = "no such file; give a text file (a prompt a line), JSONL or CSV"
        raise InvalidOption("prompts", str(path), why)
    table = read_table(path, "prompt" if prompts else "")
    if not table.rows:
        raise UserError(f"{path}: no rows; add some, below the names of the columns in CSV")
    if prompts:
        from pyswarmopt_llm.scores.tasks.prompt_rows import columns_of_prompts, prompt_reader

        columns = columns_of_prompts(table, reading.columns)
        parse = prompt_reader(columns)
    else:
        columns = find_columns(table, reading.columns)
        parse = _item_reader(columns)
    verbatim = columns.question == "prompt"
    items, note = parse_rows(table, parse, reading.skip_bad)
    if not verbatim:
        items, labels = _labelled(items, columns, table, reading)
        note = "; ".join(filter(None, (note, labels)))
    if columns.split:
        split_of = {row.place: row.values[columns.split] for row in table.rows}
        dev, test = (
            tuple(item for item in items if split_of[item.place] == name)
            for name in ("dev", "test")
        )
        strata = None
    else:
        from pyswarmopt_llm.scores.tasks.draw import draw_splits

        share = DEV_SHARE_OF_PROMPTS if prompts else DEV_SHARE
        dev, test, strata = draw_splits(items, reading.seed, str(path), share)
    return Task(
        table.name or path.stem,
        dev,
        test,
        table.prompt,
        str(path),
        metric=table.metric,
        note=note,
        column="prompt" if prompts else columns.header(columns.question),
        strata=strata,
    )


def _item_reader(columns: Columns) -> Callable[[Row], Item]:
    """Reads the row of an item with an answer, which a verbatim prompt may lack."""
    verbatim = columns.question == "prompt"
    needed = ("prompt",) if verbatim else (columns.question, columns.answer)

    def read(row: Row) -> Item:
        columns.check(row, needed)
        return parse_item(columns.record(row), row.place, row.id)

    return read


def _labelled(
    items: list[Item], columns: Columns, table: Table, reading: Reading
) -> tuple[list[Item], str]:
    """The items with their labels as choices, if they have no options; and a note on that."""
    if any(item.choices for item in items):
        if reading.labels:
            why = f"names labels, but {table.path} has options; remove it"
            raise InvalidOption("columns", ",".join(reading.labels), why)
        return items, ""
    if columns.answer != LABEL and not reading.labels:
        written = 'answers are written, since there are no choices and no column "label"'
        return items, "" if table.has_splits else written
    from pyswarmopt_llm.scores.tasks.labels import with_label_choices

    where = f'{table.path}: column "{columns.header(columns.answer)}"'
    return with_label_choices(items, reading.labels, where)


def parse_rows(
    table: Table, parse: Callable[[Row], T], skip: bool | None = None
) -> tuple[list[T], str]:
    """The results of the good rows, and a note on those that are left out.

    Args:
        table: the rows.
        parse: a row -> its result.
        skip: whether bad rows are left out instead of refused; None: the command cannot.

    Raises:
        UserError: there are bad rows: of one what is wrong with it, of several a list; or no row is
            left.
    """
    results, bad = [], dict[str, UserError]()
    for row in table.rows:
        try:
            results.append(parse(row))
        except UserError as error:
            bad[row.place] = error
    if bad and not skip:
        raise _refusal(table.path, list(bad.values()), skip is not None)
    if not results:
        rows = counted(len(table.rows), "row")
        raise UserError(f"{table.path}: none of {rows} is left; see why without `skip_bad_rows`")
    return results, left_out(table, list(bad)) if bad else ""


def left_out(table: Table, places: Sequence[str]) -> str:
    """How many of a table's rows are left out, and where they stand."""
    named = ", ".join(place.removeprefix(f"{table.path}: ") for place in places[:NAMED])
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return f"{len(places)} of {len(table.rows)} rows left out ({named}{more})"


def _refusal(path: Path, errors: Sequence[UserError], can_skip: bool) -> UserError:
    remedy = ["leave out with `skip_bad_rows`"] if can_skip else []
    if len(errors) == 1:
        return UserError(", or ".join([errors[0].text, *remedy]))
    problems = (error.text.removeprefix(f"{path}: ") for error in errors[:NAMED])
    texts = [problem.rpartition("; ")[0] or problem for problem in problems]
    if len(errors) > NAMED:
        texts.append(f"and {len(errors) - NAMED} more")
    texts += [f"mend them, or {text}" for text in remedy] or ["mend them"]
    return UserError(f"{path}: {counted(len(errors), 'bad row')}: {'; '.join(texts)}")
