"""The columns of a table that hold the question, the options and the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import UserError

Row = Mapping[str, Any]

# columns whose values are the choices
LABEL = ("label", "intent", "category", "class", "sentiment")
_QUESTION = (
    "question",
    "query",
    "ctx",
    "goal",
    "problem",
    "sentence",
    "text",
    "utterance",
    "message",
    "input",
)
_ANSWER = (
    *(
        "answer",
        "answerKey",
        "answer_idx",
        "correct_answer",
        "correct_option",
        "label",
        "cop",
        "target",
    ),
    *LABEL[1:],
    *("gold", "answers"),
)
_OPTIONS = ("choices", "options", "endings")
_INDEX = re.compile("[0-9]{1,9}")  # of an option
_HEADED = (".csv", ".tsv")  # files whose first line names the columns
_OPTION_COLUMNS = (
    ("opa", "opb", "opc", "opd"),
    ("option_a", "option_b", "option_c", "option_d"),
    ("option_a", "option_b", "option_c"),
    ("ending0", "ending1", "ending2", "ending3"),
    ("choice1", "choice2"),
    ("answerA", "answerB", "answerC", "answerD"),
    ("answerA", "answerB", "answerC"),
    ("option1", "option2", "option3", "option4"),
    ("option1", "option2"),
    ("sol1", "sol2"),
)


class Columns:
    """The columns of a table: which hold the question, the answer and, if one does, all options.

    `class_names` are the names of the classes that the answers number, where the table has them.
    Unless `answered`, there need be no column of answers.

    Example:
        >>> columns = Columns(["text", "choices", "answerKey"], "mine.jsonl")
        >>> row = {"text": "2+2?", "choices": {"text": ["4", "5"], "label": ["1", "2"]}, "answerKey": "1"}
        >>> columns.record(row, "line 1")
        {'question': '2+2?', 'choices': ['4', '5'], 'answer': 'A', 'id': None}
    """

    def __init__(
        self,
        names: Sequence[str],
        where: str,
        class_names: Sequence[str] | None = None,
        answered: bool = True,
    ) -> None:
        question, answer = _first(names, _QUESTION), answer_column(names)
        answer = answer if answered else answer or ""
        if question is None or answer is None:
            missing = [
                name
                for name, column in (("question", question), ("answer", answer))
                if column is None
            ]
            listed = ", ".join(map(str, names)) or "nothing"
            named = ",".join(f"{name}=COLUMN" for name in missing)
            first = (
                " (or add a first line with their names)"
                if len(missing) > 1 and where.endswith(_HEADED)
                else ""
            )
            raise UserError(
                f"{where}: no column looks like the {' or the '.join(missing)} (found: {listed}); "
                f"name {'it' if len(missing) == 1 else 'them'}: `columns` {named}{first}"
            )
        self.question, self.answer = question, answer
        self.options_column = _first(names, _OPTIONS)
        self._class_names, self._separate = class_names, _option_columns(names)
        self._from_0 = True

    @property
    def used(self) -> set[str]:
        """The columns that hold question, options and answer."""
        options = () if self.options_column is None else (self.options_column,)
        return {self.question, self.answer, *options, *(self._separate or ())}

    def find_base(self, answers: Iterable[object]) -> None:
        """Find out whether numeric answers count from 0 or from 1: the smallest decides."""
        self._from_0 = self._class_names is not None or any(_index(value) == 0 for value in answers)

    def base_is_clear(self, rows: Iterable[tuple[Row, str]]) -> bool:
        """Whether the numeric answers show where they count from: by a 0, or the last option."""
        if self._from_0:
            return True
        numbers: list[bool] = []
        for row, where in rows:
            options, index = self.options(row, where), _index(row.get(self.answer))
            if (
                options
                and index is not None
                and str(row[self.answer]) not in (*options, *map(str, options.values()))
            ):
                numbers.append(index >= len(options))
        return any(numbers) or not numbers

    def record(self, row: Row, where: str) -> dict[str, Any]:
        """A row as a record for `parse_item`."""
        options, (answer, *others) = self.options(row, where), _right_answers(row.get(self.answer))
        return {
            "question": row.get(self.question),
            "choices": None if options is None else list(options.values()),
            "answer": answer if options is None else self._right(answer, options),
            "id": row.get("id"),
        } | ({"answers": others} if others else {})

    def options(self, row: Row, where: str) -> dict[str, str] | None:
        """Label -> text of the options of a row, in order; None for an open question."""
        value = None if self.options_column is None else row.get(self.options_column)
        if value is not None:
            return _listed(value, f"{where}: {self.options_column}")
        if self._separate is not None:
            texts = [row.get(column) for column in self._separate]
            while texts and texts[-1] in (None, ""):  # a row may have fewer options than another
                texts.pop()
            return _lettered(texts) if texts else None
        return None if self._class_names is None else _lettered(self._class_names)

    def _right(self, value: object, options: Mapping[str, str]) -> object:
        """The letter of the right option, given by label, text or index."""
        labels, texts = list(options), list(options.values())
        index = _index(value)
        place = index if index is None or self._from_0 else index - 1
        if not isinstance(value, int):
            names = labels if value in labels else texts
            place = names.index(value) if value in names else place
        return value if place is None or not 0 <= place < len(texts) else chr(ord("A") + place)


def question_column(names: Iterable[str]) -> str:
    """The column that looks like the question; ``prompt`` if none does."""
    return _first(names, _QUESTION) or "prompt"


def answer_column(names: Iterable[str]) -> str | None:
    """The column that looks like the answer."""
    return _first(names, _ANSWER)


def _option_columns(names: Sequence[str]) -> tuple[str, ...] | None:
    """The columns with one option each."""
    letters = tuple(takewhile(set(names).__contains__, ascii_uppercase))
    conventions = [letters, *_OPTION_COLUMNS]
    return next(
        (columns for columns in conventions if len(columns) > 1 and set(columns) <= set(names)),
        None,
    )


def _listed(value: object, where: str) -> dict[str, str]:
    """Label -> text of the options in one column: a list, or an object."""
    if isinstance(value, Mapping) and {"text", "label"} <= value.keys():
        texts, labels = value["text"], value["label"]
        if not (isinstance(texts, list) and isinstance(labels, list) and len(texts) == len(labels)):
            raise UserError(
                f"{where}: text and label must be two lists of one length; fix them there"
            )
        return dict(zip(map(str, labels), texts, strict=True))
    if isinstance(value, Mapping):
        lettered = all(len(str(key)) == 1 for key in value)
        return dict(sorted(value.items()) if lettered else value.items())
    if not isinstance(value, list):
        raise UserError(f"{where}: the options are no list; give a list, or columns A, B, C, ...")
    return _lettered(value)


def _right_answers(value: object) -> list[Any]:
    """The answers of a row: all of a list, the texts of SQuAD's ``{"text": [...]}``."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = value["text"]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return list(dict.fromkeys(value))
    return [value]


def _index(value: object) -> int | None:
    return int(str(value)) if _INDEX.fullmatch(str(value)) else None


def _lettered(texts: Iterable[Any]) -> dict[str, str]:
    # `parse_item` refuses lists beyond the alphabet.
    return {chr(ord("A") + i): text for i, text in enumerate(texts)}


def _first(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The first of the names that is a column, ignoring case if need be."""
    present = list(columns)
    folded = {str(column).casefold(): column for column in reversed(present)}
    exact = next((name for name in names if name in present), None)
    return exact or next(
        (folded[name.casefold()] for name in names if name.casefold() in folded), None
    )
