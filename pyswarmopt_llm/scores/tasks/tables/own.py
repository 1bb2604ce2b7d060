"""A table of a user's own as items: columns by name, choices from labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.items import normalise, parse_item
from pyswarmopt_llm.scores.tasks.tables.columns import LABEL, Columns, question_column
from pyswarmopt_llm.scores.tasks.tables.draw import Placed, placed_task
from pyswarmopt_llm.scores.tasks.tables.names import Reading, Rows, checked_split, columns_of
from pyswarmopt_llm.scores.tasks.tables.problems import Problems
from pyswarmopt_llm.scores.tasks.types import Item, RawTask

MOST_LABELS = 200


def read_table(rows: Rows, path: Path, reading: Reading, header: Sequence[str] = ()) -> RawTask:
    """The task of rows with our names of columns; `header`: columns that all rows may lack."""
    names = list(dict.fromkeys([*header, *columns_of(row for _, row in rows)]))
    if not rows:
        raise UserError(f"{path}: no rows; add some below the names of the columns")
    problems = Problems(str(path), reading.skip_bad)
    items, note = _items(rows, names, str(path), reading, problems)
    problems.refuse()
    if not items:
        raise UserError(
            f"{path}: no row is left of {len(rows)}; see what is wrong without `skip_bad_rows`"
        )
    note = "; ".join(text for text in (problems.note(), note) if text)
    column = reading.columns.get(question := question_column(names), question)
    return placed_task(items, path, reading, note, column)


def _items(
    rows: Rows, names: Sequence[str], where: str, reading: Reading, problems: Problems
) -> tuple[list[Placed], str]:
    """The items of good rows with place and split, and a note on what the answers are."""
    split_of = partial(_split, "split" in names)
    ids = {place: f"row-{i}" for i, (place, _) in enumerate(rows, 1)}
    if "prompt" in names and "question" not in names:  # verbatim prompts, as in every other file

        def verbatim(place: str, row: Mapping[str, Any]) -> Placed:
            return place, parse_item(row, place, ids[place]), split_of(row, place)

        return problems.each(rows, verbatim), ""
    columns = Columns(names, where)
    used = columns.used
    needed = {name: reading.columns.get(name, name) for name in (columns.question, columns.answer)}

    def parse(place: str, row: Mapping[str, Any]) -> Placed:
        for column, header in needed.items():
            if row.get(column) in (None, ""):
                raise UserError(
                    f'{place}: nothing in column "{header}"; fill it in or remove the row'
                )
        rest = {name: value for name, value in row.items() if name and name not in used}
        item = parse_item(rest | columns.record(row, place), place, ids[place])
        return place, item, split_of(row, place)

    items = problems.each(rows, parse)
    columns.check_indices()
    if problems.refused or not items:
        return items, ""
    return _with_labels(items, columns, where, reading)


def _with_labels(
    items: list[Placed], columns: Columns, where: str, reading: Reading
) -> tuple[list[Placed], str]:
    """The items with their labels as choices, if they have no options; and a note on that."""
    if any(item.choices for _, item, _ in items):
        if reading.labels:
            raise InvalidOption(
                "columns", _spec(reading), f"names labels, but {where} has options; remove it"
            )
        return items, ""
    if columns.answer != LABEL and not reading.labels:
        return items, 'answers are written, since there are no choices and no column "label"'
    column = reading.columns.get(columns.answer, columns.answer)
    plain = [
        replace(item, answer=_named(item.answer, place, reading)) if reading.labels else item
        for place, item, _ in items
    ]
    labelled, note = with_label_choices(plain, f'{where}: column "{column}"')
    rows = zip(items, labelled, strict=True)
    return [(place, item, split) for (place, _, split), item in rows], note


def _split(is_there: bool, row: Mapping[str, Any], place: str) -> str:
    return checked_split(row.get("split"), place) if is_there else ""


def _named(label: str, where: str, reading: Reading) -> str:
    """The name of a numbered label."""
    if label not in reading.labels:
        raise UserError(
            f"{where}: the label {label!r} has no name in `columns` {_spec(reading)}; add "
            f"{label}=NAME"
        )
    return reading.labels[label]


def _spec(reading: Reading) -> str:
    return ",".join(f"{number}={name}" for number, name in reading.labels.items())


def with_label_choices(items: Sequence[Item], where: str) -> tuple[list[Item], str]:
    """Give items the set of their answers as choices, and say so in a note.

    Raises:
        UserError: the answers are no labels.

    Example:
        >>> items = [Item(str(i), f"text {i}", None, "no" if i % 2 else "yes") for i in range(4)]
        >>> labelled, note = with_label_choices(items, "mine.csv")
        >>> labelled[0].choices, labelled[0].answer, note
        ({'A': 'no', 'B': 'yes'}, 'B', 'its 2 labels are the choices')
    """
    labels = sorted({item.answer for item in items})
    _check_labels(labels, len(items), where)
    choices = dict(zip(label_letters(len(labels)), labels, strict=True))
    letters = {label: letter for letter, label in choices.items()}
    note = f"its {len(labels)} labels are the choices"
    if all(label.lstrip("-").isdigit() for label in labels):
        names = ",".join(f"{label}=NAME" for label in labels[:2]) + ",..." * (len(labels) > 2)
        note += f"; they are numbers, which tell a model nothing: name them with `columns` {names}"
    return [replace(item, choices=choices, answer=letters[item.answer]) for item in items], note


def label_letters(n: int) -> list[str]:
    """Names of `n` choices: A, B, ...; beyond the alphabet AA, AB, ..., for likelihoods.

    Example:
        >>> label_letters(3), label_letters(30)[-1]
        (['A', 'B', 'C'], 'BD')
    """
    if n <= len(ascii_uppercase):
        return list(ascii_uppercase[:n])
    return ["".join(pair) for pair in islice(product(ascii_uppercase, repeat=2), n)]


def _check_labels(labels: Sequence[str], n: int, where: str) -> None:
    written = 'for answers to be written, call the column "answer"'
    if len(labels) < 2:
        raise UserError(f"{where}: {len(labels)} label; at least two are needed")
    if n > 10 and 2 * len(labels) > n:
        raise UserError(
            f"{where}: {len(labels)} different labels in {n} rows look like free text; {written}"
        )
    if len(labels) > MOST_LABELS:
        raise UserError(
            f"{where}: {len(labels)} labels; at most {MOST_LABELS} can be choices; join some, or "
            f"{written}"
        )
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(normalise(label) or label, label)
        if other != label:
            why = "differ only in case or punctuation; make them one"
            raise UserError(f"{where}: the labels {other!r} and {label!r} {why}")
