"""A search for each of several draws from a grid of coefficients."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.evaluation.run_files import GRID

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.search.loop import SearchResult


def resume_any(path: Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()) -> SearchResult:
    """Go on with a search, or with one over a grid, whichever is there; the arguments are those of `resume`."""
    if (path / GRID).is_file():
        from pyswarmopt_llm.jobs.search.grid.draws import resume_grid

        return resume_grid(path, on_event, allowed)
    from pyswarmopt_llm.jobs.search.loop import resume

    return resume(path, on_event, allowed)


__all__ = ["resume_any"]
