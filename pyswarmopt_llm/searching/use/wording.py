"""A question in the wording of a search, which its run stores."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pyswarmopt.base.words import cut
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Item, Scoring
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about
from pyswarmopt_llm.searching.use.from_run import run_scoring, specs_of

_PREFIX = "Question: "  # of the default wording; a user may have typed it
_SHOWN = 200  # most characters of a turn in a line


def named_task(about: About, run: Path, name: str | None) -> str:
    """A run's task by its name, or by its spec in the search; None: its only one.

    Raises:
        InvalidOption: no such task, or no choice among several.
    """
    tasks = about.task_names
    chosen = tasks[0] if name is None and len(tasks) == 1 else name
    chosen = {spec: task for task, spec in specs_of(about).items()}.get(chosen or "", chosen)
    if chosen is None or chosen not in tasks:
        problem = f"missing; {run} has several" if name is None else f"{run} has no such task"
        raise InvalidOption("task", name, f"{problem}, choose one of: {', '.join(tasks)}")
    return chosen


def worded(run: str | Path | None, question: str, task: str | None = None) -> tuple[str, str]:
    """The user turn that asks a question as the search did, and a line that says so.

    If the search's wording is unknown, the turn is the question itself, and the line says why.

    Args:
        run: a finished run; None: the question is the turn.
        question: text of a question; a leading ``Question:`` counts as wording.
        task: one task of a search over several: its name, or its spec in the search.

    Raises:
        UserError: no such run or task.

    Example:
        >>> worded("runs/first", "Which planet is the largest?")[0]  # doctest: +SKIP
        'Question: Which planet is the largest?'
    """
    if run is None:
        if task is not None:
            problem = "is for a run with several tasks; give `run`, or remove it"
            raise InvalidOption("task", task, problem)
        return question, ""
    path = user_path(run)
    about = read_about(path)
    names = about.task_names if task is None else [named_task(about, path, task)]
    turns = {_turn(about, path, name, question) for name in names}
    if len(turns) == 1 and (turn := turns.pop()) is not None:
        line = cut(" | ".join(turn.splitlines()), _SHOWN)
        return turn, "" if turn == question else f"{run}: asked as in the search: {line}"
    return question, f"{run}: asked as typed, {_why(about, names, turns)}" if names else ""


def _turn(about: About, run: Path, name: str, question: str) -> str | None:
    """The user turn for a question of a task; None if its wording is unknown."""
    form = (about.forms or {}).get(name)
    if form is None or (form.choices is None and not form.written):
        return None
    scoring: Scoring = "generate"
    if not form.written:
        scoring = run_scoring(run / "best", name) or "likelihood"
    choices = dict(form.choices) if form.choices else None
    item = Item("", question.removeprefix(_PREFIX), choices, "")
    unknown = {*placeholders(form.prompt or "")} - {"question", "choices"}
    return None if unknown else render_prompt(item, scoring, form.prompt)


def _why(about: About, names: Sequence[str], turns: Collection[str | None]) -> str:
    """Why the wording of a run is unknown."""
    if any(name not in (about.forms or {}) for name in names):
        return 'as the run does not store its wording ("Question: ..." for a table\'s questions)'
    if not {*turns} - {None}:
        return "as the search's questions had options or columns of their own"
    return f"as its tasks ask differently; choose one with `task`: {', '.join(names)}"
