"""The public search and resume: a run with its model card and its report."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig, command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import refuse_link, refuse_links, user_path, write_text
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.findings import verdict
from pyswarmopt_llm.report.page import render_report
from pyswarmopt_llm.scores.metrics.objectives import load_split, task_print
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.searching.prepare import prepare, reopen
from pyswarmopt_llm.searching.scoring.result import FRONT, Result, read_result
from pyswarmopt_llm.searching.scoring.run_directory import (
    Run,
    check_fingerprints,
    check_new,
    exclusive,
)
from pyswarmopt_llm.searching.search import about, complete

log = logging.getLogger(__name__)

CARD = "best/README.md"
PAGE = "report.html"


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Example:
        >>> experts = ("adapters/math", "adapters/science")  # doctest: +SKIP
        >>> config = sl.SearchConfig("my/base", experts, ("questions.json",), "runs/a")  # doctest: +SKIP
        >>> found = sl.search(config)  # doctest: +SKIP
        >>> found.run.name, found.result["best_dev"]  # doctest: +SKIP
        ('a', 0.625)
    """

    run: Path  # the run directory; its ``best/`` is the adapter
    result: Mapping[str, Any] = field(repr=False)  # content of ``result.json``
    verdict: str = ""  # one sentence


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
    path = user_path(config.out)
    check_new(path)
    job = prepare(config)
    run = Run.create(path, about(job))
    return _shown(run, complete(job, run, on_event), on_event)


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
    opened = Run(user_path(run))
    result = read_result(opened.path)
    if result is None:
        from pyswarmopt_llm.scores.metrics.named_again import require

        config = opened.about.config
        require(config, allowed, opened.path)
        job = reopen(config, opened.about.given)
        check_fingerprints(opened.path, opened.about, about(job).fingerprints)
        result = complete(job, opened, on_event)
    return _shown(opened, result, on_event)


def _shown(run: Run, result: Result, on_event: OnEvent | None = None) -> SearchResult:
    """The search result with its verdict; its card and report are written, if they are not there."""
    content = result.to_json()
    if on_event is not None:
        on_event(Event("done", {"result": content}))
    if not all((run.path / name).is_file() for name in (CARD, PAGE)):
        write_report(run.path)
    return SearchResult(run.path, content, verdict(result).sentence)


def unchanged_tasks(run: Run) -> dict[str, Task]:
    """The run's tasks; none if a file has changed."""
    stored = run.about.fingerprints.get("tasks", {})
    with suppress(UserError):
        tasks = load_split(run.about.config)
        if all(task_print(task) == stored.get(name) for name, task in tasks.items()):
            return tasks
    log.warning("the report omits all questions, because a task file has changed")
    return {}


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


def choose(path: Path, number: int) -> SearchResult:
    """Make a point of the front the result: its files become ``best/``, with card and report.

    Args:
        path: finished run of a search for a front.
        number: the point, from 1.

    Returns:
        The run with its new result.

    Raises:
        UserError: the run is not finished, or has no such point.
        OSError: the directory cannot be written to.

    Example:
        >>> choose(Path("runs/front"), 3).run  # doctest: +SKIP
        PosixPath('runs/front')
    """
    run, result = read_run(path)
    if not result.chosen:
        raise UserError(f"{path} has no front to choose from; search with `front`")
    if not 1 <= number <= len(result.front):
        raise UserError(f"{path} has no point {number}; choose one of 1 to {len(result.front)}")
    with exclusive(path):
        for folder in (path / "best", path / FRONT):
            refuse_links(folder)
        fresh = path / "best.new"
        shutil.rmtree(fresh, ignore_errors=True)  # of an earlier, interrupted call
        shutil.copytree(path / FRONT / str(number), fresh)
        (fresh / "README.md").unlink(missing_ok=True)
        shutil.rmtree(path / "best")
        fresh.rename(path / "best")
        content = result.with_point(number)
        run.finish(content.to_json())
    write_report(path)
    return SearchResult(path, content.to_json(), verdict(content).sentence)


def write_report(path: Path) -> Path:
    """Rewrite ``report.html`` of a finished run, and the card if missing; return its path.

    Questions are shown if the task files are unchanged; otherwise they are only counted.

    Raises:
        UserError: the directory is not a finished run.
        OSError: the directory cannot be written to.
    """
    run, result = read_run(path)
    if not (path / CARD).is_file():
        refuse_link(path / "best")
        write_text(path / CARD, model_card(run.about, result))
    for number in range(1, result.chosen and len(result.front) + 1):
        card = path / FRONT / str(number) / "README.md"
        if card.parent.is_dir() and not card.is_file():
            refuse_link(card.parent)
            write_text(card, model_card(run.about, result.with_point(number)))
    page = render_report(run.about, result, run.rows, unchanged_tasks(run))
    write_text(path / PAGE, page)
    return path / PAGE
