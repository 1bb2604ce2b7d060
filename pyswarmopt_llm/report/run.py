"""The public search and resume: a run with its model card and its report."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.common.files.regular import read_json, write_text
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.front_matter import licence_conflict, parents_of
from pyswarmopt_llm.report.report import render_report
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.searching import loop
from pyswarmopt_llm.searching.loop import SearchResult
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.written.replies import read_replies

log = logging.getLogger(__name__)


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Find a better mixture of experts and train it; with a grid, of several sets of coefficients.

    Args:
        config: what to search, where and how long.
        on_event: called with progress.

    Returns:
        The finished run. The score in it is that of the files in ``best/``, read back and scored
        again.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.

    Example:
        >>> config = SearchConfig("my/base", ("a", "b"), ("quiz.json",), "runs/first")
        >>> search(config).result["best_test"]  # doctest: +SKIP
        0.62
    """
    return loop.search(config, on_event, write_for_people)


def resume(
    run: str | Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()
) -> SearchResult:
    """Continue a run: the same result as if it had never been stopped; of a finished run its
    result.

    Args:
        run: its directory.
        on_event: called with progress.
        allowed: what of its configuration may run code, in the words it was begun with.

    Returns:
        The finished run.

    Example:
        >>> resume("runs/first").run  # doctest: +SKIP
        PosixPath('runs/first')

    Raises:
        UserError: not a run, one that would run code that is not allowed, or base, experts or data
            changed since it began.
    """
    return loop.resume(run, on_event, allowed, write_for_people)


def write_for_people(run: Run, result: Result, tasks: Mapping[str, Task]) -> None:
    """Write the model card, the report, and where there is a Pareto front its plot."""
    config = run.config
    parents = parents_of(config) if space_kind(config.space).library else []
    if conflict := licence_conflict(parents):
        log.warning(conflict)
    write_text(run.path / "best" / "README.md", model_card(run.about, result, parents))
    page = render_report(run.about, result, run.rows, tasks, read_replies(run))
    write_text(run.path / "report.html", page)
    if result.front is not None:
        from pyswarmopt_llm.report.plots import plot_front

        folder = run.path / "front"
        front = read_json(folder / "front.json")
        saved = [point["dev"] for point in front["points"]]
        plot_front(folder / "front.png", front["all"], saved, front["chosen"])
