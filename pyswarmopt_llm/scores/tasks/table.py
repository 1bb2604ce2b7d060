"""A file of rows: text, rows, and information on its task."""

from __future__ import annotations

import codecs
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes

log = logging.getLogger(__name__)
MARK = "\ufeff"
_OTHERS = {"utf-16": "UTF-16", "cp1252": "Windows-1252, as Excel writes CSV"}
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


class FileRow(NamedTuple):
    """A row of a file: location for messages, default id, and values by column."""

    location: str
    id: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The rows of a file, and its information on the task.

    Attributes:
        path: file.
        names: names of all columns, in order of appearance.
        rows: the rows.
        has_splits: whether the file has a list for each split; each row then names its split.
        separator: separator of columns; "" in JSON.
        name, prompt, metric: the task's, if given.
        header: column names of a CSV file, with surrounding blanks.
        mark: byte order mark for writing a CSV copy, see `read_marked`.
        line_end: line end of a CSV file.
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
    mark: str = ""
    line_end: str = "\n"


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in a Windows encoding: UTF-16 with its mark, or cp1252.

    Raises:
        UserError: the file cannot be read.
    """
    return read_marked(path)[0]


def read_marked(path: Path) -> tuple[str, str]:
    """The text of a file, and the start of a UTF-8 copy: Excel's byte order mark if the file has
    one or is in another encoding.
    """
    refuse_workbook(path)
    try:
        data = read_bytes(path, INPUT_LIMIT)
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from e
    if encoding in _OTHERS:
        message = "%s: read as %s; if letters are wrong, save it as UTF-8"
        log.warning(message, path, _OTHERS[encoding])
    return text, "" if encoding == "utf-8" else MARK


def _encoding(data: bytes) -> str:
    """The encoding of a text file."""
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "cp1252" if _is_windows(data) else "utf-8"


def _is_windows(data: bytes) -> bool:
    """Whether a text without a mark is cp1252, rather than slightly damaged UTF-8."""
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    others = sum(letter > "\x7f" for letter in text)
    return b"\0" not in data and broken > others - broken


def refuse_workbook(path: Path) -> None:
    """Refuse a workbook, and say how to export its sheet.

    Raises:
        UserError: the suffix is a workbook's.
    """
    if path.suffix.lower() in _WORKBOOKS:
        advice = 'save its sheet as "CSV UTF-8", and give that file'
        raise UserError(f"{path}: a workbook, of which no sheet is read; {advice}")


def parse_text(text: str, path: Path, first_line: int = 1) -> object:
    """The value of a JSON text that starts at a line of a file.

    Raises:
        UserError: names the line of the fault.
    """
    try:
        return parse_json(text, unique=True)
    except json.JSONDecodeError as e:
        location = f"{path}: line {first_line + e.lineno - 1}, column {e.colno}"
        lines = "if each line is an object, rename the file to .jsonl"
        several = e.msg == "Extra data" and path.suffix.lower() != ".jsonl"
        advice = lines if several else "fix it there"
        raise UserError(f"{location}: malformed JSON: {e.msg}; {advice}") from e
    # duplicate key, too deep nesting, or an integer of thousands of digits
    except ValueError as e:
        raise UserError(f"{path}: line {first_line} or below: {e}") from e


DELIMITED = (".csv", ".tsv")
