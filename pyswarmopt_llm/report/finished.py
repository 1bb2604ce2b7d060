"""A finished run: read back, and its report written anew."""

from __future__ import annotations

import logging
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.report.reading import searched
from pyswarmopt_llm.report.run import write_page
from pyswarmopt_llm.scores.metrics.objectives import load_split, task_print
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run

log = logging.getLogger(__name__)


def read_run(path: Path) -> tuple[Run, Result]:
    """A finished run and its result.

    Raises:
        UserError: not a run, not finished, or without a complete evaluation.
    """
    run = Run(path)
    result = run.result
    if result is None:
        raise UserError(f"{path}: is not finished; finish it with: swarm-llm resume {path}")
    journal = run.path / "history.jsonl"
    rows = searched(run.rows)
    if not rows:
        raise UserError(f"{journal}: has no complete evaluation; nothing to analyse")
    shapes = {_shape(row) for row in run.rows if row.phase == "search"}
    if len(shapes) > 1 or len(rows[0].coefficients) != len(result.coefficients):
        raise UserError(
            f"{journal}: its lines differ in tasks, examples or experts, among them or from "
            "result.json; restore the files"
        )
    return run, result


def _shape(row: Row) -> tuple[int, tuple[tuple[str, int], ...]]:
    return len(row.coefficients), tuple((name, len(items)) for name, items in row.items.items())


def write_report(path: Path) -> Path:
    """Rewrite ``report.html`` of a finished run; returns its path.

    Questions are shown if the task files are unchanged; else they are only counted, and a log line
    says why.

    Raises:
        UserError: not a finished run, or its directory cannot be written to.
    """
    run, result = read_run(path)
    try:
        return write_page(run, result, _unchanged_tasks(run))
    except OSError as error:
        file = path / "report.html"
        why = f"cannot be written ({error.strerror}); check its permissions"
        raise UserError(f"{file}: {why}") from error


def _unchanged_tasks(run: Run) -> dict[str, Task]:
    try:
        tasks = load_split(run.config)
    except UserError as error:
        log.warning("the report shows no questions: %s", error)
        return {}
    stored = run.about.fingerprints.get("tasks", {})
    same = {name: task for name, task in tasks.items() if task_print(task) == stored.get(name)}
    for name in tasks.keys() - same.keys():
        log.warning("the report shows no questions of %s: its file has changed since the run", name)
    return same
