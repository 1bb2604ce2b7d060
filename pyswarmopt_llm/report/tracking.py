"""Experiment trackers (``--track NAME``): the numbers of a search in the tool a group already uses.

They are those of accelerate, which comes with peft; the package of each is an extra.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.searching.scoring.run_directory import read_about

TRACKERS = ("trackio", "wandb", "tensorboard")
_PROJECT = "swarm-llm"


@contextmanager
def tracked(name: str) -> Iterator[OnEvent]:
    """A listener that logs every new evaluation, and finally the scores.

    Logged with the number of evaluations so far as the step: ``dev/value`` and ``dev/best``,
    ``search/iteration``, ``search/particle``, ``search/items`` and ``search/seconds`` of the
    evaluation, and of the result every score as ``result/best_test`` and so on. A resumed run
    continues its record.

    Args:
        name: one of `TRACKERS`.

    Raises:
        UserError: unknown tracker, or its package is not installed.
    """
    check_tracker(name)
    tracker: Any = None
    step = 0

    def on_event(event: Event) -> None:
        nonlocal tracker, step
        data = event.data
        if event.kind == "start":
            with redirect_stdout(sys.stderr):  # trackers print greetings, and stdout is for results
                if tracker is not None:  # a grid has one search after the other
                    tracker.finish()
                tracker = open_tracker(name, Path(data["run"]))
        elif tracker is not None and event.kind == "evaluation":
            step = data["evaluations"]
            values = {f"search/{key}": data[key] for key in ("iteration", "particle", "seconds")}
            values |= {
                "dev/value": data["value"],
                "dev/best": data["best"],
                "search/items": data["n"],
            }
            tracker.log(values, step=step)
        elif tracker is not None and event.kind == "done":
            tracker.log(scores(data["result"]), step=step + 1)

    try:
        yield on_event
    finally:
        if tracker is not None:
            with redirect_stdout(sys.stderr):
                tracker.finish()


def check_tracker(name: str) -> None:
    """Refuse a tracker that there is not.

    Raises:
        UserError: it is unknown, or its package is not installed.
    """
    if name not in TRACKERS:
        raise unknown("track", name, TRACKERS)
    need_extra(name, f"`track` {name}")


def open_tracker(name: str, path: Path) -> Any:
    """The tracker of that name for the run at `path`, whose record is continued.

    TensorBoard writes to ``RUN/tensorboard``. Weights & Biases writes to ``RUN/wandb``, for ``wandb
    sync``, and uploads only with ``WANDB_MODE=online``. Trackio has a local database, unless its
    own environment variables name a Space.
    """
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState(cpu=True)  # which its loggers ask for
    config, run = asdict(read_about(path).config), run_name(path)
    # allowed in ids
    run_id = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in run)
    mode = os.environ.get("WANDB_MODE", "offline")
    if name == "tensorboard":
        tracker = LOGGER_TYPE_TO_CLASS[name]("tensorboard", logging_dir=path)
    else:
        options: dict[str, Any] = {"name": run, "config": config, "resume": "allow"}
        options |= (
            {"embed": False} if name == "trackio" else {"id": run_id, "dir": path, "mode": mode}
        )
        tracker = LOGGER_TYPE_TO_CLASS[name](_PROJECT, **options)
    tracker.start()
    if name == "tensorboard":
        tracker.log({"config": f"    {json.dumps(config)}"})
    return tracker


def run_name(path: Path) -> str:
    """The directory's name and a hash of the run, which is the same after a resume."""
    began = (path / "run.json").stat().st_mtime_ns  # written once, when the run begins
    digest = hashlib.blake2b(f"{path.resolve()} {began}".encode(), digest_size=4).hexdigest()
    return f"{path.resolve().name}-{digest}"


def scores(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of ``result.json`` that are scores.

    Example:
        >>> scores({"best_dev": 0.7, "intervals": {"best_dev": [0.6, 0.8]}, "evaluations": 9})
        {'result/best_dev': 0.7}
    """
    return {f"result/{key}": result[key] for key in result["intervals"]}
