"""`swarm-llm resume`: goes on with an interrupted run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt_llm.cli.options import Allow, Shown
from pyswarmopt_llm.cli.runs.running import run_job


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.")],
    allow: Allow = (),
    *,
    shown: Shown,
) -> None:
    """Resume an interrupted run; the result is the same as without the interruption.

    If the run executes code (a function, a harness YAML, a metric's script, a Ray cluster), allow it by name.

    Example: swarm-llm resume runs/first
    """
    from pyswarmopt_llm.jobs.search import grid

    run_job(lambda on_event: grid.resume(run, on_event, allow), run, **vars(shown))
