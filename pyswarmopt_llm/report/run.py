"""The public search and resume: a run with its model card and its report."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig, command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.common.files.regular import refuse_link, write_text
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.findings import verdict
from pyswarmopt_llm.report.page import render_report
from pyswarmopt_llm.scores.metrics.objectives import load_split, task_print
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.searching import search as job
from pyswarmopt_llm.searching.scoring.result import Result, read_result
from pyswarmopt_llm.searching.scoring.run_directory import REPLIES, Run
from pyswarmopt_llm.searching.search import SearchResult

log = logging.getLogger(__name__)

CARD = "best/README.md"
PAGE = "report.html"


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Find a better mixture of experts and train it; with a grid, try several sets of coefficients.

    Args:
        config: settings of the search.
        on_event: called with each event.

    Returns:
        The finished run. Its scores are measured on the files in ``best/``, read back.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.

    Example:
        >>> experts = ("adapters/math", "adapters/science")
        >>> config = SearchConfig("my/base", experts, ("questions.json",), "runs/second")
        >>> search(config).result["best_test"]  # doctest: +SKIP
        0.62
    """
    return _shown(job.search(config, on_event))


def resume(
    run: str | Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()
) -> SearchResult:
    """Continue a run as if it had not been interrupted; a finished run just returns its
    result.

    Args:
        run: run directory.
        on_event: called with each event.
        allowed: what the configuration may run, as given at the start: names of functions
            and metrics.

    Returns:
        The finished run.

    Example:
        >>> resume("runs/first").run  # doctest: +SKIP
        PosixPath('runs/first')

    Raises:
        UserError: the directory is not a run, it would execute code that is not allowed, or the
            base model, experts or data have changed.
    """
    return _shown(job.resume(run, on_event, allowed))


def _shown(found: SearchResult) -> SearchResult:
    """The search result with its verdict; its card and report are written, if they are not there."""
    run = Run(found.run)
    result = Result.from_json(found.result)
    for name, write in ((CARD, write_card), (PAGE, write_page)):
        if not (run.path / name).is_file():
            write(run, result)
    return replace(found, verdict=verdict(result).sentence)


def unchanged_tasks(run: Run) -> dict[str, Task]:
    """The run's tasks; none if a file has changed."""
    stored = run.about.fingerprints.get("tasks", {})
    try:
        tasks = load_split(run.config)
        same = all(task_print(task) == stored.get(name) for name, task in tasks.items())
    except UserError:
        same = False
    if not same:
        log.warning("the report omits all questions, because a task file has changed")
        return {}
    return tasks


def read_run(path: Path) -> tuple[Run, Result]:
    """A finished run and its result.

    Raises:
        UserError: the directory is not a finished run.
    """
    run = Run(path)
    result = read_result(path)
    if result is None:
        raise UserError(f"{path} is not finished; continue it with: {command('resume', str(path))}")
    return run, result


def write_report(path: Path) -> Path:
    """Rewrite ``report.html`` of a finished run, and the card if missing; return its path.

    Questions are shown if the task files are unchanged; otherwise they are only counted.

    Raises:
        UserError: the directory is not a finished run.
        OSError: the directory cannot be written to.
    """
    run, result = read_run(path)
    if not (run.path / CARD).exists():
        write_card(run, result)
    write_page(run, result)
    return run.path / PAGE


def write_card(run: Run, result: Result) -> None:
    """Write the model card of ``best/``."""
    refuse_link(run.path / "best")
    write_text(run.path / CARD, model_card(run.about, result))


def write_page(run: Run, result: Result) -> None:
    """Write ``report.html``."""
    replies: Sequence[Mapping[str, Any]] = ()
    if (run.path / REPLIES).is_file():
        from pyswarmopt_llm.searching.written.replies import read_replies

        replies = read_replies(run)
    page = render_report(run.about, result, run.rows, unchanged_tasks(run), replies)
    write_text(run.path / PAGE, page)
