"""Follow a run from another process: its files as the events of the search. Nothing is locked or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.evaluation.record import Row, journal
from pyswarmopt_llm.evaluation.run_events import RunEvents
from pyswarmopt_llm.evaluation.run_files import GRID, at_work, read_about, read_result, stored_config


class Status(Enum):
    """Status of a run."""

    ABSENT = "not begun"
    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"


class Follower:
    """Reads what is new in a run directory.

    Args:
        path: the run directory; it need not exist yet.

    Raises:
        UserError: the path is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.result: dict[str, Any] | None = None
        self._events: RunEvents | None = None
        self._journal = journal(path / "history.jsonl")
        if not (path / "run.json").exists() and path.exists() and (not path.is_dir() or any(path.iterdir())):
            if (path / GRID).exists():
                raise UserError(f"{path}: draws from a grid, none is chosen yet; watch one: {path / 'draw-01'}")
            raise UserError(f"{path}: not a run directory (it has no run.json); check the path")

    @property
    def status(self) -> Status:
        """The current status."""
        if self.result is not None:
            return Status.FINISHED
        if not (self.path / "run.json").exists():
            return Status.ABSENT
        return Status.RUNNING if at_work(self.path) else Status.STOPPED

    def news(self) -> list[Event]:
        """The events since the last call, in order; the first is ``start``, the last ``done``.

        Raises:
            UserError: a file of the run is damaged.
        """
        return [] if self.result is not None else list(self._read())

    def _read(self) -> Iterator[Event]:
        if self._events is None and not (self.path / "run.json").exists():
            return
        result = read_result(self.path)  # before the journal, which is complete once this is there
        rows = [Row.from_json(line) for line in self._journal.read()]
        if self._events is None:
            about = read_about(self.path)
            config = stored_config(self.path, about)
            self._events = RunEvents(config.planned)
            yield _start(self.path, about, config, next((row for row in rows if row.phase == "search"), None))
        for row in rows:
            yield from self._events.follow(row)
        if result is not None:
            self.result = result
            yield self._events.iteration()
            yield Event("done", {"result": result})


def _start(path: Path, about: Mapping[str, Any], config: SearchConfig, row: Row | None) -> Event:
    """The ``start`` event, as far as the files hold it."""
    prints = about["fingerprints"]
    data = {
        "run": str(path),
        "experts": list(prints.get("experts", config.experts)),
        "tasks": list(prints.get("tasks", config.tasks)),
        "particles": config.population,
        "limits": config.limits,
        "dev_items": 0 if row is None else sum(map(len, row.items.values())),
        "scoring": config.scoring,
        "dtype": config.dtype,
        "threads": config.threads,
        "workers": config.workers,
        "evaluations_planned": config.planned,
    }
    return Event("start", data)
