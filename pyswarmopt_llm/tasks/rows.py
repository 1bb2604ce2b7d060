"""Rows of published data files: JSON, JSONL, CSV and Parquet, a file or a folder of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_text import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes

Row = dict[str, Any]

_SPLIT = re.compile(r"(?<![a-z])(test|validation|valid|val|dev|train)(?![a-z])")
_ENDINGS = (".json", ".jsonl", ".csv", ".parquet")


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Split name -> rows, each with its ``file``.

    Splits are told by the files' and folders' names; a single file, or files none of which names a split, are one
    split called ``all``. Where some name a split the others are left out, since they are unions of those.

    Raises:
        UserError: nothing there, or not readable as what the ending says.
    """
    if path.is_file():
        return _named(_read(path), path, "all")
    files = sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS and file.is_file())
    if not files:
        raise UserError(f"{path}: no {', '.join(_ENDINGS)} file there; give the published file or folder")
    splits: dict[str, list[Row]] = {}
    for file in files:
        match = _SPLIT.search(str(file.relative_to(path)).lower())
        for name, rows in _named(_read(file), file, match.group(1) if match else "all").items():
            splits.setdefault(name, []).extend(rows)
    if len(splits) > 1:
        splits.pop("all", None)
    return splits


def _named(content: Any, file: Path, split: str) -> dict[str, list[Row]]:
    """The rows of one file by split: a list, an object of rows by id, or an object of splits."""
    if isinstance(content, Mapping) and {"dev", "test"} <= content.keys():
        return {name: _tagged(content[name], file) for name in ("dev", "test")}
    rows = content.values() if isinstance(content, Mapping) else content
    return {split: _tagged(rows, file)}


def _tagged(rows: Iterable[Any], file: Path) -> list[Row]:
    found = [{**row, "file": str(file)} if isinstance(row, Mapping) else row for row in rows]
    if not all(isinstance(row, dict) for row in found):
        raise UserError(f"{file}: not a table of rows; give the file as its authors publish it")
    return found


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet

            return pyarrow.parquet.read_table(file).to_pylist()
        text = read_bytes(file, INPUT_LIMIT).decode("utf-8-sig")
        if file.suffix == ".jsonl":
            return [parse_json(line) for line in text.split("\n") if line.strip()]
        if file.suffix == ".csv":
            # MMLU's files have no header, so that a row is its list of values.
            return [{"columns": row} for row in csv.reader(text.splitlines(keepends=True))]
        return parse_json(text)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read ({error}); give the file as its authors publish it") from error


__all__ = ["read_rows"]
