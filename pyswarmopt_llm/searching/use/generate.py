"""A model's answer to a prompt, worded as in the search of its run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Item
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about
from pyswarmopt_llm.searching.use.config import Machine
from pyswarmopt_llm.searching.use.opening import Model, open_model, run_scoring, specs_of

_PREFIX = "Question: "  # of the default wording; a user may have typed it


def named_task(about: About, name: str | None) -> str:
    """A run's task by its name, or by its spec in the search; None: its only one.

    Raises:
        InvalidOption: no such task, or several tasks and none was chosen.
    """
    tasks = about.task_names
    by_spec = {spec: task for task, spec in specs_of(about).items()}
    if name is None and len(tasks) == 1:
        return tasks[0]
    chosen = by_spec.get(name or "", name)
    if chosen not in tasks:
        raise InvalidOption("task", name, f": choose one of: {', '.join(tasks)}")
    return chosen


def worded(run: str | Path | None, question: str, task: str | None = None) -> str:
    """The user turn that asks a question as the search did.

    If the search's wording is unknown or needs more than a text, the turn is the question itself.

    Args:
        run: a finished run; None: the question is the turn.
        question: text of a question; a leading ``Question:`` counts as wording.
        task: if the search had several tasks, one of them: its name, or how it was given.

    Raises:
        UserError: there is no such run or task, or tasks are worded differently and none was
            chosen.

    Example:
        >>> worded("runs/first", "Which planet is the largest?")  # doctest: +SKIP
        'Question: Which planet is the largest?'
    """
    if run is None:
        if task is not None:
            raise InvalidOption("task", task, "applies only to a run with several tasks; add `run`")
        return question
    about = read_about(user_path(run))
    names = about.task_names
    if task is not None:
        names = [named_task(about, task)]
    turns = {_turn(about, user_path(run), name, question) for name in names} or {question}
    if len(turns) > 1:
        why = f"is missing, but prompts of {run} differ between tasks; choose one of: {', '.join(names)}"
        raise InvalidOption("task", None, why)
    return turns.pop()


def _turn(about: About, run: Path, name: str, question: str) -> str:
    """The user turn for a question of a task."""
    form = about.forms.get(name)
    if form is None or (form.choices is None and not form.written):
        return question
    if {*placeholders(form.prompt or "")} - {"question", "choices"}:
        return question
    scoring = run_scoring(run, name) or "likelihood"
    if form.written:
        scoring = "generate"
    item = Item("", question.removeprefix(_PREFIX), dict(form.choices or {}), "")
    return render_prompt(item, scoring, form.prompt)


def answered(
    model: Model, turn: str, machine: Machine, max_new_tokens: int, fusion: str = "auto"
) -> str:
    """A model's greedy answer to a user turn; see `generate_text`."""
    engine = open_model(model, machine, fusion)
    return engine.generate([engine.chat(turn)], max_new_tokens)[0].strip()


def as_searched(machine: Machine, run: str | Path | None) -> Machine:
    """The machine with the system prompt and the thinking tokens of a run's search, if any."""
    if run is None:
        return machine
    stored = read_about(user_path(run)).config
    return replace(machine, system=stored.system, thinking=stored.thinking)


def generate_text(
    base: str,
    adapter: str | None,
    prompt: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
    fusion: str = "auto",
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    run: str | Path | None = None,
    task: str | None = None,
) -> str:
    """The greedy answer to a user turn.

    Args:
        base: a model, or a directory with a mixture, such as RUN/best of a token search.
        adapter: adapter for that base.
        prompt: a question, put into the prompt of the run's search (see `worded`); without a run,
            the user turn as is.
        max_new_tokens: maximum number of tokens in the answer.
        fusion: how a mixture generates text, see `MixtureEngine`.
        dtype: dtype of the weights.
        device: where the model runs.
        threads: CPU threads.
        run: the model's run, if any.
        task: task whose prompt to use, if the run has several.

    Returns:
        The text.

    Raises:
        UserError: the base or the adapter cannot be used.

    Example:
        >>> generate_text("my/base", "runs/first/best", "Hello!")  # doctest: +SKIP
        'Hello! How can I help you?'
    """
    machine = as_searched(Machine(dtype, device, threads), run)
    turn = worded(run, prompt, task)
    return answered((base, adapter), turn, machine, max_new_tokens, fusion)
