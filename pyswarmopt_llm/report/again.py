"""The report of a finished run, rewritten from its files."""

from __future__ import annotations

import logging
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import write_text
from pyswarmopt_llm.report.reading import read_run
from pyswarmopt_llm.report.report import render_report
from pyswarmopt_llm.scores.metrics.objectives import load_split, task_print
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.written.replies import read_replies

log = logging.getLogger(__name__)


def write_report(path: Path) -> Path:
    """Rewrite ``report.html`` of a finished run; returns its path.

    Questions are shown if the task files are unchanged; else they are only counted, and a log line
    says why.
    """
    run, result = read_run(path)
    page = render_report(run.about, result, run.rows, _tasks(run), read_replies(run))
    file = path / "report.html"
    try:
        write_text(file, page)
    except OSError as error:
        raise UserError(
            f"{file}: cannot be written ({error.strerror}); check its permissions"
        ) from error
    return file


def _tasks(run: Run) -> dict[str, Task]:
    try:
        tasks, _ = load_split(run.config)
    except UserError as error:
        log.warning("the report shows no questions: %s", error)
        return {}
    stored = run.about.fingerprints.get("tasks", {})
    same = {name: task for name, task in tasks.items() if task_print(task) == stored.get(name)}
    for name in tasks.keys() - same.keys():
        log.warning("the report shows no questions of %s: its file has changed since the run", name)
    return same
