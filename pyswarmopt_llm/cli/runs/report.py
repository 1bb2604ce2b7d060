"""`swarm-llm report`: draws the report of a finished run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.common.files.paths import user_path


def command(run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")]) -> None:
    """Write RUN/report.html again: after an update, or with the questions of task files that have come back.

    Example: swarm-llm report runs/first
    """
    from pyswarmopt_llm.jobs.report import write_report

    echo(f"wrote {write_report(user_path(run))}")
