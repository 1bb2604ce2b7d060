"""Data sets of the Hugging Face hub as tasks: question, options and answer are recognised by column name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks.formats import RawTask
from pyswarmopt_llm.tasks.rows import DEV, TEST, Record, Row, download, shuffled_items

# Of the splits with answers, the first in this order is the test set and the second is dev.
_SPLIT_ORDER = ("test", "validation", "valid", "dev", "train")

_QUESTION = ("question", "query", "ctx", "goal", "problem", "sentence", "text")
_ANSWER = ("answer", "answerKey", "answer_idx", "label", "cop", "target")
_OPTIONS = ("choices", "options", "endings")
_OPTION_COLUMNS = (
    ("A", "B", "C", "D"),
    ("opa", "opb", "opc", "opd"),
    ("answerA", "answerB", "answerC"),
    ("option1", "option2"),
    ("sol1", "sol2"),
)


def read_hub(name: str, dev: int | None = None, test: int | None = None) -> RawTask:
    """Load ``DATASET[:CONFIG]`` and map its columns; default 200 dev and 1,000 test items.

    Raises:
        UserError: `datasets` is not installed, the data set cannot be reached, or its columns are not recognised.
    """
    dataset, _, config = name.partition(":")
    splits = download(dataset, config or None)
    labelled = [split for split in _SPLIT_ORDER if split in splits and _has_answers(splits[split])]
    if len(labelled) < 2:
        raise UserError(
            f"hub:{name}: needs two splits with answers among {', '.join(_SPLIT_ORDER)} "
            f"(found: {', '.join(splits)}); export what you need to a JSON file"
        )

    def items(split: str, n: int) -> list[Any]:
        columns = _Columns(splits[split], f"hub:{name}: {split}")
        return list(islice(shuffled_items(f"hub:{name}", split, splits[split], columns.record), n))

    located = {
        "dev": items(labelled[1], DEV if dev is None else dev),
        "test": items(labelled[0], TEST if test is None else test),
    }
    return RawTask(dataset.rpartition("/")[2], None, located)


def _has_answers(split: Any) -> bool:
    column = _first(split.column_names, _ANSWER)
    return len(split) > 0 and column is not None and split[0][column] not in (None, "", -1, "-1")


class _Columns:
    """The columns of a split that hold question, options and answer.

    Raises:
        UserError: there is no question or no answer.
    """

    def __init__(self, split: Any, where: str) -> None:
        question, answer = _first(split.column_names, _QUESTION), _first(split.column_names, _ANSWER)
        if question is None or answer is None:
            missing = "question" if question is None else "answer"
            raise UserError(
                f"{where}: no column looks like the {missing} (found: {', '.join(split.column_names)}); "
                "export it to a JSON file with question, choices and answer"
            )
        self._question, self._answer = question, answer
        self._class_names = getattr(split.features[answer], "names", None)
        # Some data sets number their options from 0 and some from 1: the smallest index in use tells.
        self._from_0 = self._class_names is not None or any(_index(value) == 0 for value in split[answer])

    def record(self, row: Row, _: str) -> Record:
        """A row as a record for `parse_item`."""
        options = self._options(row)
        return {
            "question": row[self._question],
            "choices": None if options is None else list(options.values()),
            "answer": row[self._answer] if options is None else self._right(row[self._answer], options),
            "id": row.get("id"),
        }

    def _options(self, row: Row) -> dict[str, str] | None:
        """Label -> text of the options of a row, in order; None for an open question."""
        column = _first(row, _OPTIONS)
        if column is not None:
            value = row[column]
            if isinstance(value, Mapping) and {"text", "label"} <= value.keys():
                return dict(zip(map(str, value["label"]), value["text"], strict=True))
            return dict(value) if isinstance(value, Mapping) else _lettered(value)
        for columns in _OPTION_COLUMNS:
            if all(column in row for column in columns):
                return _lettered(row[column] for column in columns)
        return None if self._class_names is None else _lettered(self._class_names)

    def _right(self, value: object, options: Mapping[str, str]) -> object:
        """The letter of the right option, given by label, text or index.

        An integer is always an index, since options may be numbers themselves.
        """
        labels, texts = list(options), list(options.values())
        index = _index(value)
        place = index if index is None or self._from_0 else index - 1
        if not isinstance(value, int):
            names = labels if value in labels else texts
            place = names.index(value) if value in names else place
        return value if place is None or not 0 <= place < len(texts) else chr(ord("A") + place)


def _index(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def _lettered(texts: Iterable[str]) -> dict[str, str]:
    # `parse_item` refuses lists beyond the alphabet.
    return {chr(ord("A") + i): text for i, text in enumerate(texts)}


def _first(columns: Iterable[str], names: Sequence[str]) -> str | None:
    present = set(columns)
    return next((name for name in names if name in present), None)
