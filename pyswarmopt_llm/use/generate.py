"""A model's answer to a prompt, worded as in the search of its run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.run.directory import read_about
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Item
from pyswarmopt_llm.use.config import Machine
from pyswarmopt_llm.use.opening import Model, answer_format_of_run, named_task, open_model


def worded(run: str | Path | None, question: str, task: str | None = None) -> str:
    """The user turn that asks a question as the search did.

    If the search's questions had different choices, the turn is the question itself.

    Args:
        run: a finished run; None: the question is the turn.
        question: text of a question.
        task: if the search had several tasks, one of them: its name, or how it was given.

    Raises:
        UserError: there is no such run or task, or its prompt needs more than a question.

    Example:
        >>> worded("runs/first", "Which planet is the largest?")  # doctest: +SKIP
        'Question: Which planet is the largest?'
    """
    if run is None:
        if task is not None:
            raise InvalidOption("task", task, "applies only to a run with several tasks; add `run`")
        return question
    about = read_about(user_path(run))
    name = named_task(about, task)
    form = about.forms.get(name)
    if form is None or (form.choices is None and not form.written):
        return question
    missing = {*placeholders(form.prompt or "")} - {"question", "choices"}
    if missing:
        raise UserError(
            f"{run}: the prompt of {name} also needs {', '.join(sorted(missing))}; use `base` and "
            "`adapter` with the whole prompt"
        )
    answer_format = answer_format_of_run(user_path(run), name) or "likelihood"
    item = Item(id="", question=question, choices=dict(form.choices or {}), answer="")
    return render_prompt(item, answer_format, form.prompt)


def answered(
    model: Model,
    prompt: str,
    machine: Machine,
    max_new_tokens: int,
    run: str | Path | None = None,
    task: str | None = None,
) -> tuple[str, str]:
    """The user turn of a prompt, and a model's greedy answer to it, prompted as in the search of its
    run; see `generate_text`.
    """
    turn = worded(run, prompt, task)
    if run is not None:
        stored = read_about(user_path(run)).config
        machine = replace(
            machine,
            system=stored.system,
            thinking=stored.thinking,
            quantize=machine.quantize or stored.quantize,
        )
    engine = open_model(model, machine)
    return turn, engine.generate([engine.chat(turn)], max_new_tokens)[0].strip()


def generate_text(
    base: str,
    adapter: str | None,
    prompt: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    run: str | Path | None = None,
    task: str | None = None,
    quantize: str | None = None,
) -> str:
    """The greedy answer to a user turn.

    Args:
        base: a model, or a directory with a mixture, such as RUN/best of a token search.
        adapter: adapter for that base.
        prompt: a question, put into the prompt of the run's search (see `worded`); without a run,
            the user turn as is.
        max_new_tokens: maximum number of tokens in the answer.
        dtype: dtype of the weights.
        device: where the model runs.
        threads: CPU threads.
        run: the model's run, if any.
        task: task whose prompt to use, if the run has several.
        quantize: format of the merged weights; None: that of the run's search, if any.

    Returns:
        The text.

    Raises:
        UserError: the base, the adapter or the run cannot be used, or `worded` refuses the prompt.

    Example:
        >>> generate_text("my/base", "runs/first/best", "Hello!")  # doctest: +SKIP
        'Hello! How can I help you?'
    """
    machine = Machine(dtype, device, threads, quantize=quantize)
    return answered((base, adapter), prompt, machine, max_new_tokens, run, task)[1]
