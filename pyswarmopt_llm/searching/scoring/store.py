"""The one log of a run: everything expensive, by what it is and whose. To resume is to replay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import wrong_field

RESULTS = "results.jsonl"  # in a run directory
_REMEDY = "restore it, or remove this line and those after it"


class Store:
    """What is known, in memory and in a file of JSON lines; threads may share it.

    Args:
        path: the file, which need not exist; None: memory alone.
        repair: whether a last line that is half-written is cut off; only under a lock.

    Attributes:
        earlier: names of what was known when it was opened.

    Raises:
        UserError: a line is damaged.

    Example:
        >>> store = Store(None)
        >>> store.get("search", "x", lambda: {"value": 0.5})["value"]
        0.5
        >>> store.get("search", "x", lambda: {"value": 0.7})["value"], ("search", "y") in store
        (0.5, False)
    """

    def __init__(self, path: Path | None, repair: bool = True) -> None:
        self._path, self._lock = path, threading.Lock()
        self._failure: OSError | None = None
        self._log = AppendLog(
            path, _REMEDY, lambda row: wrong_field(row, {"what": str, "who": str})
        )
        rows = self._log.repaired() if repair else self._log.read()
        self._known = {(row["what"], row["who"]): row for row in rows}
        self.earlier = frozenset(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def get(
        self,
        what: str,
        who: str,
        compute: Callable[[], Mapping[str, Any]],
        wrong: Callable[[dict[str, Any]], str | None] = lambda content: None,
    ) -> Mapping[str, Any]:
        """What is known; else it is computed and kept.

        Args:
            what: was found out.
            who: of whom.
            compute: finds it out, as JSON.
            wrong: the first field that is not what `compute` gives; None if all are.

        Raises:
            UserError: what is known is damaged.
        """
        if (what, who) not in self._known:
            return self.add(what, who, compute())
        content = self._known[what, who]
        if (what, who) in self.earlier and (field := wrong(content)):
            raise UserError(
                f"{self._path}: {what} of {who[:40]}: {field} is missing or of a wrong type; "
                f"{_REMEDY}"
            )
        return content

    def all(self, what: str) -> list[Mapping[str, Any]]:
        """What is known of this kind."""
        return [row for row in list(self._known.values()) if row["what"] == what]

    def add(self, what: str, who: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep what was found out, on disk before it is used."""
        row = {"what": what, "who": who, **content}
        with self._lock:
            if self._failure is not None:  # a line may be half-written
                raise self._failure
            try:
                self._log.append(row)
            except OSError as error:
                self._failure = error
                raise
        self._known[what, who] = row
        return row


__all__ = ["RESULTS", "Store"]
