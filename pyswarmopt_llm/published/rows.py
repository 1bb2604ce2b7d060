"""Rows of published data sets, from the hub or from files, drawn in a fixed order."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.scores.tasks.formats import json_lines, read_text
from pyswarmopt_llm.scores.tasks.items import normalise, parse_item
from pyswarmopt_llm.scores.tasks.types import DEV, TEST, Located

Row = Mapping[str, Any]
Record = dict[str, Any]
ToRecord = Callable[[Row, str], Record | None]

# Of the splits with answers, the first in this order is the test set and the second is dev.
SPLIT_ORDER = ("test", "validation", "val", "valid", "dev", "train")

_SPLIT = re.compile(r"(?<![a-z])(test|validation|valid|val|dev|train)(?![a-z])")
_SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
# The hub's own rule: letters, digits, ., - and _; no path.
_NAME = re.compile(r"(?:[\w][\w.-]*/)?[\w][\w.-]*", re.ASCII)


def draw(
    where: str,
    splits: Mapping[str, Sequence[Row]],
    readers: Mapping[str, ToRecord],
    dev: int | None,
    test: int | None,
) -> dict[str, list[Located]]:
    """Dev and test of the splits with answers, (place, item), each in a fixed random order: many
    are sorted by answer.

    A single split with answers is divided, at most a third to dev. Dev questions that are also in
    test are dropped.

    Args:
        where: begins messages.
        splits: name -> rows.
        readers: name -> a row and its place as a record for `parse_item`; None: it has no answer.
        dev: number of dev items, by default 200 as in the paper.
        test: number of test items, by default 1,000.
    """
    dev, test = DEV if dev is None else dev, TEST if test is None else test

    def items(split: str) -> Iterator[Located]:
        order = list(range(len(splits[split])))
        random.Random(0).shuffle(order)
        for i in order:
            place = f"{where}: {split} row {i}"
            record = readers[split](splits[split][i], place)
            if record is not None:
                yield place, parse_item(record, place, f"{split}-{i}")

    def has_answers(split: str) -> bool:
        rows = splits.get(split, ())
        return len(rows) > 0 and readers[split](rows[0], f"{where}: {split} row 0") is not None

    answered = list(filter(has_answers, SPLIT_ORDER)) or list(filter(has_answers, splits))
    if not answered:
        found = ", ".join(splits)
        raise UserError(f"{where}: no split with answers (found: {found}); export one to a file")
    first, *others = answered
    if others:
        held_out, candidates = list(islice(items(first), test)), items(others[0])
    else:
        everything = list(islice(items(first), dev + test))
        dev = min(dev, len(everything) // 3)
        held_out, candidates = everything[dev:], iter(everything[:dev])
    # Stricter than an item needs (the same question with other options is another item): dev items
    # abound.
    in_test = {normalise(item.question) for _, item in held_out}
    fresh = (pair for pair in candidates if normalise(pair[1].question) not in in_test)
    return {"dev": list(islice(fresh, dev)), "test": held_out}


def download(dataset: str, config: str | None) -> Mapping[str, Any]:
    """Split name -> rows of a data set on the hub, from the cache if it is there."""
    if not _NAME.fullmatch(dataset):
        raise UserError(
            f"hub:{dataset}: not the name of a data set; write hub:DATASET or hub:OWNER/DATASET"
        )
    datasets = optional("datasets", f"hub:{dataset}")
    try:
        loaded: Mapping[str, Any] = datasets.load_dataset(dataset, config)
    except (OSError, ValueError, RuntimeError) as e:
        raise UserError(
            f"hub:{dataset}: {first_line(e)}; check the name, the configuration and the network"
        ) from e
    return loaded


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Split name -> rows of a JSON, JSONL, CSV or Parquet file or a folder of them, each row with
    its ``file``.

    File and folder names give the splits. A single file, or files without a split in their names,
    form one split ``all``; beside files with a split those without are ignored, since they are
    unions of the others.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    if not files and not path.is_file():
        raise UserError(
            f"{path}: no {', '.join(_SUFFIXES)} file there; give the published file or folder"
        )
    splits: dict[str, list[Row]] = {}
    for file in files or [path]:
        match = _SPLIT.search(str(file.relative_to(path)).lower())
        for name, rows in _by_split(file, match.group(1) if match else "all").items():
            splits.setdefault(name, []).extend(rows)
    if len(splits) > 1:
        splits.pop("all", None)
    return splits


def _by_split(file: Path, split: str) -> dict[str, list[Row]]:
    """The rows of one file by split: of a list, or an object of rows or splits."""
    content = _read(file)
    if isinstance(content, Mapping) and {"dev", "test"} <= content.keys():
        return {name: _with_file(content[name], file) for name in ("dev", "test")}
    return {split: _with_file(content.values() if isinstance(content, Mapping) else content, file)}


def _with_file(rows: Iterable[Any], file: Path) -> list[Row]:
    records = list(rows)
    if not all(isinstance(row, dict) for row in records):
        raise UserError(f"{file}: not a table of rows; give the file as its authors publish it")
    return [{**row, "file": str(file)} for row in records]


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".parquet":
            return optional("pyarrow.parquet", str(file)).read_table(file).to_pylist()
        if file.suffix == ".jsonl":
            return [row for _, row in json_lines(file)]
        text = read_text(file)
        if file.suffix == ".csv":
            # MMLU's files have no header, so that a row is its list of values.
            return [{"columns": row} for row in csv.reader(text.splitlines(keepends=True))]
        return parse_json(text)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{file}: cannot be read ({error}); give the file as its authors publish it"
        ) from error
