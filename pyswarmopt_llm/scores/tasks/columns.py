"""The columns of a file: names known or given, and the values read from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from string import ascii_uppercase
from typing import Any, NamedTuple

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.scores.tasks.items import parse_item
from pyswarmopt_llm.scores.tasks.table import DELIMITED, FileRow, Table
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item

QUESTION: tuple[str, ...] = ("question", "text", "sentence")
ANSWER: tuple[str, ...] = ("answer", "label", "answerKey", "answers")
_ANY_CASE = ("prompt", *QUESTION, *ANSWER)
_OURS = (*_ANY_CASE, "choices", "id", "domain", "split", *ascii_uppercase)
# 1.0 is label 1: pandas writes it so in columns with gaps
_NUMBER = re.compile(r"\A(-?[0-9]+)(?:\.0+)?\Z")


class Reading(NamedTuple):
    """A user's settings for reading a file."""

    columns: dict[str, str]  # our column name -> the file's
    labels: dict[str, str]  # number in the file -> name of the label


def parse_reading(specs: Sequence[str]) -> Reading:
    """Read ``--columns``: ``name=header`` names a column, ``NUMBER=NAME`` a label.

    Raises:
        UserError: the form is wrong, or a name is unknown.

    Example:
        >>> parse_reading(["question=text", "A=first option"]).columns
        {'question': 'text', 'A': 'first option'}
        >>> parse_reading(["0=negative", "1=positive"]).labels
        {'0': 'negative', '1': 'positive'}
    """
    reading = Reading({}, {})
    for spec in specs:
        name, _, column = (part.strip() for part in spec.partition("="))
        name = plain_number(name)
        told = reading.columns
        if _NUMBER.match(name):
            told = reading.labels
        elif name not in _OURS:
            raise unknown("columns", name, _OURS[:-23])  # letters up to C
        if not column or name in told:
            why = ": write question=COLUMN,answer=COLUMN, each name once"
            raise InvalidOption("columns", spec, why)
        told[name] = column
    return reading


def plain_number(label: str) -> str:
    """A label as a whole number, if it is one.

    Example:
        >>> plain_number("1.0"), plain_number("1.5")
        ('1', '1.5')
    """
    return _NUMBER.sub(r"\1", label)


@dataclass(frozen=True)
class Columns:
    """The columns of a table that hold question, options and answer.

    Attributes:
        names: our column name -> the table's; the answer is ``answer``, even if it is a label.
        question: our name of the question column; ``prompt`` for verbatim prompts.
        labels: whether the answers are labels.
        letters: columns with an option each, A, B, ...
        blank: whether an empty text is a missing value, as in CSV.
    """

    names: Mapping[str, str]
    question: str
    labels: bool
    letters: Sequence[str]
    blank: bool

    def header(self, name: str) -> str:
        """The table's name of a column."""
        return self.names.get(name, name)

    def item(self, row: FileRow, answered: bool = True) -> Item:
        """The item of a row; `answered`: whether it must have an answer.

        Raises:
            UserError: what is wrong with it.
        """
        split = row.values.get(self.header("split"))
        if "split" in self.names and split not in SPLITS:
            raise UserError(f'{row.location}: split must be "dev" or "test", not {split!r}')
        return parse_item(self.record(row), row.location, row.id, answered)

    def record(self, row: FileRow) -> dict[str, Any]:
        """A row as a record for `parse_item`, without missing values."""
        theirs = set(self.names.values())
        values = {name: value for name, value in row.values.items() if name not in theirs}
        values |= {name: row.values.get(header) for name, header in self.names.items()}
        values = {
            name: value
            for name, value in values.items()
            if name and value is not None and not (self.blank and value == "")
        }
        if self.question == "prompt":
            values.pop("question", None)  # another column of the file
        options = [values.pop(letter, "") for letter in self.letters]
        while options and not options[-1]:  # rows may have fewer options than others
            options.pop()
        return {"choices": options or None, self.question: None, **values}


def find_columns(
    table: Table, told: Mapping[str, str], answered: bool = True, prompts: bool = False
) -> Columns:
    """The columns of a table.

    Args:
        table: the table; case and blanks around its names of questions and answers do not matter.
        told: our column name -> the table's, as set by the user and spelled in the table.
        answered: whether questions need an answer column.
        prompts: whether all rows are verbatim prompts.

    Raises:
        UserError: there is no column of questions or answers, or a column that the user named is
            missing.

    Example:
        >>> from pathlib import Path
        >>> table = Table(Path("a.csv"), [FileRow("", "", {"Text": "Hi", "mood": "good"})])
        >>> find_columns(table, {"label": "mood"}).names
        {'question': 'Text', 'answer': 'mood'}
    """
    for name, column in told.items():
        if column not in table.names:
            raise UserError(
                f'{table.path}: no column "{column}" for `columns` {name} (found: {_headers(table)})'
            )
    names = _recognised(table, told)
    options = list(takewhile(names.__contains__, ascii_uppercase))
    question = "question"
    questions = QUESTION
    answers = ANSWER
    # prompts are asked if there are no questions, or the user names them
    if prompts or "prompt" in told or ("prompt" in names and "question" not in names):
        question = "prompt"
        questions = ("prompt", *QUESTION)
        answers = ("answer",)
        options = []
    asked = next(filter(questions.__contains__, names), "")
    replied = next(filter(answers.__contains__, names), "")
    if not asked:
        raise _without(table, "question")
    if answered and not replied and question != "prompt":
        raise _without(table, "answer")
    ours = {question: asked, "answer": replied}
    ours |= {name: name for name in ("choices", "id", "domain", "split", *options)}
    ours = {name: names[known] for name, known in ours.items() if known in names}
    if len(options) < 2:
        options = []
    blank = prompts or table.path.suffix.lower() in DELIMITED
    return Columns(ours, question, replied == "label", options, blank)


def _recognised(table: Table, told: Mapping[str, str]) -> dict[str, str]:
    """Our name -> the table's: first of the user's columns, then of those with a name that we know."""
    free = [header for header in table.names if header not in told.values()]
    spelt = {header.strip().casefold(): header for header in free}
    names = {name: told[name] for name in _OURS if name in told}
    for name in _OURS:
        header = name
        if name not in free and name in _ANY_CASE:
            header = spelt.get(name.casefold(), name)
        if header in free:
            names.setdefault(name, header)
    return names


def _without(table: Table, missing: str) -> UserError:
    """The error for a table that lacks a column."""
    return UserError(
        f"{table.path}: no column for the {missing} (found: {_headers(table)}); add `columns` "
        f"{missing}=COLUMN"
    )


def _headers(table: Table) -> str:
    return ", ".join(filter(None, table.names)) or "nothing"
