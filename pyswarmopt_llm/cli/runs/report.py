"""`swarm-llm report`: regenerates the report of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.common.files.paths import user_path


def command(run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")]) -> None:
    """Regenerate RUN/report.html, for instance after an update or once missing task files are back.

    Example: swarm-llm report runs/first
    """
    from pyswarmopt_llm.jobs.report import write_report

    echo(f"wrote {write_report(user_path(run))}")
