"""`swarm-llm resume`: goes on with an interrupted run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.cli.options import Json, JsonLines, Quiet, Track


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.")],
    track: Track = None,
    quiet: Quiet = False,
    as_json: Json = False,
    as_lines: JsonLines = False,
) -> None:
    """Go on with an interrupted run; it ends as if it had never been stopped.

    Example: swarm-llm resume runs/first
    """
    from pyswarmopt_llm.jobs.search.loop import resume

    shown = {"quiet": quiet, "as_json": as_json, "as_lines": as_lines}
    run_job(lambda on_event: resume(run, on_event), run, track=track, **shown)
