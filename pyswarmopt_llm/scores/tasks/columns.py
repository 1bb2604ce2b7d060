"""The columns of a table that hold question, options and answer: six names are known, a user tells
others (question=text,label=mood,0=bad).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.registry import closest, unknown
from pyswarmopt_llm.scores.tasks.formats import DELIMITED, SPLITS, Row, Table

QUESTION, ANSWER = ("question", "text", "sentence"), ("answer", "label", "answerKey")
LABEL = "label"
_OURS = ("question", "prompt", "answer", "label", "choices", "id", "domain", "split")
_LETTER = re.compile("[A-Z]")
_NUMBER = re.compile("-?[0-9]{1,6}")


@dataclass(frozen=True)
class Reading:
    """A user's settings of how a file is read."""

    columns: Mapping[str, str]  # our name of a column -> the file's
    seed: int = 0  # of the draw of dev and test, where the file has none
    # a number in the file -> what the label is called
    labels: Mapping[str, str] = field(default_factory=dict)
    skip_bad: bool | None = None  # leave out rows that cannot be read; None: not offered


def parse_reading(specs: Sequence[str], seed: int = 0, skip_bad: bool | None = None) -> Reading:
    """Read ``--columns``: ``name=header`` names a column, ``NUMBER=NAME`` a label.

    Raises:
        UserError: not of this form, an unknown name, or one that is given twice.

    Example:
        >>> parse_reading(["question=text", "A=first option"]).columns
        {'question': 'text', 'A': 'first option'}
        >>> parse_reading(["0=negative", "1=positive"]).labels
        {'0': 'negative', '1': 'positive'}
    """
    names: dict[str, str] = {}
    for spec in specs:
        name, _, column = (part.strip() for part in spec.partition("="))
        if not (name and column):
            raise InvalidOption("columns", spec, "write question=COLUMN,answer=COLUMN")
        if name not in _OURS and not _LETTER.fullmatch(name) and not _NUMBER.fullmatch(name):
            raise unknown("columns", name, (*_OURS, "A", "B", "C"))
        if name in names:
            raise InvalidOption("columns", spec, f"{name} is given twice; give it once")
        names[name] = column
    labels = {number: label for number, label in names.items() if _NUMBER.fullmatch(number)}
    columns = {name: column for name, column in names.items() if name not in labels}
    return Reading(columns, seed, labels, skip_bad)


@dataclass(frozen=True)
class Columns:
    """The columns of a table that hold question, options and answer.

    Attributes:
        told: our name of a column -> the file's, as the user says.
        question: our name of the column of the question; ``prompt`` for verbatim prompts.
        answer: that of the answer; "" if there is none.
        letters: columns with an option each, A, B, ...
        split: the file's column of the split; "" if there is none.
        blank: whether an empty cell says nothing, as in CSV.
    """

    told: Mapping[str, str]
    question: str
    answer: str
    letters: Sequence[str]
    split: str
    blank: bool

    def header(self, name: str) -> str:
        """The file's name of a column."""
        return self.told.get(name, name)

    def check(self, row: Row, needed: Iterable[str]) -> None:
        """Refuse a row with nothing in a column that is needed, or no split in its column.

        Raises:
            UserError: says where.
        """
        split = row.values.get(self.split)
        if self.split and split not in SPLITS:
            raise UserError(f'{row.place}: split must be "dev" or "test", not {split!r}; rename it')
        for name in needed:
            value = row.values.get(self.header(name))
            if value is None or not str(value).strip():
                column = self.header(name)
                raise UserError(
                    f'{row.place}: nothing in column "{column}"; fill it in or remove the row'
                )

    def record(self, row: Row) -> dict[str, Any]:
        """A row as a record for `parse_item`."""
        values = {
            name: value
            for name, value in renamed(row.values, self.told).items()
            if name and not (self.blank and value == "")
        }
        question, answer = values.pop(self.question), values.pop(self.answer, None)
        options = [values.pop(letter, None) for letter in self.letters]
        while options and options[-1] in (None, ""):  # a row may have fewer than another
            options.pop()
        values.pop("question", None)
        choices = values.pop("choices", options or None)
        ours = "prompt" if self.question == "prompt" else "question"
        return {**values, ours: question, "choices": choices, "answer": answer}


def find_columns(
    table: Table, told: Mapping[str, str], answered: bool = True, prompts: bool = False
) -> Columns:
    """The columns of a table.

    Args:
        table: the table.
        told: our name of a column -> the table's.
        answered: whether questions need a column of answers.
        prompts: whether there are verbatim prompts only, whatever the columns.

    Raises:
        UserError: no column of questions, or of answers, or one that the user names.
    """
    check_names(told, table.names, str(table.path))
    names = list(renamed(dict.fromkeys(table.names), told))
    verbatim = "prompt" in names and (prompts or "question" not in names)
    question = "prompt" if verbatim else first_of(QUESTION, names)
    answer = first_of(("answer",) if verbatim else ANSWER, names)
    csv = table.path.suffix.lower() in DELIMITED
    missing = [] if question else ["question"]
    if answered and not answer and not verbatim:
        missing.append("answer")
    if missing:
        raise UserError(f"{table.path}: {_missing(names, missing, csv)}")
    letters = [] if verbatim else list(takewhile(names.__contains__, ascii_uppercase))
    split = told.get("split", "split") if "split" in names else ""
    return Columns(told, question, answer, letters if letters[1:] else (), split, csv or prompts)


def first_of(names: Sequence[str], columns: Iterable[str]) -> str:
    """The first of these names that is a column; "" if there is none."""
    present = set(columns)
    return next((name for name in names if name in present), "")


def check_names(told: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Refuse names of columns that do not exist."""
    for name, column in told.items():
        if column not in names:
            close = closest(column, list(names))
            hint = f"give {name}=COLUMN" if close is None else f'did you mean "{close}"?'
            problem = f"`columns` {name}={column}; found: {', '.join(names)}"
            raise UserError(f'{where}: no column "{column}" ({problem}); {hint}')


def renamed(row: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """A row by our names; a column that had one of them before is dropped.

    Example:
        >>> renamed({"text": "Hi", "answer": "?", "mood": "good"}, {"question": "text", "answer": "mood"})
        {'question': 'Hi', 'answer': 'good'}
    """
    others = {
        name: value for name, value in row.items() if name not in told and name not in told.values()
    }
    return {name: row[column] for name, column in told.items() if column in row} | others


def _missing(names: Sequence[str], missing: Sequence[str], headed: bool) -> str:
    """The columns that there are, and how to name those that are missing."""
    listed = ", ".join(map(str, names)) or "nothing"
    it, named = "them" if missing[1:] else "it", ",".join(f"{name}=COLUMN" for name in missing)
    first = " (or add a first line with their names)" if headed and missing[1:] else ""
    return (
        f"no column for the {' and the '.join(missing)} (found: {listed}); name {it}: `columns` "
        f"{named}{first}"
    )
