"""Searches with one set of coefficients, or with each of several draws from a grid, as the
configuration says.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.searching.scoring.run_files import GRID

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.loop import SearchResult


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Find a better mixture of experts and train it; the preset `paper` moves a swarm of them.

    Args:
        config: what to search, where and how long.
        on_event: called with progress.

    Returns:
        The finished run. The score in it is that of the files in ``best/``, read back and scored
        again.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.
    """
    from pyswarmopt_llm.searching.plan import with_preset

    if with_preset(config).is_grid:
        from pyswarmopt_llm.searching.grid.draws import grid_search

        return grid_search(config, on_event)
    from pyswarmopt_llm.searching.loop import search as search_once

    return search_once(config, on_event)


def resume(
    run: str | Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()
) -> SearchResult:
    """Continue a search, or one over a grid, whichever is there; see `jobs.search.loop.resume`."""
    path = user_path(run)
    if (path / GRID).is_file():
        from pyswarmopt_llm.searching.grid.draws import resume_grid

        return resume_grid(path, on_event, allowed)
    from pyswarmopt_llm.searching.loop import resume as resume_one

    return resume_one(path, on_event, allowed)


__all__ = ["resume", "search"]
