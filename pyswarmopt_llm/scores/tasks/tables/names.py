"""A user's names of columns and labels (question=text,label=mood,0=bad), and how a file is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.registry import closest, unknown

OWN = ("question", "prompt", "answer", "label", "choices", "id", "domain", "split")
_LETTER = re.compile("[A-Z]")
_NUMBER = re.compile("-?[0-9]{1,6}")
Rows = Sequence[tuple[str, Mapping[str, Any]]]  # place and row
SPLITS = ("dev", "test")


@dataclass(frozen=True)
class Reading:
    """A user's settings of how a file is read."""

    columns: Mapping[str, str]  # our name of a column -> the file's
    seed: int  # of the draw of dev and test, where the file has none
    # a number in the file -> what the label is called
    labels: Mapping[str, str] = field(default_factory=dict)
    skip_bad: bool | None = None  # leave out rows that cannot be read; None: not offered

    @property
    def names_columns(self) -> bool:
        """Whether the user names columns or labels."""
        return bool(self.columns or self.labels)


def checked_split(split: object, where: str) -> str:
    """``dev`` or ``test``; anything else is refused."""
    if split not in SPLITS:
        raise UserError(f'{where}: split must be "dev" or "test", not {split!r}; rename it')
    return str(split)


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
        if name not in OWN and not _LETTER.fullmatch(name) and not _NUMBER.fullmatch(name):
            raise unknown("columns", name, (*OWN, "A", "B", "C"))
        if name in names:
            raise InvalidOption("columns", spec, f"{name} is given twice; give it once")
        names[name] = column
    labels = {number: label for number, label in names.items() if _NUMBER.fullmatch(number)}
    columns = {name: column for name, column in names.items() if name not in labels}
    return Reading(columns, seed, labels, skip_bad)


def check_names(columns: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Refuse names of columns that do not exist."""
    for name, column in columns.items():
        if column not in names:
            close = closest(column, list(names))
            hint = "check the name" if close is None else f'did you mean "{close}"?'
            problem = f"`columns` {name}={column}; found: {', '.join(names)}"
            raise UserError(f'{where}: no column "{column}" ({problem}); {hint}')


def renamed(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A row by our names; a column that had one of them before is dropped.

    Example:
        >>> renamed({"text": "Hi", "answer": "?", "mood": "good"}, {"question": "text", "answer": "mood"})
        {'question': 'Hi', 'answer': 'good'}
    """
    kept = {
        name: value
        for name, value in row.items()
        if name not in columns and name not in columns.values()
    }
    return {name: row[column] for name, column in columns.items() if column in row} | kept


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """All columns of a table, in the order in which they appear."""
    return list(dict.fromkeys(str(name) for row in rows for name in row))
