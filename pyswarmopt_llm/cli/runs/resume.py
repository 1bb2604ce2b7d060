"""`swarm-llm resume` goes on with an interrupted run, `swarm-llm report` writes the report of a finished one anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.options import Allow, Shown
from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.common.files.regular import user_path


def resume(
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


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")]) -> None:
    """Regenerate RUN/report.html, for instance after an update or once missing task files are back.

    Example: swarm-llm report runs/first
    """
    from pyswarmopt_llm.jobs.report import write_report

    echo(f"wrote {write_report(user_path(run))}")
