"""Data sets of the Hugging Face hub as tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.published.rows import Record, ToRecord, download, draw
from pyswarmopt_llm.scores.tasks.columns import (
    ANSWER,
    Reading,
    check_names,
    find_columns,
    first_of,
    renamed,
)
from pyswarmopt_llm.scores.tasks.formats import Row, Table
from pyswarmopt_llm.scores.tasks.types import RawTask

_INDEX = re.compile("[0-9]{1,2}")  # of an option
_NONE = (None, "", -1, "-1")  # in place of an answer


def read_hub(name: str, dev: int | None, test: int | None, reading: Reading) -> RawTask:
    """Load ``DATASET[:CONFIG]`` and map its columns; see `draw`."""
    if reading.labels:
        spec = f"{next(iter(reading.labels))}=..."
        raise InvalidOption("columns", spec, "names the labels of a file only; remove it")
    dataset, _, config = name.partition(":")
    splits = download(dataset, config or None)
    readers = {
        split: _reader(rows, reading.columns, f"hub:{name}: {split}")
        for split, rows in splits.items()
    }
    drawn = draw(f"hub:{name}", splits, readers, dev, test)
    return RawTask(dataset.rpartition("/")[2], None, drawn)


def _reader(rows: Any, told: Mapping[str, str], where: str) -> ToRecord:
    """Reads the rows of a split; numbers of answers count its classes or options from 0."""
    check_names(told, rows.column_names, where)
    if not first_of(ANSWER, renamed(dict.fromkeys(rows.column_names), told)):
        return lambda row, place: None
    columns = find_columns(Table(Path(where), rows.column_names, ()), told)
    header = columns.header(columns.answer)
    classes: Sequence[str] | None = getattr(rows.features[header], "names", None)

    def record(row: Mapping[str, Any], place: str) -> Record | None:
        if row[header] in _NONE:
            return None
        found = columns.record(Row(place, "", row), (columns.question,))
        choices, answer = found["choices"] or classes, found["answer"]
        is_text = isinstance(answer, str) and answer in (choices or ())
        if isinstance(choices, list) and not is_text and _INDEX.fullmatch(str(answer)):
            if classes is None and "0" not in numbers():
                raise UserError(
                    f'{where}: the numbers in "{header}" count the options from 0, and none is 0; '
                    "export the data set with the letters of the right options"
                )
            index = int(answer)
            answer = ascii_uppercase[index] if index < len(choices) else str(answer)
        return {**found, "choices": choices, "answer": answer}

    @cache
    def numbers() -> frozenset[str]:
        return frozenset(map(str, rows[header]))

    return record
