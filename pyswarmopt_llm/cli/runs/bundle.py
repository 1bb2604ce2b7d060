"""`swarm-llm bundle`: a static site of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.options import OUTPUT, Option


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished run directories.")],
    *,
    out: Annotated[Path, Option("Directory to create.", "DIR", OUTPUT)],
) -> None:
    """Write the reports of several runs as a static site with an index.

    One row per run: task, verdict, test scores, date.

    Example: swarm-llm bundle runs/* --out site
    """
    from pyswarmopt_llm.reporting.report.bundle import write_bundle

    index, *pages = write_bundle([user_path(run) for run in dict.fromkeys(runs)], user_path(out))
    echo(f"wrote {index} and {counted(len(pages), 'report')}")
