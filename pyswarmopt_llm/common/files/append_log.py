"""Append-only logs: JSON objects, one a line; a crash may leave the last line half-written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import LINES_LIMIT, append, open_regular, truncate


class AppendLog:
    """An append-only log, open for reading what is new and for appending.

    Args:
        path: the file, which need not exist; None: nothing is stored.
        remedy: what to do about a damaged line, for the message; None: damaged lines are skipped.
        wrong: the field of an object that makes it no row of this log; None for a row.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = AppendLog(Path(folder) / "log.jsonl")
        ...     log.append({"a": 1})
        ...     log.read(), log.read()
        ([{'a': 1}], [])
    """

    def __init__(
        self,
        path: Path | None,
        remedy: str | None = "remove this line",
        wrong: Callable[[dict[str, Any]], str | None] = lambda row: None,
    ) -> None:
        self._path, self._remedy, self._wrong = path, remedy, wrong
        self._end = self._lines = 0  # bytes and lines read so far

    def read(self) -> list[dict[str, Any]]:
        """The rows since the last call; a last line without its line break is left.

        Raises:
            UserError: a line is damaged, or the file cannot be read.
        """
        if self._path is None or not self._path.exists():
            return []
        try:
            with open_regular(self._path, LINES_LIMIT) as file:
                file.seek(self._end)
                data = file.read()
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be read ({error.strerror}); check its permissions"
            ) from error
        data = data[: data.rfind(b"\n") + 1]
        rows = [
            self._row(line, number)
            for number, line in enumerate(data.splitlines(), self._lines + 1)
        ]
        self._end, self._lines = self._end + len(data), self._lines + len(rows)
        return [row for row in rows if row is not None]

    def repaired(self) -> list[dict[str, Any]]:
        """`read`, and repair a last line that a crash left half-written: it is cut off.

        Only under a lock: another process may be writing that line. A log that skips damaged lines
        may have several writers; there the line is terminated instead.
        """
        rows = self.read()
        if self._path is not None and self._path.exists() and self._path.stat().st_size > self._end:
            if self._remedy is None:
                append(self._path, "\n")
            else:
                truncate(self._path, self._end)
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row and flush it to disk; raises as `regular.append`."""
        if self._path is not None:
            append(self._path, json.dumps(row) + "\n")

    def _row(self, line: bytes, number: int) -> dict[str, Any] | None:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        field = self._wrong(row) if isinstance(row, dict) else None
        if isinstance(row, dict) and field is None:
            return row
        if self._remedy is None:
            return None
        problem = "damaged" if field is None else f"{field} is missing or of a wrong type"
        raise UserError(f"{self._path}: line {number}: {problem}; {self._remedy}")
