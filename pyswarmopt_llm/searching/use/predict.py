"""Label new questions by the result of a search over questions with choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.special import softmax

from pyswarmopt_llm.common.config import SearchConfig, is_server
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.fingerprint import digest, sample_digest
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.questions.context_window import check_window
from pyswarmopt_llm.scores.metrics.registry import METRICS
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.formats import Table, read_table, table_of
from pyswarmopt_llm.scores.tasks.new_rows import new_items
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.run_directory import read_about, result_of
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.model import (
    Model,
    open_named,
    place_of,
    run_scoring,
    specs_of,
)
from pyswarmopt_llm.searching.use.predicted import (
    BLANK,
    PROBABILITIES,
    Prediction,
    check_out,
    progress_of,
    write_predictions,
    writing,
    wrong_chunk,
)

CHUNK = 128  # questions between two points at which an interrupted job goes on
OnItems = Callable[[int, int], None]  # questions labelled, of how many
Questions = str | Path | Sequence[str | Mapping[str, Any]]


@dataclass(frozen=True)
class _Source:
    """A run whose result labels: its settings, the form of its questions, scoring, base and adapter,
    and the fingerprints of all of it.
    """

    stored: SearchConfig
    form: Form
    scoring: Scoring
    model: Model
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
        task: which one, of a search over several: its name, or what the search was given.
        columns: names of the new file's columns, as in `load_task`.
        dtype: of the weights; ``auto`` is the search's.
        device: where they go.
        threads: CPU threads.
        engine: see `place_of`.
        server_folder: a folder that the server sees, too.
        on_items: called with the number of questions labelled so far, and of all.

    Returns:
        A prediction for each row, in order; `BLANK` for a row without a question.

    Example:
        >>> predict("runs/first", ["It does not start"])[0].label  # doctest: +SKIP
        'technical'

    Raises:
        UserError: no such run, a task without choices, rows that are no questions, or an `out` of
            other inputs.
    """
    source = _source(user_path(run), task)
    stored, form = source.stored, source.form
    specs = [*_without(stored.columns, columns), *columns]
    table = _table(questions, form)
    questioned = new_items(form, table, specs)
    items = [item for item in questioned if item is not None]
    shared = None if form.choices is None else list(form.choices.values())
    labels = [list(item.choices or {}) if shared is None else shared for item in items]
    config = EvalConfig(
        run=str(run),
        system=stored.system,
        thinking=stored.thinking,
        dtype=stored.dtype if dtype == "auto" else dtype,
        device=device,
        threads=threads,
        engine=engine,
        server_folder=server_folder,
    )
    place = place_of(engine, run)
    given: list[Any] = [source.prints, source.scoring, form.to_json(), specs]
    given += [{"dtype": config.dtype, "device": device}, [row.values for row in table.rows]]
    inputs = digest([*given, place] if is_server(place) else given)
    target = None if out is None else user_path(out)
    if target is not None:
        check_out(target, table.names, shared or [])
    load = cache(lambda: _checked(items, source, open_named(config, source.model), table.path))
    with progress_of(target, inputs) as known:
        rows: list[list[float]] = []
        for start in range(0, len(items), CHUNK):
            chunk, what = items[start : start + CHUNK], f"rows {start}"
            if (what, inputs) not in known:
                new = _computed(chunk, source, load)
                with writing(target):
                    known.add(what, inputs, new)
            wrong = partial(wrong_chunk, [len(each) for each in labels[start : start + CHUNK]])
            content = known.get(what, inputs, dict, wrong)
            rows += [[math.nan if p is None else p for p in row] for row in content[PROBABILITIES]]
            if on_items is not None and (what, inputs) not in known.earlier:
                on_items(len(rows), len(items))
        labelled = (Prediction.of(*pair) for pair in zip(labels, rows, strict=True))
        predictions = [BLANK if item is None else next(labelled) for item in questioned]
        if target is not None:
            write_predictions(target, table, predictions, shared or ())
    return predictions


def _checked(items: Sequence[Item], source: _Source, model: Engine, path: Path) -> Engine:
    """The model, whose context window holds all questions."""
    new = Task("new", (), tuple(items), source.form.prompt, str(path))
    metric = replace(METRICS["accuracy"], needs="nothing")
    check_window(new, source.scoring, model, ("test",), metric)
    return model


def _computed(
    items: Sequence[Item], source: _Source, load: Callable[[], Engine]
) -> dict[str, list[list[float | None]]]:
    """The probabilities as they are stored; None where the model's numbers overflow."""
    found = probabilities_of(items, source.scoring, load(), source.form.prompt)
    return {PROBABILITIES: [[None if math.isnan(p) else p for p in row] for row in found]}


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


def _source(run: Path, name: str | None) -> _Source:
    """The run's task and model, from its files.

    Raises:
        UserError: not a finished run, several tasks of which none is chosen, or one whose answers
            are written.
    """
    about, model = read_about(run), result_of(run)
    tasks = about.task_names
    chosen = tasks[0] if name is None and len(tasks) == 1 else name
    chosen = {spec: task for task, spec in specs_of(about).items()}.get(chosen or "", chosen)
    if chosen is None or chosen not in tasks:
        problem = f"missing; {run} has several" if name is None else f"{run} has no such task"
        raise InvalidOption("task", name, f"{problem}, choose one of: {', '.join(tasks)}")
    form = (about.forms or {}).get(chosen)
    scoring = run_scoring(user_path(model[1] or model[0]), chosen)
    if form is None or scoring not in ("letter", "likelihood"):
        raise UserError(
            f"{run}: {chosen} has no choices to predict, its answers are written; use swarm-llm "
            "generate"
        )
    files = [file for file in (run / "best").iterdir() if file.is_file() and file.suffix != ".md"]
    best = {file.name: sample_digest(file) for file in sorted(files)}
    prints = {**about.fingerprints, "best": best}
    return _Source(about.config, form, cast(Scoring, scoring), model, prints)


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
