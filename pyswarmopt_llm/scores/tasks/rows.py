"""Makes a task of a file's rows; lists the rows that cannot be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import Columns, Reading, T, find_columns
from pyswarmopt_llm.scores.tasks.draw import draw_splits
from pyswarmopt_llm.scores.tasks.labels import check_label, label_choices, listed
from pyswarmopt_llm.scores.tasks.table import FileRow, Table, read_table
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item, Task

DEV_SHARE = 3  # one item in three becomes dev
NAMED = 20  # most kinds of fault in a message
ALIKE = 3  # most rows with one fault
SKIPPED = 10  # most skipped rows in a note


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
        if not (verbatim or table.has_splits or any(item.choices for item in items)):
            written = 'answers are written, since there are no choices and no column "label"'
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
    if not skip:
        raise _refusal(table.path, bad, skip is not None)
    if not results:
        rows = counted(len(table.rows), "row")
        raise UserError(f"{table.path}: none of {rows} is left; see why without `skip_bad_rows`")
    return results, left_out(table, list(bad))


def left_out(table: Table, locations: Sequence[str]) -> str:
    """A note on skipped rows of a table: number and location."""
    places = [location.removeprefix(f"{table.path}: ") for location in locations]
    return f"{len(places)} of {len(table.rows)} rows left out ({listed(places, SKIPPED)})"


def _refusal(path: Path, bad: Mapping[str, UserError], can_skip: bool) -> UserError:
    """An error that lists the faults; rows with the same fault share a line."""
    or_skip = ", or leave out with `skip_bad_rows`" if can_skip else ""
    if len(bad) == 1:
        return UserError(next(iter(bad.values())).text + or_skip)
    rows = dict[str, list[str]]()
    for location, error in bad.items():
        problem = error.text.removeprefix(f"{location}: ")
        fault = problem.rpartition("; ")[0] or problem
        rows.setdefault(fault, []).append(location.removeprefix(f"{path}: "))
    texts = [f"{listed(places, ALIKE)}: {fault}" for fault, places in rows.items()]
    faults = "; ".join(texts[:NAMED])
    if len(texts) > NAMED or max(map(len, rows.values())) > ALIKE:
        faults += f"; all are listed in {_written(bad)}"
    return UserError(f"{path}: {counted(len(bad), 'bad row')}: {faults}; fix them{or_skip}")


def _written(bad: Mapping[str, UserError]) -> str:
    """A new file with a line for each bad row."""
    handle, name = tempfile.mkstemp(prefix="swarm-llm-bad-rows-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{error.text}\n" for error in bad.values())
    return name
