"""`swarm-llm search`: the main job."""

from __future__ import annotations

from pathlib import Path

from pyswarmopt_llm.cli.options import Config, DryRun, Shown
from pyswarmopt_llm.cli.runs.planning import print_plan
from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.common.config import SearchConfig


def command(settings: SearchConfig, *, config: Config = None, dry_run: DryRun = False, shown: Shown) -> None:
    """Search for a better model with a swarm of experts; RUN/best is the adapter it finds.

    Example: swarm-llm search --base B --experts adapters/* --task questions.json --out runs/first
    """
    if dry_run:
        from pyswarmopt_llm.jobs.dry_run.search import dry_run_search

        print_plan(dry_run_search(settings), shown.as_json or shown.as_lines)
        return
    from pyswarmopt_llm.jobs.search.loop import search

    run_job(lambda on_event: search(settings, on_event), Path(settings.out), **vars(shown))
