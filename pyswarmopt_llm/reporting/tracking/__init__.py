"""Experiment trackers (``--track NAME``): the numbers of a search in the tool a group already uses.

Each tracker is a file of this folder with a function `open_tracker`; its package is an optional dependency, imported on
use.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.registry import load, unknown
from pyswarmopt_llm.evaluation.run_files import read_about

TRACKERS = ("trackio", "wandb", "tensorboard")


class Tracker(Protocol):
    """A sink for numbers."""

    def log(self, values: dict[str, float], /, step: int) -> None:
        """Log the values of a step; steps increase."""

    def finish(self) -> None:
        """Flush and close."""


Open = Callable[[Path, str, Mapping[str, Any]], Tracker]
"""Opens a tracker for a run: its directory, a name that a resumed run keeps, its configuration."""


@contextmanager
def tracked(name: str) -> Iterator[OnEvent]:
    """A listener that logs every new evaluation, and finally the scores.

    Logged with the number of evaluations so far as the step: ``dev/value`` and ``dev/best``, ``search/iteration``,
    ``search/particle``, ``search/items`` and ``search/seconds`` of the evaluation, and of the result every score as
    ``result/best_test`` and so on. A resumed run continues its record.

    Args:
        name: one of `TRACKERS`.

    Raises:
        UserError: unknown tracker, or its package is not installed.
    """
    open_tracker = find_tracker(name)
    tracker: Tracker | None = None
    step = 0

    def on_event(event: Event) -> None:
        nonlocal tracker, step
        data = event.data
        if event.kind == "start":
            path = Path(data["run"])
            with redirect_stdout(sys.stderr):  # trackers print greetings, and stdout is for results
                if tracker is not None:  # a grid has one search after the other
                    tracker.finish()
                tracker = open_tracker(path, run_name(path), read_about(path)["config"])
        elif tracker is not None and event.kind == "evaluation":
            step = data["evaluations"]
            values = {f"search/{key}": data[key] for key in ("iteration", "particle", "seconds")}
            values |= {"dev/value": data["value"], "dev/best": data["best"], "search/items": data["n"]}
            tracker.log(values, step=step)
        elif tracker is not None and event.kind == "done":
            tracker.log(scores(data["result"]), step=step + 1)

    try:
        yield on_event
    finally:
        if tracker is not None:
            with redirect_stdout(sys.stderr):
                tracker.finish()


def find_tracker(name: str) -> Open:
    """The function that opens the tracker of that name.

    Raises:
        UserError: unknown tracker, or its package is not installed.
    """
    if name not in TRACKERS:
        raise unknown("track", name, TRACKERS)
    need_extra(name, f"`track` {name}")
    opens: Open = load(f"{__name__}.{name}:open_tracker")
    return opens


def run_name(path: Path) -> str:
    """The directory's name and a hash of the run: the same after a resume, different for another run."""
    began = (path / "run.json").stat().st_mtime_ns  # written once, when the run begins
    own = hashlib.blake2b(f"{path.resolve()} {began}".encode(), digest_size=4).hexdigest()
    return f"{path.resolve().name}-{own}"


def scores(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of ``result.json`` that are scores.

    Example:
        >>> scores({"best_dev": 0.7, "best_test": None, "best_single": "x", "evaluations": 9})
        {'result/best_dev': 0.7}
    """
    models = ("best", "best_single", "mixture", "trained", "uniform")
    keys = [f"{who}_{split}" for who in models for split in ("dev", "test")]
    return {f"result/{key}": result[key] for key in keys if result.get(key) is not None}


__all__ = ["TRACKERS", "Open", "Tracker", "find_tracker", "run_name", "scores", "tracked"]
