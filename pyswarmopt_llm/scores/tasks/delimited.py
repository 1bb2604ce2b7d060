"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.table import FileRow, Table, read_marked

log = logging.getLogger(__name__)
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_delimited(path: Path) -> Table:
    """The table of a CSV file; a missing value is "".

    Raises:
        UserError: the file cannot be read, or is no table.
    """
    text, mark = read_marked(path)
    separator = _separator(text)
    quoting = _quoting(path, text, separator)
    reader = csv.DictReader(
        io.StringIO(text, newline=""),
        strict=True,
        delimiter=separator,
        restval="",
        quoting=quoting,
    )
    try:
        header = list(reader.fieldnames or [])
        reader.fieldnames = _names(path, header)
        rows = [
            FileRow(f"{path}: line {reader.line_num}", f"row-{i}", row)
            for i, row in enumerate(reader, 1)
        ]
    except csv.Error as e:
        # `line_num` is the last line of the last good record.
        raise UserError(f"{path}: line {reader.line_num + 1}: {e}; check the quotes there") from e
    long = next((row.location for row in rows if None in row.values), None)
    if long is not None:
        advice = f"put values that contain a {_SEPARATORS[separator]} in quotes"
        raise UserError(f"{long}: more values than columns; {advice}")
    line_end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    return Table(
        path,
        list(reader.fieldnames),
        rows,
        separator=separator,
        header=header,
        mark=mark,
        line_end=line_end,
    )


def _names(path: Path, header: Sequence[str]) -> list[str]:
    """The names of the columns."""
    names = [name.strip() for name in header]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f'{path}: line 1: two columns are named "{repeated}"; rename one')
    return names


def _quoting(path: Path, text: str, separator: str) -> Literal[0, 3]:
    """How to read quotation marks: as enclosing values, or as part of them, as GLUE and WMT write
    TSV.

    They are part of the values if, read as enclosing, a row would take several lines or be
    unreadable, although every line has as many values as there are columns. In a comma-separated
    file, where prose also contains commas, such a row is only reported.
    """
    lines = list(csv.reader(text.splitlines(), delimiter=separator, quoting=csv.QUOTE_NONE))
    if '"' not in text or len({len(line) for line in lines if line}) != 1:
        return csv.QUOTE_MINIMAL
    taken = _long_row(text, separator)
    if taken is None:
        return csv.QUOTE_MINIMAL
    if separator == "\t":
        return csv.QUOTE_NONE
    message = "%s: lines %d to %d are one row by their quotation marks; if not, double the marks"
    log.warning(message, path, *taken)
    return csv.QUOTE_MINIMAL


def _long_row(text: str, separator: str) -> tuple[int, int] | None:
    """First and last line of the first row that takes several lines or is unreadable."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = 0
    try:
        for _ in reader:
            if reader.line_num > before + 1:
                return before + 1, reader.line_num
            before = reader.line_num
    except csv.Error:
        return (before + 1, reader.line_num) if separator == "\t" else None  # reported later
    return None


def _separator(text: str) -> str:
    """The separator of the header: a comma if there is one, else the one that gives most columns.

    `csv.Sniffer` also reads the rows, and takes a comma or an "e" in prose for a separator.
    """

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), []))
        except csv.Error:
            return 0

    return "," if columns(",") > 1 else max(_SEPARATORS, key=columns)
