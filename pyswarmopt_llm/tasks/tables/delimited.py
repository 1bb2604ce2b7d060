"""Rows of a CSV file, whatever separates its values."""

from __future__ import annotations

import csv
import io

from pyswarmopt_llm.common.errors import UserError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_delimited(text: str, path: str) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """The header, and (place, row) of each line; a missing value is ""."""
    separator = _separator(text)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator, restval="")
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        repeated = next((name for name in header if header.count(name) > 1), None)
        if repeated is not None:
            raise UserError(f'{path}: line 1: two columns are named "{repeated}"; rename one')
        reader.fieldnames = header
        rows = [(f"{path}: line {reader.line_num}", row) for row in reader]
    except csv.Error as e:
        # `line_num` is the last line of the last good record.
        raise UserError(f"{path}: line {reader.line_num + 1}: {e}; check the quotes there") from e
    for where, row in rows:
        if None in row:
            name = _SEPARATORS[separator]
            raise UserError(f"{where}: more values than columns; put values that contain a {name} in quotes")
    return header, rows


def _separator(text: str) -> str:
    """The separator of the header: a comma if it separates any, else what gives most columns.

    `csv.Sniffer` also looks at the rows, and takes a comma or an "e" of their prose for a separator.
    """

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), []))
        except csv.Error:
            return 0

    return "," if columns(",") > 1 else max(_SEPARATORS, key=columns)
