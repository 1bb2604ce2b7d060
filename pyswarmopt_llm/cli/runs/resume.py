"""`swarm-llm resume`: goes on with an interrupted run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt_llm.cli.options import Allowed, Shown
from pyswarmopt_llm.cli.runs.running import run_job


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.")], allowed: Allowed, shown: Shown
) -> None:
    """Resume an interrupted run; the result is the same as without the interruption.

    If the run executes code (a function, a harness YAML, a metric's script, a Ray cluster), repeat its option.

    Example: swarm-llm resume runs/first
    """
    from pyswarmopt_llm.jobs.search import grid

    run_job(lambda on_event: grid.resume(run, on_event, allowed.values), run, **vars(shown))
