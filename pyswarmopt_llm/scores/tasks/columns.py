"""The columns of a file: names known or given, and the values read from them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.scores.tasks.items import parse_item
from pyswarmopt_llm.scores.tasks.table import FileRow, Table
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item

QUESTION = ("question", "text", "sentence")
ANSWER = ("answer", "label", "answerKey", "answers")
_OURS = ("question", "prompt", "answer", "label", "choices", "id", "domain", "split")
# 1.0 is label 1: pandas writes it so in columns with gaps
_NUMBER = re.compile(r"(-?[0-9]+)(?:\.0+)?")


@dataclass(frozen=True)
class Reading:
    """A user's settings for reading a file."""

    columns: Mapping[str, str]  # our column name -> the file's
    seed: int = 0  # seed for drawing dev and test, if the file has no splits
    # number in the file -> name of the label
    labels: Mapping[str, str] = field(default_factory=dict)
    skip_bad: bool = False  # skip unreadable rows


def parse_reading(specs: Sequence[str], seed: int = 0, skip_bad: bool = False) -> Reading:
    """Read ``--columns``: ``name=header`` names a column, ``NUMBER=NAME`` a label.

    Raises:
        UserError: wrong form, or unknown name.

    Example:
        >>> parse_reading(["question=text", "A=first option"]).columns
        {'question': 'text', 'A': 'first option'}
        >>> parse_reading(["0=negative", "1=positive"]).labels
        {'0': 'negative', '1': 'positive'}
    """
    columns: dict[str, str] = {}
    labels: dict[str, str] = {}
    for spec in specs:
        name, _, column = (part.strip() for part in spec.partition("="))
        name = plain_number(name)
        number = _NUMBER.fullmatch(name)
        if not (number or name in _OURS or name in [*ascii_uppercase]):
            raise unknown("columns", name, (*_OURS, "A", "B", "C"))
        found = labels if number else columns
        if not column or name in found:
            why = "write question=COLUMN,answer=COLUMN, each name once"
            raise InvalidOption("columns", spec, why)
        found[name] = column
    return Reading(columns, seed, labels, skip_bad)


def plain_number(label: str) -> str:
    """A label as a whole number, if it is one.

    Example:
        >>> plain_number("1.0"), plain_number("1.5")
        ('1', '1.5')
    """
    number = _NUMBER.fullmatch(label)
    return number[1] if number else label


@dataclass(frozen=True)
class Columns:
    """The columns of a table that hold question, options and answer.

    Attributes:
        names: our column name -> the table's; the answer is ``answer``, even if it is a label.
        question: our name of the question column; ``prompt`` for verbatim prompts.
        labels: whether the answers are labels.
        letters: columns with an option each, A, B, ...
        split: the table's split column; "" if there is none.
    """

    names: Mapping[str, str]
    question: str
    labels: bool
    letters: Sequence[str]
    split: str

    def header(self, name: str) -> str:
        """The table's name of a column."""
        return self.names.get(name, name)

    def item(self, row: FileRow) -> Item:
        """The item of a row; a verbatim prompt may lack an answer.

        Raises:
            UserError: what is wrong with it.
        """
        verbatim = self.question == "prompt"
        self.check(row, ("prompt",) if verbatim else ("question", "answer"))
        return parse_item(self.record(row), row.location, row.id)

    def check(self, row: FileRow, needed: Iterable[str]) -> None:
        """Refuse a row with an empty required column, or no split in the split column.

        Raises:
            UserError: says where.
        """
        split = row.values.get(self.split)
        if self.split and split not in SPLITS:
            raise UserError(f'{row.location}: split must be "dev" or "test", not {split!r}')
        for column in map(self.header, needed):
            value = row.values.get(column)
            if value is None or not str(value).strip():
                raise UserError(f'{row.location}: nothing in column "{column}"')

    def record(self, row: FileRow) -> dict[str, Any]:
        """A row as a record for `parse_item`, without its empty values."""
        named = renamed(row.values, self.names).items()
        values = {name: value for name, value in named if name and value not in (None, "")}
        if self.question == "prompt":
            values.pop("question", None)  # another column of the file
        options = [values.pop(letter, "") for letter in self.letters]
        while options and not options[-1]:  # rows may have fewer options than others
            options.pop()
        return {"choices": options or None, **values}


def find_columns(
    table: Table, told: Mapping[str, str], answered: bool = True, prompts: bool = False
) -> Columns:
    """The columns of a table.

    Args:
        table: the table.
        told: our column name -> the table's, given by the user.
        answered: whether questions need an answer column.
        prompts: whether all rows are verbatim prompts.

    Raises:
        UserError: no column of questions or answers, or no such column as the user named.
    """
    check_names(told, table.names, str(table.path))
    spelt = {**in_other_case(table.names, told), **told}
    names = list(renamed(dict.fromkeys(table.names), spelt))
    wanted = prompts or ("prompt" in told and "question" not in told)
    verbatim = "prompt" in names and (wanted or "question" not in names)
    asked = "prompt" if verbatim else first_of(QUESTION, names)
    answers = sorted(ANSWER, key=lambda name: name not in told)  # first what the user named
    replied = first_of(("answer",) if verbatim else answers, names)
    if not asked or (answered and not replied and not verbatim):
        listed = ", ".join(filter(None, names)) or "nothing"
        missing = "answer" if asked else "question"
        raise UserError(
            f"{table.path}: no column for the {missing} (found: {listed}); give `columns` "
            f"{missing}=COLUMN"
        )
    letters = [] if verbatim else list(takewhile(names.__contains__, ascii_uppercase))
    question = "prompt" if verbatim else "question"
    ours = {name: column for name, column in spelt.items() if name != replied}
    ours[question] = spelt.get(asked, asked)
    if replied:
        ours["answer"] = spelt.get(replied, replied)
    split = spelt.get("split", "split") if "split" in names else ""
    return Columns(ours, question, replied == "label", letters if letters[1:] else (), split)


def in_other_case(headers: Sequence[str], told: Mapping[str, str]) -> dict[str, str]:
    """Our names of question and answer -> headers that differ from them only in case or blanks.

    Args:
        headers: the table's columns.
        told: our column name -> the table's, given by the user.

    Example:
        >>> in_other_case(["Question", "Answer ", "id"], {}), in_other_case(["Text", "text"], {})
        ({'answer': 'Answer ', 'question': 'Question'}, {})
    """
    free = [header for header in headers if header not in told.values()]
    plain = {header.strip().casefold(): header for header in free}
    ours = {*QUESTION, *ANSWER, "prompt"} - {*headers, *told}
    return {name: plain[name.casefold()] for name in sorted(ours) if name.casefold() in plain}


def first_of(names: Sequence[str], columns: Collection[str]) -> str:
    """The first name that is a column; "" if there is none."""
    return next((name for name in names if name in columns), "")


def check_names(told: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Refuse names of columns that do not exist."""
    for name, column in told.items():
        if column not in names:
            found = ", ".join(names)
            raise UserError(f'{where}: no column "{column}" for `columns` {name} (found: {found})')


def renamed(row: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """A row under our names; a column that already had one of these names is dropped.

    Example:
        >>> renamed({"text": "Hi", "answer": "?", "mood": "good"}, {"question": "text", "answer": "mood"})
        {'question': 'Hi', 'answer': 'good'}
    """
    others = {
        name: value for name, value in row.items() if name not in told and name not in told.values()
    }
    return {name: row[column] for name, column in told.items() if column in row} | others
