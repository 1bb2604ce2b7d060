"""`swarm-llm search`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyswarmopt_llm.cli.options import Config, DryRun, Shown
from pyswarmopt_llm.cli.runs.planning import print_plan
from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.common.config import GridOptions, SearchConfig, is_grid
from pyswarmopt_llm.common.events import OnEvent

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.search.loop import SearchResult


def command(
    grid: GridOptions, settings: SearchConfig, *, config: Config = None, dry_run: DryRun = False, shown: Shown
) -> None:
    """Search for a better model with a swarm of experts; RUN/best is the adapter it finds.

    Example: swarm-llm search --base B --experts adapters/* --task questions.json --out runs/first
    """
    several = is_grid(settings, grid)
    if dry_run:
        from pyswarmopt_llm.jobs.dry_run.search import dry_run_grid, dry_run_search

        plan = dry_run_grid(settings, grid) if several else dry_run_search(settings)
        print_plan(plan, shown.as_json or shown.as_lines)
        return
    run_job(lambda on_event: _search(settings, grid if several else None, on_event), Path(settings.out), **vars(shown))


def _search(settings: SearchConfig, grid: GridOptions | None, on_event: OnEvent | None) -> SearchResult:
    if grid is not None:
        from pyswarmopt_llm.jobs.search.grid import grid_search

        return grid_search(settings, grid, on_event)
    from pyswarmopt_llm.jobs.search.loop import search

    return search(settings, on_event)
