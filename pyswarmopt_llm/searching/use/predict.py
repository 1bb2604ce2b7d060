"""Label new questions by the result of a search over questions with choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from pyswarmopt_llm.common.config import SearchConfig, is_server
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.fingerprint import digest, sample_digest
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import load_split
from pyswarmopt_llm.scores.metrics.questions.context_window import check_window
from pyswarmopt_llm.scores.metrics.registry import METRICS
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.formats import Table, read_table, table_of
from pyswarmopt_llm.scores.tasks.new_rows import new_items
from pyswarmopt_llm.scores.tasks.predicted import (
    BLANK,
    PredictedFile,
    Prediction,
    check_out,
    predicted_file,
)
from pyswarmopt_llm.scores.tasks.types import Form, form_of
from pyswarmopt_llm.searching.scoring.run_files import About, read_about, result_of
from pyswarmopt_llm.searching.use.names import open_at, place_of, run_scoring

CHUNK = 128  # questions between two points at which an interrupted job goes on
_BY_OPTIONS: dict[str, Scoring] = {"letter": "letter", "likelihood": "likelihood"}
OnItems = Callable[[int, int], None]  # questions labelled, of how many
Questions = str | Path | Sequence[str | Mapping[str, Any]]


@dataclass(frozen=True)
class _Asked:
    """The question of a run, and how its result answers."""

    config: SearchConfig
    task: str
    form: Form
    scoring: Scoring
    model: tuple[str, str | None]  # base and adapter
    prints: Mapping[str, Any]


def predict(
    run: str | Path,
    questions: Questions,
    out: str | Path | None = None,
    *,
    task: str | None = None,
    columns: Sequence[str] = (),
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    engine: str = "auto",
    server_folder: str | None = None,
    on_items: OnItems | None = None,
) -> list[Prediction]:
    """Label new questions with the prompt, the choices and the scoring of the search.

    Args:
        run: a finished search over a task with choices.
        questions: a file of rows (``.csv``, ``.tsv``, ``.jsonl``, ``.json``), or a list of texts or
            of rows by column.
        out: file of the same rows with label and probabilities. While it is made, ``OUT.progress``
            beside it holds what is done: the same call goes on there, and no other meanwhile.
        task: which one, of a search over several.
        columns: names of the new file's columns, as in `load_task`.
        dtype: of the weights; ``auto`` is the search's.
        device: where they go.
        threads: CPU threads.
        engine: see `place_of`.
        server_folder: see `open_at`.
        on_items: called with the number of questions labelled so far, and of all.

    Returns:
        A prediction for each row, in order; `BLANK` for a row without a question.

    Raises:
        UserError: no such run, a task without choices, rows that are no questions, or an `out` of
            other inputs.
    """
    asked = _asked(user_path(run), task)
    specs = [*_without(asked.config.columns, columns), *columns]
    table = _table(questions, asked.form)
    questioned = new_items(asked.form, table, specs)
    items = [item for item in questioned if item is not None]
    shared = asked.form.choices
    labels = [
        list(item.choices or {}) if shared is None else list(shared.values()) for item in items
    ]
    settings = {"dtype": asked.config.dtype if dtype == "auto" else dtype, "device": device}
    place = place_of(engine, run)
    inputs = [
        asked.prints,
        asked.scoring,
        asked.form.to_json(),
        specs,
        settings,
        [row.values for row in table.rows],
        *([place] if is_server(place) else []),
    ]
    target = None if out is None else user_path(out)
    if target is not None:
        check_out(target, table.names, [] if shared is None else labels[0])
    with predicted_file(target, digest(inputs), list(map(len, labels))) as file:
        if len(file.rows) < len(items):
            where: dict[str, Any] = {**settings, "threads": threads, "server_folder": server_folder}
            model = open_at(place, run, *asked.model, **where)
            _label(items, asked, model, table.path, file, on_items)
        labelled = (Prediction.of(*pair) for pair in zip(labels, file.rows, strict=True))
        predictions = [BLANK if item is None else next(labelled) for item in questioned]
        file.write(table, predictions, shared is not None)
    return predictions


def _label(
    items: Sequence[Item],
    asked: _Asked,
    model: Engine,
    path: Path,
    file: PredictedFile,
    on_items: OnItems | None,
) -> None:
    """Add the probabilities of the items that the file has not."""
    new = Task("new", (), tuple(items), asked.form.prompt, str(path))
    check_window(
        new, asked.scoring, model, ("test",), replace(METRICS["accuracy"], needs="nothing")
    )
    for start in range(len(file.rows), len(items), CHUNK):
        chunk = items[start : start + CHUNK]
        file.keep(probabilities_of(chunk, asked.scoring, model, asked.form.prompt))
        if on_items is not None:
            on_items(len(file.rows), len(items))


def probabilities_of(
    items: Sequence[Item], scoring: Scoring, engine: Engine, prompt: str | None
) -> list[list[float]]:
    """The probabilities of each item's choices: the softmax of what the search compares.

    Letters have log-probabilities. With likelihood, log-likelihoods per byte are compared; times
    the mean length of the choices they are of the size of log-likelihoods again (see
    `models.training.fit`).
    """
    scores = Accuracy(items, scoring, engine.chat, prompt).option_scores(engine)
    return [_shares(item, values, scoring) for item, values in zip(items, scores, strict=True)]


def _shares(item: Item, scores: Mapping[str, float], scoring: Scoring) -> list[float]:
    texts = (item.choices or {}).values()
    scale = 1.0 if scoring == "letter" else float(np.mean([len(text.encode()) for text in texts]))
    return [float(value) for value in softmax(np.array(list(scores.values())) * scale)]


def _asked(run: Path, name: str | None) -> _Asked:
    """The run's task and model, from its files.

    Raises:
        UserError: not a finished run, several tasks of which none is chosen, or one whose answers
            are written.
    """
    about = read_about(run)
    config, (base, adapter) = about.config, result_of(run)
    tasks = about.task_names
    if name is None and len(tasks) != 1:
        raise InvalidOption(
            "task", None, f"missing; {run} has several, choose one of: {', '.join(tasks)}"
        )
    if name is not None and name not in tasks:
        raise InvalidOption(
            "task", name, f"{run} has no such task; choose one of: {', '.join(tasks)}"
        )
    chosen = tasks[0] if name is None else name
    form, scoring_name = _form(about, chosen), run_scoring(user_path(adapter or base), chosen)
    scoring = _BY_OPTIONS.get(scoring_name or "")
    if form is None or scoring is None:
        raise UserError(
            f"{run}: {chosen} has no choices to predict, its answers are written; use swarm-llm "
            "generate"
        )
    files = sorted(
        file for file in (run / "best").iterdir() if file.is_file() and file.suffix != ".md"
    )
    digests = {file.name: sample_digest(file) for file in files}
    return _Asked(
        config, chosen, form, scoring, (base, adapter), {**about.fingerprints, "best": digests}
    )


def _form(about: About, task: str) -> Form | None:
    """The form of a task's questions, from ``run.json`` or else from the task itself."""
    if about.forms is not None:
        return about.forms.get(task)
    tasks, _ = load_split(about.config)
    return form_of(tasks[task]) if task in tasks else None


def _table(questions: Questions, form: Form) -> Table:
    """The rows of a file, or of a list of texts or rows."""
    if isinstance(questions, str | Path):
        return read_table(user_path(questions))
    located = ((f"question {i}", raw) for i, raw in enumerate(questions, 1))
    return table_of(Path("questions"), located, form.column)


def _without(specs: Sequence[str], others: Sequence[str]) -> list[str]:
    """The search's ``--columns``, without those that are given anew."""
    anew = {spec.partition("=")[0].strip() for spec in others}
    return [spec for spec in specs if spec.partition("=")[0].strip() not in anew]
