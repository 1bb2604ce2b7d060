"""A finished run: reading it back, and rewriting its report."""

from __future__ import annotations

from pathlib import Path

from pyswarmopt.inspect.plot import animate
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.report.reading import searched
from pyswarmopt_llm.report.run import unchanged_tasks, write_card, write_page
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run


def read_run(path: Path) -> tuple[Run, Result]:
    """A finished run and its result.

    Raises:
        UserError: not a run, not finished, or no candidate was evaluated completely.
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
    """Rewrite ``report.html`` of a finished run, and the card if missing; return its path.

    Questions are shown if the task files are unchanged; otherwise they are only counted, and a log
    line says why.

    Raises:
        UserError: not a finished run, or its directory cannot be written to.
    """
    run, result = read_run(path)
    try:
        if not (run.path / "best" / "README.md").exists():
            write_card(run, result)
        return write_page(run, result, unchanged_tasks(run))
    except OSError as error:
        file = error.filename or path / "report.html"
        why = f"cannot be written ({error.strerror}); check its permissions"
        raise UserError(f"{file}: {why}") from error


def write_film(path: Path, target: Path) -> Path:
    """Draw the search of a run as an animation, with base and experts named.

    Args:
        path: the run's directory.
        target: a new .gif (needs matplotlib).

    Returns:
        The target.

    Raises:
        UserError: wrong file type, missing folder, matplotlib not installed, or no candidates to
            draw.
    """
    try:
        return animate(path, target)
    except ValueError as error:
        raise UserError(str(error)) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"{target}: an animation needs {error.name}; install the extra 'toy'"
        ) from error
    except OSError as error:
        why = f"cannot be written ({error.strerror}); check its permissions"
        raise UserError(f"{target}: {why}") from error
