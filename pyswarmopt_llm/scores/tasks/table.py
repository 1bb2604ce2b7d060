"""A file of rows, as it is read: its text, its rows, and what it says of its task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes


class FileRow(NamedTuple):
    """A row of a file: its location for messages, the id of one that has none, its values by column."""

    location: str
    id: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The rows of a file, and what it says of its task.

    Attributes:
        path: of the file.
        names: of all columns, in the order in which they appear.
        rows: the rows.
        has_splits: whether the file has a list for each split; each row names its own then.
        separator: of its columns; "" in JSON.
        name, prompt, metric: of the task.
        header: the names as a CSV file has them, with the blanks around them.
    """

    path: Path
    names: Sequence[str]
    rows: Sequence[FileRow]
    has_splits: bool = False
    separator: str = ""
    name: str = ""
    prompt: str | None = None
    metric: str | None = None
    header: Sequence[str] = ()


def read_text(path: Path) -> str:
    """The text of a file, which is UTF-8.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return read_bytes(path, INPUT_LIMIT).decode("utf-8-sig")
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from e


def parse_text(text: str, path: Path, first_line: int = 1) -> object:
    """The value of a JSON text, which begins at a line of a file.

    Raises:
        UserError: says where it is no JSON.
    """
    try:
        return parse_json(text, unique=True)
    except json.JSONDecodeError as e:
        location = f"{path}: line {first_line + e.lineno - 1}, column {e.colno}"
        lines = "if each line is an object, rename the file to .jsonl"
        several = e.msg == "Extra data" and path.suffix.lower() != ".jsonl"
        advice = lines if several else "fix it there"
        raise UserError(f"{location}: malformed JSON: {e.msg}; {advice}") from e
    # a repeated key, nested too deeply, or an integer of thousands of digits
    except ValueError as e:
        raise UserError(f"{path}: line {first_line} or below: {e}") from e


SPLITS = ("dev", "test")


DELIMITED = (".csv", ".tsv")
