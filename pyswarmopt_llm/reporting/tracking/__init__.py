"""Experiment trackers: a search's numbers in the tool that a group already looks at, on demand (``--track NAME``).

A tracker is one file of this folder with a function `open_tracker`; its package is an extra, imported on demand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.evaluation.run_files import read_about

TRACKERS = ("trackio", "wandb", "tensorboard")


class Tracker(Protocol):
    """Where numbers go."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Keep these values of this step; steps increase."""

    def finish(self) -> None:
        """Write out what is kept, and close."""


Open = Callable[[Path, str, Mapping[str, Any]], Tracker]
"""Begins to track a run: its directory, a name that stays the same when it is resumed, its configuration."""


@contextmanager
def tracked(name: str) -> Iterator[OnEvent]:
    """A listener that logs every new evaluation, and the scores in the end.

    Logged with the number of evaluations so far as the step: ``dev/value`` and ``dev/best``, ``search/iteration``,
    ``search/particle``, ``search/items`` and ``search/seconds`` of the evaluation, and of the result every score as
    ``result/best_test`` and so on. A resumed run goes on where it was.

    Args:
        name: one of `TRACKERS`.

    Raises:
        UserError: there is no such tracker, or its package is not installed.
    """
    open_tracker = find_tracker(name)
    tracker: Tracker | None = None
    step = 0

    def on_event(event: Event) -> None:
        nonlocal tracker, step
        data = event.data
        if event.kind == "start":
            path = Path(data["run"])
            tracker = open_tracker(path, run_name(path), read_about(path)["config"])
        elif tracker is not None and event.kind == "evaluation":
            step = data["evaluations"]
            own = {f"search/{key}": data[key] for key in ("iteration", "particle", "seconds")}
            tracker.log({"dev/value": data["value"], "dev/best": data["best"], "search/items": data["n"], **own}, step)
        elif tracker is not None and event.kind == "done":
            tracker.log(scores(data["result"]), step + 1)

    try:
        yield on_event
    finally:
        if tracker is not None:
            tracker.finish()


def find_tracker(name: str) -> Open:
    """What opens the tracker of that name.

    Raises:
        UserError: there is none, or its package is not installed.
    """
    if name not in TRACKERS:
        raise unknown("--track", name, TRACKERS)
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(name):
            raise
        raise UserError(
            f'--track {name}: the package {name} is not installed; install it with: pip install "pyswarmopt[{name}]"'
        ) from error
    found: Open = module.open_tracker
    return found


def run_name(path: Path) -> str:
    """The directory's name and a few letters that are its own: the same after a resume, another for another run."""
    began = (path / "run.json").stat().st_mtime_ns  # written once, when the run begins
    own = hashlib.blake2b(f"{path.resolve()} {began}".encode(), digest_size=4).hexdigest()
    return f"{path.resolve().name}-{own}"


def scores(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of ``result.json`` that are scores.

    Example:
        >>> scores({"best_dev": 0.7, "best_test": None, "best_single": "x", "evaluations": 9})
        {'result/best_dev': 0.7}
    """
    keys = [f"{who}_{split}" for who in ("best", "best_single", "uniform") for split in ("dev", "test")]
    return {f"result/{key}": result[key] for key in keys if result.get(key) is not None}


__all__ = ["TRACKERS", "Open", "Tracker", "find_tracker", "run_name", "scores", "tracked"]
