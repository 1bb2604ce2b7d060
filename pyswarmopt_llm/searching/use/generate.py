"""A model's answer to a prompt, which is worded as in the search of its run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from pyswarmopt.base.words import cut
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Item, Scoring
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about
from pyswarmopt_llm.searching.use.config import Machine
from pyswarmopt_llm.searching.use.opening import Model, open_model, run_scoring, specs_of

log = logging.getLogger(__name__)
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

    If the search's wording is unknown, the turn is the question itself, and the line says so.

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
    turn = turns.pop() if len(turns) == 1 else None
    if turn is not None:
        line = cut(" | ".join(turn.splitlines()), _SHOWN)
        return turn, "" if turn == question else f"{run}: asked as in the search: {line}"
    why = "the search asked with more than a text"
    if len(names) > 1:
        why = f"its tasks ask differently; choose one with `task`: {', '.join(names)}"
    return question, f"{run}: asked as typed, {why}" if names else ""


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


def generate_text(
    base: str,
    adapter: str | None,
    prompt: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
    *,
    fusion: str = "auto",
    seed: int = 0,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    run: str | Path | None = None,
    task: str | None = None,
) -> Iterator[str]:
    """The answer to a user turn, greedy unless a mixture samples it; a mixture's answer comes in
    pieces.

    Args:
        base: a model, or a directory with a mixture, such as RUN/best of a token search.
        adapter: adapter of that base.
        prompt: a question, asked as the run's search did (see `worded`); the user's turn as it is
            without a run.
        max_new_tokens: most tokens of the answer.
        fusion: how a mixture samples, see `MixtureEngine`.
        seed: seed of a mixture's samples.
        dtype: dtype of the weights.
        device: where the model runs.
        threads: CPU threads.
        run: the model's run, if any.
        task: whose wording, of a run with several tasks.

    Returns:
        The pieces of the answer, in order.

    Raises:
        UserError: the base or the adapter cannot be used.

    Example:
        >>> "".join(generate_text("my/base", "runs/first/best", "Hello!"))  # doctest: +SKIP
        'Hello! How can I help you?'
    """
    turn, line = worded(run, prompt, task)
    log.info(line)
    machine = Machine(dtype, device, threads)
    return answer_turn((base, adapter), turn, max_new_tokens, machine, run, fusion, seed)


def answer_turn(
    model: Model,
    turn: str,
    max_new_tokens: int,
    machine: Machine,
    run: str | Path | None,
    fusion: str,
    seed: int,
) -> Iterator[str]:
    """As `generate_text`, for a user turn in its final wording to a base and its adapter."""
    system = ""
    thinking = 0
    if run is not None:
        stored = read_about(user_path(run)).config
        system = stored.system
        thinking = stored.thinking
    engine = open_model(
        model, machine, run=run, system=system, thinking=thinking, fusion=fusion, seed=seed
    )
    return engine.stream(engine.chat(turn), max_new_tokens)
