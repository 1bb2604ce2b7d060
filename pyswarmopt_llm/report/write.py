"""What people read of a finished run: its model card and its report."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_text
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.page import render_report
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.record import FRONT
from pyswarmopt_llm.run.result import RunResult, read_result
from pyswarmopt_llm.scores.metrics.objectives import load_split, task_print
from pyswarmopt_llm.scores.tasks import Task

log = logging.getLogger(__name__)

CARD = "best/README.md"
PAGE = "report.html"


def unchanged_tasks(run: RunDirectory) -> dict[str, Task]:
    """The run's tasks; none if a file has changed."""
    stored = run.about.fingerprints.get("tasks", {})
    with suppress(UserError):
        tasks = load_split(run.about.config)
        if all(task_print(task) == stored.get(name) for name, task in tasks.items()):
            return tasks
    log.warning("the report omits all questions, because a task file has changed")
    return {}


def read_run(path: Path) -> tuple[RunDirectory, RunResult]:
    """A finished run and its result.

    Raises:
        UserError: the directory is not a finished run.
    """
    run = RunDirectory(path)
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
