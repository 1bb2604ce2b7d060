"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.load import FileRow, Table, read_text

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_delimited(path: Path) -> Table:
    """The table of a CSV file; a missing value is "".

    Raises:
        UserError: it cannot be read, or is no table.
    """
    text = read_text(path)
    separator = _separator(text)
    reader = csv.DictReader(
        io.StringIO(text, newline=""), strict=True, delimiter=separator, restval=""
    )
    try:
        header = list(reader.fieldnames or [])
        names = [name.strip() for name in header]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise UserError(f'{path}: line 1: two columns are named "{repeated}"; rename one')
        reader.fieldnames = names
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
    return Table(path, names, rows, separator=separator, header=header)


def _separator(text: str) -> str:
    """The separator of the header: a comma if it separates any, else what gives most columns.

    `csv.Sniffer` also looks at the rows, and takes a comma or an "e" of their prose for a
    separator.
    """

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), []))
        except csv.Error:
            return 0

    return "," if columns(",") > 1 else max(_SEPARATORS, key=columns)
