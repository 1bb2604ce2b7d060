"""Data sets of the Hugging Face hub as tasks, their columns recognised by name."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks.rows import SPLIT_ORDER, download, shuffled_items
from pyswarmopt_llm.tasks.tables.columns import Columns, answer_column
from pyswarmopt_llm.tasks.tables.names import check_names
from pyswarmopt_llm.tasks.types import DEV, TEST, RawTask


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
        columns = _columns(splits[split], f"hub:{name}: {split}")
        return list(islice(shuffled_items(f"hub:{name}", split, splits[split], columns.record), n))

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
    return len(split) > 0 and column is not None and split[0][column] not in (None, "", -1, "-1")


def _columns(split: Any, where: str) -> Columns:
    """The columns of a split; a question and an answer are required."""
    answer = answer_column(split.column_names)
    class_names = None if answer is None else getattr(split.features[answer], "names", None)
    columns = Columns(split.column_names, where, class_names)
    columns.find_base(split[columns.answer])
    return columns
