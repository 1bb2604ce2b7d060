"""Reads the rows of a file, by its suffix, and makes a task of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import Columns, Reading, T, find_columns
from pyswarmopt_llm.scores.tasks.items import check_unicode, kind_of
from pyswarmopt_llm.scores.tasks.table import (
    DELIMITED,
    FileRow,
    Table,
    parse_text,
    read_text,
    refuse_workbook,
)
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item, Task

SUFFIXES = (".json", ".jsonl", *DELIMITED)


_TEXT = (".txt", "")


DEV_SHARE = 3  # one item in three becomes dev


def read_table(path: Path, text: str = "") -> Table:
    """Read a file by its suffix.

    Args:
        path: path of the file.
        text: column for plain texts (in JSON, or lines of a text file); "": plain texts are
            refused.

    Raises:
        UserError: the file cannot be read, is no table, or has no rows.
    """
    table = _table_at(path, text)
    if not table.rows:
        raise UserError(f"{path}: no rows; add some, below the names of the columns in CSV")
    return table


def _table_at(path: Path, text: str) -> Table:
    suffix = path.suffix.lower()
    known = (*SUFFIXES, *_TEXT) if text else SUFFIXES
    if not os.path.exists(path):  # also for too long names
        sources = "builtin:NAME, hub:DATASET, published:NAME or lm-eval:NAME"
        raise UserError(f"{path}: no such task file; check path and folder, or give {sources}")
    refuse_workbook(path)
    if not path.is_file() or suffix not in known:
        endings = ", ".join(filter(None, known))
        raise UserError(f"{path}: not a table; give a file that ends in {endings}")
    if suffix in DELIMITED:
        from pyswarmopt_llm.scores.tasks.delimited import read_delimited

        return read_delimited(path)
    if suffix in (*_TEXT, ".jsonl"):
        from pyswarmopt_llm.scores.tasks.lines import json_lines, text_lines

        records = json_lines(path) if suffix == ".jsonl" else text_lines(path)
        return table_of(path, records, text)
    content = parse_text(read_text(path), path)
    if isinstance(content, list) and content:
        numbered = enumerate(content, 1)
        return table_of(path, ((f"{path}: example {i}", record) for i, record in numbered), text)
    return _with_splits(path, content)


def table_of(path: Path, records: Iterable[tuple[str, object]], text: str = "") -> Table:
    """The table of records, each with its location: objects, or plain texts for the column `text`."""
    rows = []
    for i, (location, record) in enumerate(records, 1):
        named = {text: record} if text and isinstance(record, str) else record
        rows.append(FileRow(location, f"row-{i}", _values(named, location)))
    return Table(path, _names(rows), rows)


def _with_splits(path: Path, content: object) -> Table:
    """The table of an object with a list per split, and perhaps a name, a prompt and a metric."""
    if not isinstance(content, dict) or not content.keys() >= set(SPLITS):
        found = f" (found: {', '.join(content) or 'nothing'})" if isinstance(content, dict) else ""
        shape = '{"dev": [...], "test": [...]}'
        raise UserError(f"{path}: not an object {shape} or a list of examples{found}; make it one")
    rows = []
    for split in SPLITS:
        if not isinstance(content[split], list):
            raise UserError(f'{path}: "{split}" must be a list of examples')
        for i, record in enumerate(content[split]):
            location = f"{path}: {split} example {i + 1}"
            rows.append(
                FileRow(location, f"{split}-{i}", {**_values(record, location), "split": split})
            )
    name, prompt, metric, example = (
        _optional_text(content, key, path) for key in ("dataset", "prompt", "metric", "icl_prompt")
    )
    if prompt is None and example is not None:  # as in the reference, before the default prompt
        escaped = example.replace("{", "{{").replace("}", "}}")
        prompt = f"{escaped}\nQuestion: {{question}}\n{{choices}}\nThe answer is"
    return Table(path, _names(rows), rows, True, "", name or "", prompt, metric)


def _optional_text(content: Mapping[str, object], key: str, path: Path) -> str | None:
    value = content.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UserError(f'{path}: "{key}" must be a text')
    check_unicode(value, f'"{key}"', str(path))
    return value


def _names(rows: Sequence[FileRow]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row.values))


def _values(record: object, location: str) -> Mapping[Any, Any]:
    """The values of a record; for ``messages`` without a question see `of_conversation`.

    Raises:
        UserError: no object, or no conversation with a last user turn.
    """
    if not isinstance(record, Mapping):
        kind = kind_of(record)
        raise UserError(f"{location}: an example is an object with question and answer, not {kind}")
    if "messages" not in record or "question" in record or "prompt" in record:
        return record
    from pyswarmopt_llm.scores.tasks.conversations import of_conversation

    return of_conversation(record, location)


def read_task(path: Path, reading: Reading) -> Task:
    """All items of a file of questions with answers.

    Args:
        path: file.
        reading: the user's settings.

    Raises:
        UserError: see `read_table`, `find_columns` and `parse_rows`.
    """
    table = read_table(path)
    columns = find_columns(table, reading.columns)
    verbatim = columns.question == "prompt"
    if not verbatim and (columns.labels or reading.labels):
        items, note = _with_labels(table, columns, reading)
    else:
        items, note = parse_rows(table, columns.item, reading.skip_bad)
        written = "" if verbatim else _written(items, table)
        note = "; ".join(filter(None, (note, written)))
    return task_of(table, columns, items, note, reading.seed)


def task_of(
    table: Table,
    columns: Columns,
    items: Sequence[Item],
    note: str,
    seed: int,
    share: int = DEV_SHARE,
) -> Task:
    """The task of a table's items: dev and test from the rows, or drawn with one item in `share` as
    dev.
    """
    strata = None
    if columns.split:
        split_of = {row.location: row.values[columns.split] for row in table.rows}
        dev, test = (
            tuple(item for item in items if split_of[item.location] == name) for name in SPLITS
        )
    else:
        from pyswarmopt_llm.scores.tasks.draw import draw_splits

        dev, test, strata = draw_splits(items, seed, str(table.path), share)
    return Task(
        table.name or table.path.stem,
        dev,
        test,
        table.prompt,
        str(table.path),
        metric=table.metric,
        note=note,
        column=columns.header(columns.question),
        strata=strata,
    )


def _with_labels(table: Table, columns: Columns, reading: Reading) -> tuple[list[Item], str]:
    """The items, with labels as choices unless they have options; and a note on rows and labels."""
    from pyswarmopt_llm.scores.tasks.labels import check_label, label_choices

    def parse(row: FileRow) -> Item:
        item = columns.item(row)
        check_label(item, reading.labels)
        return item

    items, note = parse_rows(table, parse, reading.skip_bad)
    if any(item.choices for item in items):
        if reading.labels:
            why = f"names labels, but {table.path} has options; remove it"
            raise InvalidOption("columns", ",".join(reading.labels), why)
        return items, note
    where = f'{table.path}: column "{columns.header("answer")}"'
    items, labels = label_choices(items, reading.labels, where)
    return items, "; ".join(filter(None, (note, labels)))


def _written(items: Sequence[Item], table: Table) -> str:
    """A note that answers are written, in case the file was meant to have labels."""
    if table.has_splits or any(item.choices for item in items):
        return ""
    return 'answers are written, since there are no choices and no column "label"'


def parse_rows(
    table: Table, parse: Callable[[FileRow], T], skip: bool | None = None
) -> tuple[list[T], str]:
    """The results of the good rows, and a note on skipped ones.

    Args:
        table: the rows.
        parse: turns a row into its result.
        skip: whether to skip bad rows instead of refusing; None: the command offers no choice.

    Raises:
        UserError: bad rows (all faults are listed), or no row is left.
    """
    results = []
    bad = dict[str, UserError]()
    for row in table.rows:
        try:
            results.append(parse(row))
        except UserError as error:
            bad[row.location] = error
    if not bad:
        return results, ""
    from pyswarmopt_llm.scores.tasks.bad_rows import note_on_bad

    return results, note_on_bad(table, bad, skip, len(results))
