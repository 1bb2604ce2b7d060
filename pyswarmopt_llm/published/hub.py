"""Data sets of the Hugging Face hub as tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.published.rows import SPLIT_ORDER, Record, download, shuffled_items
from pyswarmopt_llm.scores.tasks.columns import (
    ANSWER,
    Reading,
    check_names,
    find_columns,
    first_of,
    renamed,
)
from pyswarmopt_llm.scores.tasks.formats import Row, Table
from pyswarmopt_llm.scores.tasks.types import DEV, TEST, Item, RawTask

_INDEX = re.compile("[0-9]{1,2}")  # of an option


def read_hub(rest: str, dev: int | None, test: int | None, reading: Reading) -> RawTask:
    """Load ``DATASET[:CONFIG]`` and map its columns; default 200 dev and 1,000 test items."""
    told = reading.columns
    if reading.labels:
        spec = f"{next(iter(reading.labels))}=..."
        raise InvalidOption("columns", spec, "names the labels of a file only; remove it")
    dataset, _, config = rest.partition(":")
    splits = download(dataset, config or None)
    for split, rows in splits.items():
        check_names(told, rows.column_names, f"hub:{rest}: {split}")
    labelled = [
        split for split in SPLIT_ORDER if split in splits and _has_answers(splits[split], told)
    ]
    if len(labelled) < 2:
        raise UserError(
            f"hub:{rest}: needs two splits with answers among {', '.join(SPLIT_ORDER)} "
            f"(found: {', '.join(splits)}); export what you need to a JSON file"
        )
    sizes = {"test": TEST if test is None else test, "dev": DEV if dev is None else dev}
    drawn = {
        ours: _items(f"hub:{rest}", split, splits[split], told, size)
        for split, (ours, size) in zip(labelled, sizes.items(), strict=False)
    }
    return RawTask(dataset.rpartition("/")[2], None, drawn)


def _items(
    source: str, split: str, rows: Any, told: Mapping[str, str], n: int
) -> list[tuple[str, Item]]:
    """The first items of a split; numbers of answers count its classes or options from 0."""
    where = f"{source}: {split}"
    columns = find_columns(Table(Path(where), rows.column_names, ()), told)
    header = columns.header(columns.answer)
    classes: Sequence[str] | None = getattr(rows.features[header], "names", None)
    indices = set[int]()

    def record(row: Mapping[str, Any], place: str) -> Record:
        found = columns.record(Row(place, "", row), (columns.question, columns.answer))
        choices, answer = found["choices"] or classes, found["answer"]
        is_text = isinstance(answer, str) and answer in (choices or ())
        if isinstance(choices, list) and not is_text and _INDEX.fullmatch(str(answer)):
            index = int(answer)
            indices.add(index)
            answer = ascii_uppercase[index] if index < len(choices) else str(answer)
        return {**found, "choices": choices, "answer": answer}

    items = list(islice(shuffled_items(source, split, rows, record), n))
    if classes is None and indices and 0 not in indices and "0" not in map(str, rows[header]):
        raise UserError(
            f'{where}: the numbers in "{header}" count the options from 0, and none is 0; export '
            "the data set with the letters of the right options"
        )
    return items


def _has_answers(rows: Any, told: Mapping[str, str]) -> bool:
    names = renamed(dict.fromkeys(rows.column_names), told)
    answer = first_of(ANSWER, names)
    return (
        bool(answer)
        and len(rows) > 0
        and rows[0][told.get(answer, answer)] not in (None, "", -1, "-1")
    )
