"""The columns of a table that hold the question, the options and the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import UserError

Row = Mapping[str, Any]

# The commonest names; others are told with `columns`.
QUESTION, ANSWER = ("question", "text", "sentence"), ("answer", "label", "answerKey")
LABEL, CHOICES = "label", "choices"
_INDEX = re.compile("[0-9]{1,4}")  # of an option
_HEADED = (".csv", ".tsv")  # files whose first line names the columns


class Columns:
    """The columns of a table.

    Args:
        names: of all columns, by our names where the user has named some.
        where: begins error messages.
        answered: whether there has to be a column of answers.

    Attributes:
        question: the column of the question.
        answer: the column of the answer; "" if there is none.

    Raises:
        UserError: no column of questions, or of answers.

    Example:
        >>> columns = Columns(["text", "choices", "answerKey"], "mine.jsonl")
        >>> row = {"text": "2+2?", "choices": {"text": ["4", "5"], "label": ["1", "2"]}, "answerKey": "1"}
        >>> columns.record(row, "line 1")
        {'question': '2+2?', 'choices': ['4', '5'], 'answer': 'A', 'id': None}
    """

    def __init__(self, names: Sequence[str], where: str, answered: bool = True) -> None:
        question, answer = _first(names, QUESTION), _first(names, ANSWER)
        missing = [] if question else ["question"]
        missing += [] if answer or not answered else ["answer"]
        if missing:
            raise UserError(f"{where}: {_missing(names, missing, where.endswith(_HEADED))}")
        self.question, self.answer = question, answer
        letters = tuple(takewhile(set(names).__contains__, ascii_uppercase))
        self._letters = letters if len(letters) > 1 else ()
        self._where, self._indices = where, set[int]()

    @property
    def used(self) -> set[str]:
        """The columns that hold question, options and answer."""
        return {self.question, self.answer, CHOICES, *self._letters}

    def record(self, row: Row, where: str) -> dict[str, Any]:
        """A row as a record for `parse_item`."""
        options, (answer, *others) = self.options(row, where), _right_answers(row.get(self.answer))
        return {
            "question": row.get(self.question),
            "choices": None if options is None else list(options.values()),
            "answer": answer if options is None else self._letter(answer, options),
            "id": row.get("id"),
        } | ({"answers": others} if others else {})

    def options(self, row: Row, where: str) -> dict[str, Any] | None:
        """Label -> text of the options of a row, in order; None for an open question.

        Raises:
            UserError: ``choices`` is neither a list nor an object, or there are too many.
        """
        value = row.get(CHOICES)
        if value is None:
            value = [row.get(letter) for letter in self._letters]
            while value and value[-1] in (None, ""):  # a row may have fewer options than another
                value.pop()
            if not value:
                return None
        if isinstance(value, Mapping):
            return _labelled(value, where)
        if not isinstance(value, list):
            raise UserError(
                f"{where}: {CHOICES}: the options are no list; give a list, or columns A, B, C, ..."
            )
        if len(value) > len(ascii_uppercase):
            raise UserError(f"{where}: {len(value)} choices; at most 26 can be lettered")
        return dict(zip(ascii_uppercase, value, strict=False))

    def check_indices(self, others: Iterable[object] = ()) -> None:
        """Refuse answers that count the options from 1.

        Args:
            others: answers of rows that were not read.

        Raises:
            UserError: answers are numbers, and none is 0.
        """
        if self._indices and 0 not in self._indices and "0" not in map(str, others):
            raise UserError(
                f'{self._where}: the numbers in "{self.answer}" count the options from 0, and '
                "none is 0; give the letters of the right options instead"
            )

    def _letter(self, answer: object, options: Mapping[str, str]) -> object:
        """The letter of the right option, given by label, text or number."""
        labels, texts = list(options), list(options.values())
        for names in (labels, texts):
            if isinstance(answer, str) and answer in names[: len(ascii_uppercase)]:
                return ascii_uppercase[names.index(answer)]
        if not _INDEX.fullmatch(str(answer)):
            return answer
        index = int(str(answer))
        self._indices.add(index)
        return ascii_uppercase[index] if index < min(len(texts), 26) else answer


def question_column(names: Iterable[str]) -> str:
    """The column of the questions; ``prompt`` if there is none."""
    return _first(names, QUESTION) or "prompt"


def answer_column(names: Iterable[str]) -> str:
    """The column of the answers; "" if there is none."""
    return _first(names, ANSWER)


def _labelled(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Label -> text: of an object of labels, or of lists of texts and labels as in ARC."""
    if value.keys() != {"text", "label"}:
        return dict(sorted(value.items()))
    texts, labels = value["text"], value["label"]
    if not (isinstance(texts, list) and isinstance(labels, list) and len(texts) == len(labels)):
        raise UserError(
            f"{where}: {CHOICES}: text and label must be two lists of one length; fix them there"
        )
    return dict(zip(map(str, labels), texts, strict=True))


def _missing(names: Sequence[str], missing: Sequence[str], headed: bool) -> str:
    """The columns that there are, and how to name those that are missing."""
    listed = ", ".join(map(str, names)) or "nothing"
    it, named = "them" if missing[1:] else "it", ",".join(f"{name}=COLUMN" for name in missing)
    first = " (or add a first line with their names)" if headed and missing[1:] else ""
    return (
        f"no column for the {' and the '.join(missing)} (found: {listed}); name {it}: `columns` "
        f"{named}{first}"
    )


def _right_answers(value: object) -> list[Any]:
    """The answers of a row: one, or all of a list."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return list(dict.fromkeys(value))
    return [value]


def _first(columns: Iterable[str], names: Sequence[str]) -> str:
    """The first of the names that is a column, else ""."""
    present = set(columns)
    return next((name for name in names if name in present), "")
