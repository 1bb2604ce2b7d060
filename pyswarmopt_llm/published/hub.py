"""Data sets of the Hugging Face hub as tasks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.rows import SPLIT_ORDER, Record, Row, download, shuffled_items
from pyswarmopt_llm.scores.tasks.tables.columns import CHOICES, Columns, answer_column
from pyswarmopt_llm.scores.tasks.tables.names import check_names
from pyswarmopt_llm.scores.tasks.types import DEV, TEST, RawTask


def read_hub(name: str, dev: int | None, test: int | None, columns: Mapping[str, str]) -> RawTask:
    """Load ``DATASET[:CONFIG]`` and map its columns; default 200 dev and 1,000 test items.

    `columns` maps our names of columns to the data set's.
    """
    dataset, _, config = name.partition(":")
    splits = {
        split: _named(rows, columns, f"hub:{name}: {split}")
        for split, rows in download(dataset, config or None).items()
    }
    labelled = [split for split in SPLIT_ORDER if split in splits and _has_answers(splits[split])]
    if len(labelled) < 2:
        raise UserError(
            f"hub:{name}: needs two splits with answers among {', '.join(SPLIT_ORDER)} "
            f"(found: {', '.join(splits)}); export what you need to a JSON file"
        )

    def items(split: str, n: int) -> list[Any]:
        rows, where = splits[split], f"hub:{name}: {split}"
        columns = Columns(rows.column_names, where)
        classes = getattr(rows.features[columns.answer], "names", None)
        named = {} if classes is None else {CHOICES: list(classes)}  # answers number the classes

        def record(row: Row, place: str) -> Record:
            return columns.record({**named, **row}, place)

        found = list(islice(shuffled_items(f"hub:{name}", split, rows, record), n))
        columns.check_indices([0] if named else rows[columns.answer])
        return found

    located = {
        "dev": items(labelled[1], DEV if dev is None else dev),
        "test": items(labelled[0], TEST if test is None else test),
    }
    return RawTask(dataset.rpartition("/")[2], None, located)


def _named(rows: Any, columns: Mapping[str, str], where: str) -> Any:
    """The split with our names for its columns."""
    check_names(columns, rows.column_names, where)
    in_the_way = [
        name for name in columns if name in rows.column_names and name not in columns.values()
    ]
    names = {column: name for name, column in columns.items()}
    return rows.remove_columns(in_the_way).rename_columns(names)


def _has_answers(split: Any) -> bool:
    column = answer_column(split.column_names)
    return len(split) > 0 and column != "" and split[0][column] not in (None, "", -1, "-1")
