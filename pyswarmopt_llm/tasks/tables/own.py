"""A table of a user's own as items: columns by name, choices from labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.tasks.answers import extract_number
from pyswarmopt_llm.tasks.items import normalise, parse_item
from pyswarmopt_llm.tasks.tables.columns import LABEL, Columns, question_column
from pyswarmopt_llm.tasks.tables.draw import Placed, placed_task
from pyswarmopt_llm.tasks.tables.names import Reading, Rows, checked_split, columns_of
from pyswarmopt_llm.tasks.tables.problems import Problems
from pyswarmopt_llm.tasks.types import Item, RawTask

MOST_LABELS = 200
# A column of another name holds labels if there are few of them, short, and each is frequent.
_FEW, _WORDS, _REPEATS = 20, 5, 5


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

    def whole(place: str, row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return place, _whole(row, columns, place, reading)

    def parse(place: str, row: Mapping[str, Any]) -> Placed:
        rest = {name: value for name, value in row.items() if name and name not in columns.used}
        item = parse_item(rest | columns.record(row, place), place, ids[place])
        return place, item, split_of(row, place)

    complete = problems.each(rows, whole)
    columns.find_base(row[columns.answer] for _, row in complete)
    items = problems.each(complete, parse)
    bad = problems.bad
    table = [(row, place) for place, row in complete if place not in bad]
    if not columns.base_is_clear(table):
        problems.refuse()
        raise UserError(
            f'{where}: the numbers in "{columns.answer}" may count the options from 0 or from 1 '
            "(none is 0, none is "
            "the last); give the letters of the right options instead"
        )
    return _with_labels(items, columns, where, reading, problems)


def _with_labels(
    items: list[Placed], columns: Columns, where: str, reading: Reading, problems: Problems
) -> tuple[list[Placed], str]:
    """The items with their labels as choices, if they have no options."""
    if any(item.choices for _, item, _ in items):
        if reading.labels:
            raise InvalidOption(
                "columns", _spec(reading), f"names labels, but {where} has options; remove it"
            )
        return items, ""
    column = reading.columns.get(columns.answer, columns.answer)
    named = bool({columns.answer.casefold(), column.casefold()} & set(LABEL)) or bool(
        reading.labels
    )
    if problems.refused or not items:
        return items, ""
    plain = [
        replace(item, answer=_named(item.answer, place, reading)) if reading.labels else item
        for place, item, _ in items
    ]
    labelled, note = with_label_choices(plain, f'{where}: column "{column}"', named)
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


def _whole(
    row: Mapping[str, Any], columns: Columns, where: str, reading: Reading
) -> dict[str, Any]:
    """A row with a question and an answer, and with lists that a CSV file holds as JSON."""
    for column in (columns.question, columns.answer):
        if row.get(column) in (None, ""):
            header = reading.columns.get(column, column)
            raise UserError(f'{where}: nothing in column "{header}"; fill it in or remove the row')
    return {
        name: _parsed(value) if name == columns.options_column else value
        for name, value in row.items()
    }


def _parsed(value: Any) -> Any:
    """The list or object that a JSON text stands for."""
    if isinstance(value, str) and value.startswith(("[", "{")):
        try:
            return parse_json(value)
        except ValueError:
            pass  # `Columns` says that it is no list
    return value


def with_label_choices(
    items: Sequence[Item], where: str, named: bool = False
) -> tuple[list[Item], str]:
    """Give items without choices the set of their answers as choices, if the answers are labels.

    `named` says that the column's name marks labels. Returns the items, open questions unchanged,
    and a note on what was decided.

    Example:
        >>> items = [Item(str(i), f"text {i}", None, "no" if i % 2 else "yes") for i in range(4)]
        >>> labelled, note = with_label_choices(items, "mine.csv", named=True)
        >>> labelled[0].choices, labelled[0].answer, note
        ({'A': 'no', 'B': 'yes'}, 'B', 'its 2 labels are the choices')
    """
    spelled, merged = _one_spelling([item.answer for item in items])
    labels = sorted(set(spelled.values()))
    if not named and not _look_like_labels(items, labels):
        return list(items), "answers are written, since there are no choices"
    _check_labels(labels, len(items), where)
    choices = dict(zip(label_letters(len(labels)), labels, strict=True))
    letters = {label: letter for letter, label in choices.items()}
    note = f"its {len(labels)} labels are the choices{merged}"
    if all(label.lstrip("-").isdigit() for label in labels):
        names = ",".join(f"{label}=NAME" for label in labels[:2]) + (
            ",..." if len(labels) > 2 else ""
        )
        note += f"; they are numbers, which tell a model nothing: name them with `columns` {names}"
    return [
        replace(item, choices=choices, answer=letters[spelled[item.answer]]) for item in items
    ], note


def _one_spelling(answers: Sequence[str]) -> tuple[dict[str, str], str]:
    """Label -> its most frequent spelling, whatever the case; and in words what became one.

    Example:
        >>> _one_spelling(["Card", "card", "Card", "loan"])
        ({'Card': 'Card', 'card': 'Card', 'loan': 'loan'}, " ('card' is taken for 'Card')")
    """
    first: dict[str, str] = {}
    counts = Counter(answers)
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        first.setdefault(label.casefold(), label)
    spelled = {
        label: first[label.casefold()]
        for label in sorted(counts, key=lambda label: (-counts[label], label))
    }
    merged = [
        f"{label!r} is taken for {other!r}" for label, other in spelled.items() if label != other
    ]
    return spelled, f" ({', '.join(merged)})" if merged else ""


def label_letters(n: int) -> list[str]:
    """Names of `n` choices: A, B, ...; beyond the alphabet AA, AB, ..., for likelihoods.

    Example:
        >>> label_letters(3), label_letters(30)[-1]
        (['A', 'B', 'C'], 'BD')
    """
    if n <= len(ascii_uppercase):
        return list(ascii_uppercase[:n])
    return ["".join(pair) for pair in islice(product(ascii_uppercase, repeat=2), n)]


def _look_like_labels(items: Sequence[Item], labels: Sequence[str]) -> bool:
    few = 2 <= len(labels) <= _FEW and _REPEATS * len(labels) <= len(items)
    return few and all(
        len(label.split()) <= _WORDS and extract_number(label) is None for label in labels
    )


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
            why = "differ only in punctuation; make them one"
            raise UserError(f"{where}: the labels {other!r} and {label!r} {why}")
