"""`swarm-llm resume`: goes on with an interrupted run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.cli.options import Json, JsonLines, Quiet, Track
from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.cli.options import (
    AgainMetric,
    AgainTask,
    AgainUtility,
    AgainWorkers,
    Json,
    JsonLines,
    Quiet,
    Track,
    said_again,
)


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.")],
    utility: AgainUtility = (),
    task: AgainTask = (),
    metric: AgainMetric = (),
    workers: AgainWorkers = None,
    track: Track = None,
    quiet: Quiet = False,
    as_json: Json = False,
    as_lines: JsonLines = False,
) -> None:
    """Resume an interrupted run; the result is the same as without the interruption.

    If the run executes code (a function, a harness YAML, a metric's script, a Ray cluster), repeat its option.

    Example: swarm-llm resume runs/first
    """
    from pyswarmopt_llm.jobs.search.loop import resume

    allowed = said_again(utility, task, metric, workers)
    shown = {"quiet": quiet, "as_json": as_json, "as_lines": as_lines}
    run_job(lambda on_event: resume(run, on_event, allowed), run, track=track, **shown)
