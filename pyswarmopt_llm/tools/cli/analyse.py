"""`swarm-llm analyse`: which experts carry a result, or which members a decision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Again, Json
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.options import OUTPUT, Option
from pyswarmopt_llm.report.pages import lines_of, words


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run, or a group's directory.")
    ],
    out: Annotated[Path | None, Option("Output directory (RUN/analysis).", "DIR", OUTPUT)] = None,
    as_json: Json = False,
    *,
    again: Again,
) -> None:
    """Show which experts carry a result: score it without each, or decide without each member.

    Example: swarm-llm analyse runs/first
    """
    from pyswarmopt_llm.tools.analyse import analyse

    folder = out or run / "analysis"
    record = analyse(run, folder, allowed=again.allowed, tell=lambda text: echo(text, err=True))
    lines = lines_of(with_flags(words().left_out(record["leave_one_out"])))
    print_either(record, [*lines, f"All figures: {folder}/analysis.json"], as_json)
