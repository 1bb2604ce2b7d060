"""`swarm-llm search`: the main job."""

from __future__ import annotations

from pathlib import Path

from pyswarmopt_llm.cli.options import Config, Json, JsonLines, Quiet, Track
from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.common.config import SearchConfig


def command(
    settings: SearchConfig,
    config: Config = None,
    track: Track = None,
    quiet: Quiet = False,
    as_json: Json = False,
    as_lines: JsonLines = False,
) -> None:
    """Search for a better model with a swarm of experts; RUN/best is the adapter it finds.

    Example: swarm-llm search --base B --experts adapters/* --task questions.json --out runs/first
    """
    from pyswarmopt_llm.jobs.search.loop import search

    shown = {"quiet": quiet, "as_json": as_json, "as_lines": as_lines}
    run_job(lambda on_event: search(settings, on_event), Path(settings.out), track=track, **shown)
