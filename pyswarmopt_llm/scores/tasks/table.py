"""A table as a task: its rows as items, labels as choices, dev and test as it says or drawn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase
from typing import TypeVar

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import (
    LABEL,
    QUESTION,
    Columns,
    Reading,
    find_columns,
    first_of,
    parse_reading,
)
from pyswarmopt_llm.scores.tasks.draw import DEV_SHARE, DEV_SHARE_OF_PROMPTS, draw_splits
from pyswarmopt_llm.scores.tasks.formats import SPLITS, Row, Table, read_table
from pyswarmopt_llm.scores.tasks.items import content, normalise, parse_item
from pyswarmopt_llm.scores.tasks.prompts import placeholders
from pyswarmopt_llm.scores.tasks.types import Form, Item, RawTask

log = logging.getLogger(__name__)
T = TypeVar("T")
MOST_LABELS = 200
NAMED = 20  # bad rows in a message
_NOT_OF_PROMPTS = ("choices", "question", "prompt")
_NOT_OF_NEW_ROWS = ("prompt", "id", "answer", "answers", "right")
_UNNEEDED = ("answer", "label", "split")  # columns that new rows may lack

Located = tuple[str, Item]  # its place in the file, for messages, and the item


def read_task(path: Path, reading: Reading) -> RawTask:
    """The task of a file of questions with answers, or of prompts in a column ``prompt``."""
    table = read_table(path)
    if not table.rows:
        raise UserError(f"{path}: no rows; add some below the names of the columns")
    columns = find_columns(table, reading.columns)
    verbatim = columns.question == "prompt"
    needed = ("prompt",) if verbatim else (columns.question, columns.answer)

    def parse(row: Row) -> Located:
        return row.place, parse_item(columns.record(row, needed), row.place, row.id)

    items, bad = parse_rows(table, parse, reading.skip_bad)
    items, labels = (items, "") if verbatim else _with_labels(items, columns, table, reading)
    return _split(table, columns, items, reading, "; ".join(filter(None, (bad, labels))))


def read_prompts(path: Path, reading: Reading) -> RawTask:
    """The prompts of a file as a task whose items need no answers.

    A text file has a prompt on each line; blank lines are skipped. A table has them in ``prompt``
    or a column of questions, or as ``--columns prompt=COLUMN`` says; in JSON they may be plain
    texts, too. The other columns go to the items, ``answer`` too. A column ``split`` says which are
    dev and which test; else half of them are drawn as dev.

    Raises:
        UserError: no such file, an empty prompt, or one that is there twice; with its line.
    """
    table = read_table(path, "prompt")
    if not table.rows:
        raise InvalidOption("prompts", str(path), "holds no prompts; write one on each line")
    told = {"prompt" if name == "question" else name: to for name, to in reading.columns.items()}
    column = first_of(("prompt", *QUESTION), table.names)
    told = {"prompt": column, **told} if column else told
    columns = replace(find_columns(table, told, answered=False, prompts=True), blank=True)
    seen: dict[tuple[str, ...], str] = {}

    def parse(row: Row) -> Located:
        record = columns.record(row, ("prompt",))
        kept = {name: value for name, value in record.items() if name not in _NOT_OF_PROMPTS}
        item = parse_item(
            {**kept, "prompt": record["prompt"]}, row.place, row.id.removeprefix("row-")
        )
        key = content(item)
        if key in seen:
            raise UserError(f"{row.place}: the same prompt as {seen[key]}; remove one of them")
        seen[key] = row.place.rpartition(": ")[2]
        return row.place, item

    items, bad = parse_rows(table, parse, reading.skip_bad)
    raw = _split(table, columns, items, reading, bad, DEV_SHARE_OF_PROMPTS)
    return replace(raw, column="prompt")


def new_items(form: Form, table: Table, specs: Sequence[str] = ()) -> list[Item | None]:
    """The rows of a new file as questions of this form, without answers; None for blank ones.

    Args:
        form: of the search's task.
        table: the rows.
        specs: of ``--columns``, the search's and those for this file; what it lacks of answers is
            left out.

    Raises:
        UserError: no rows, all of them blank, no such column, or rows that are no questions, all of
            them named.
    """
    if not table.rows:
        raise UserError(f"{table.path}: no rows; give one for each question")
    told = {
        name: column
        for name, column in parse_reading(specs).columns.items()
        if name not in _UNNEEDED or column in table.names
    }
    told.setdefault("question", form.column)
    columns = replace(find_columns(table, told, answered=False), split="")
    needed = ["question", *placeholders(form.prompt or "")]
    blank: dict[str, UserError] = {}

    def parse(row: Row) -> Item | None:
        try:
            record = columns.record(row, (name for name in needed if name != "choices"))
        except UserError as error:
            blank[row.place] = error
            return None
        kept = {n: value for n, value in record.items() if value and n not in _NOT_OF_NEW_ROWS}
        if form.choices is not None:
            item = parse_item({**kept, "choices": None}, row.place, row.place, answered=False)
            return replace(item, choices=dict(form.choices))
        if "choices" not in kept:
            raise UserError(
                f"{row.place}: no choices; add them, as the search's questions have them"
            )
        return parse_item(kept, row.place, row.place, answered=False)

    items, _ = parse_rows(table, parse)
    if len(blank) == len(table.rows):
        raise next(iter(blank.values()))
    if blank:
        log.warning("%s: %s, since they are blank", table.path, _left_out(table, list(blank)))
    return items


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
    return results, _left_out(table, list(bad)) if bad else ""


def _left_out(table: Table, places: Sequence[str]) -> str:
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
    texts += [f"mend them, or {text}" for text in remedy]
    return UserError(f"{path}: {counted(len(errors), 'bad row')}: {'; '.join(texts)}")


def _split(
    table: Table,
    columns: Columns,
    items: Sequence[Located],
    reading: Reading,
    note: str,
    share: int = DEV_SHARE,
) -> RawTask:
    """The task of items, in the splits that their file names, or in drawn ones."""
    strata = None
    if columns.split:
        split_of = {row.place: row.values[columns.split] for row in table.rows}
        splits = {name: [pair for pair in items if split_of[pair[0]] == name] for name in SPLITS}
    else:
        splits, strata = draw_splits(items, reading.seed, str(table.path), share)
    name, column = table.name or table.path.stem, columns.header(columns.question)
    return RawTask(name, table.prompt, splits, table.metric, strata, note, column)


def _with_labels(
    items: list[Located], columns: Columns, table: Table, reading: Reading
) -> tuple[list[Located], str]:
    """The items with their labels as choices, if they have no options; and a note on that."""
    spec = ",".join(f"{number}={name}" for number, name in reading.labels.items())
    if any(item.choices for _, item in items):
        if spec:
            why = f"names labels, but {table.path} has options; remove it"
            raise InvalidOption("columns", spec, why)
        return items, ""
    if columns.answer != LABEL and not spec:
        written = 'answers are written, since there are no choices and no column "label"'
        return items, "" if table.has_splits else written
    for place, item in items:
        if spec and item.answer not in reading.labels:
            raise UserError(
                f"{place}: the label {item.answer!r} has no name in `columns` {spec}; add "
                f"{item.answer}=NAME"
            )
    named = [
        replace(item, answer=reading.labels.get(item.answer, item.answer)) for _, item in items
    ]
    where = f'{table.path}: column "{columns.header(columns.answer)}"'
    labelled, note = with_label_choices(named, where)
    return [(place, item) for (place, _), item in zip(items, labelled, strict=True)], note


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
