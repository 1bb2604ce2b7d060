"""Label new questions with the result of a search over questions with choices: a table in, a table
out.

Until the file is complete, a store beside it keeps finished answers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.common.files.regular import digest, digests, locked, user_path, write_text
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import check_window
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.columns import Columns, find_columns, parse_reading
from pyswarmopt_llm.scores.tasks.items import parse_item
from pyswarmopt_llm.scores.tasks.rows import PLACES, parse_rows
from pyswarmopt_llm.scores.tasks.table import DELIMITED, FileRow, Table, read_table, table_of
from pyswarmopt_llm.scores.tasks.templates import placeholders
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.record import Store
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about
from pyswarmopt_llm.searching.use.config import Machine, OnItems, check_table_out
from pyswarmopt_llm.searching.use.generate import named_task
from pyswarmopt_llm.searching.use.opening import Model, open_model, result_of, run_scoring

log = logging.getLogger(__name__)
_NOT_ASKED = ("prompt", "id", "answer", "answers", "right")
_UNNEEDED = ("answer", "label", "split")  # columns that new rows may lack
LABEL = "predicted"  # a new column
PROBABILITIES = "probabilities"
CHUNK = 128  # questions between two points from which an interrupted job can resume
Questions = str | Path | Sequence[str | Mapping[str, Any]]


@dataclass(frozen=True)
class Prediction:
    """The choice for one question.

    Attributes:
        label: the most probable choice: its text if all questions have the same choices, else its
            letter; "" for a row without a question.
        probabilities: choice -> probability; they sum to 1.

    Example:
        >>> prediction = Prediction.of({"card": 0.25, "loan": 0.75})
        >>> prediction.label, prediction.probabilities
        ('loan', {'card': 0.25, 'loan': 0.75})
    """

    label: str
    probabilities: Mapping[str, float]

    @classmethod
    def of(cls, probabilities: Mapping[str, float]) -> Prediction:
        """The most probable label; the first on a tie.

        Example:
            >>> Prediction.of({"card": 0.5, "loan": 0.5}).label
            'card'
        """
        return cls(max(probabilities, key=lambda label: probabilities[label]), probabilities)


def predict(
    run: str | Path,
    questions: Questions,
    out: str | Path | None = None,
    task: str | None = None,
    columns: Sequence[str] = (),
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    on_items: OnItems | None = None,
) -> list[Prediction]:
    """Label new questions, with the same prompt, choices and scoring as the search.

    Args:
        run: a finished search over a task with choices.
        questions: a file of rows (``.csv``, ``.tsv``, ``.jsonl``, ``.json``), or a list of texts or
            of rows by column.
        out: output file: the same rows with label and probabilities. Finished rows are kept in
            ``OUT.progress``: repeating the call resumes the job, and another call is rejected.
        task: if the search had several tasks, one of them: its name, or how it was given.
        columns: names of the new file's columns, as in `load_task`.
        dtype: dtype of the weights; ``auto`` uses that of the search.
        device: where the model runs.
        threads: CPU threads.
        on_items: called with the number of questions labelled so far, and the total.

    Returns:
        A prediction for each row, in order.

    Example:
        >>> predict("runs/first", ["It does not start"])[0].label  # doctest: +SKIP
        'technical'

    Raises:
        UserError: there is no such run, the task has no choices, rows have no questions, or `out`
            belongs to other inputs.
    """
    run = user_path(run)
    model = result_of(run)
    about = read_about(run)
    stored = about.config
    form, scoring = _form_of(run, about, task)
    table = _table(questions, form)
    anew = {spec.partition("=")[0].strip() for spec in columns}
    kept = [spec for spec in stored.columns if spec.partition("=")[0].strip() not in anew]
    items = _new_items(form, table, [*kept, *columns])
    if dtype == "auto":
        dtype = stored.dtype
    machine = Machine(dtype, device, threads, stored.system, stored.thinking)
    prints = [about.fingerprints, digests(run / "best"), scoring, asdict(form), kept, list(columns)]
    inputs = digest([prints, dtype, device, [row.values for row in table.rows]])
    shared = list((form.choices or {}).values())
    asked = Task("new", (), tuple(item for item in items if item is not None), form.prompt)
    with _progress(out, table, shared, inputs) as store:
        known = _answered(asked, scoring, model, machine, store, inputs, on_items)
        found = []
        for item in items:
            if item is None:
                found.append(Prediction("", {}))
            else:
                labelled = zip(shared or item.letters, next(known), strict=True)
                found.append(Prediction.of(dict(labelled)))
        if out is not None:
            write_predictions(user_path(out), table, found, shared)
    return found


def _new_items(form: Form, table: Table, specs: Sequence[str] = ()) -> list[Item | None]:
    """The rows of a new file as questions in this form, without answers; None for blank rows.

    Args:
        form: form of the search's task.
        table: the rows.
        specs: ``--columns`` of the search and of this file; answer columns that the file lacks are
            ignored.

    Raises:
        UserError: all rows are blank, there is no such column, or rows are invalid.
    """
    told = {
        name: column
        for name, column in parse_reading(specs).columns.items()
        if name not in _UNNEEDED or column in table.names
    }
    told = {"question": form.column, **told}
    columns = find_columns(table, told, answered=False)
    needed = {"question", *placeholders(form.prompt or "")} - {"choices"}

    def parse(row: FileRow) -> Item | None:
        if columns.missing(row, needed):
            return None
        return _new_question(form, columns, row)

    items, _ = parse_rows(table, parse)
    if not any(items):
        raise UserError(f"{table.path}: {form.column} is empty in every row; fill it in")
    pairs = zip(table.rows, items, strict=True)
    blank = [row.location.rpartition(": ")[2] for row, item in pairs if item is None]
    if blank:
        places = ", ".join(blank[:PLACES])
        log.warning("%s: skipped %d blank rows (%s)", table.path, len(blank), places)
    return items


def _new_question(form: Form, columns: Columns, row: FileRow) -> Item:
    """A row as a question in this form, without its answer.

    Raises:
        UserError: the row has no choices, and the form none.
    """
    asked = {name: value for name, value in columns.record(row).items() if name not in _NOT_ASKED}
    if form.choices is not None:
        asked["choices"] = None
    elif not asked["choices"]:
        raise UserError(f"{row.location}: no choices; add them, as in the search")
    item = parse_item(asked, row.location, row.location, answered=False)
    if form.choices is None:
        return item
    return replace(item, choices=dict(form.choices))


def _form_of(run: Path, about: About, task: str | None) -> tuple[Form, Scoring]:
    """The form of a run's questions, and how its search scored them.

    Raises:
        UserError: there are several tasks and none is chosen, or the task has free-form answers.
    """
    name = named_task(about, task)
    form = about.forms.get(name)
    scoring = run_scoring(run, name)
    if scoring is None and read_result(run) is None:
        raise UserError(f"{run} is not finished; continue it with: {command('resume', str(run))}")
    if form is None or form.written or scoring not in ("letter", "likelihood"):
        raise UserError(
            f"{run}: the task {name} has no choices to predict, because its answers are free-form; use "
            "swarm-llm generate"
        )
    return form, scoring


def _table(questions: Questions, form: Form) -> Table:
    """The rows of a file, or of a list of texts or rows."""
    if isinstance(questions, str | Path):
        return read_table(user_path(questions))
    located = ((f"question {i}", raw) for i, raw in enumerate(questions, 1))
    return table_of(Path("questions"), located, form.column)


def _answered(
    asked: Task,
    scoring: Scoring,
    model: Model,
    machine: Machine,
    store: Store,
    inputs: str,
    on_items: OnItems | None,
) -> Iterator[list[float]]:
    """The probabilities of each question's choices; the store's, and those of the missing chunks."""
    engine: Engine | None = None
    for start in range(0, len(asked.test), CHUNK):
        part = asked.test[start : start + CHUNK]
        what = f"rows {start}"
        if (what, inputs) not in store:
            if engine is None:
                engine = open_model(model, machine)
                check_window(asked, scoring, engine, ("test",))
            rows = probabilities_of(part, scoring, engine, asked.prompt)
            store.add(what, inputs, {PROBABILITIES: rows})
            if on_items is not None:
                on_items(start + len(part), len(asked.test))
        yield from store.known[what, inputs][PROBABILITIES]


@contextmanager
def _progress(
    out: str | Path | None, table: Table, labels: Sequence[str], inputs: str
) -> Iterator[Store]:
    """Store of a file's rows, ``OUT.progress`` beside it; locked, and removed when the file is
    complete.

    Args:
        out: output file; None: stores nothing.
        table: the rows.
        labels: see `write_predictions`.
        inputs: digest of rows, model and settings.

    Raises:
        UserError: the file already exists or is not a table, another process is writing it, the
            store belongs to other inputs, or a column of the output is taken.
    """
    if out is None:
        yield Store(None)
        return
    out = user_path(out)
    check_table_out(out)
    taken = {LABEL, PROBABILITIES, *map(_column, labels)}.intersection(table.names)
    if taken:
        raise UserError(f'the input has a column "{min(taken)}", which `out` also needs; rename it')
    path = out.with_name(f"{out.name}.progress")
    with locked(path):
        store = Store(path)
        if any(whose != inputs for _, whose in store.known):
            raise UserError(
                f"{path} contains rows from another input; remove it to start over, or use another `out`"
            )
        yield store
        path.unlink(missing_ok=True)


def probabilities_of(
    items: Sequence[Item], scoring: Scoring, engine: Engine, prompt: str | None
) -> list[list[float]]:
    """The probabilities of each item's choices: the softmax of the scores that the search compares.

    Letters have log-probabilities. Likelihood compares log-likelihoods per byte; times the mean
    length of the choices, they have the size of log-likelihoods again (see `trainer.choice_loss`).

    Raises:
        UndefinedModelError: the model's numbers overflow.
    """
    scores = Accuracy(items, scoring, engine.chat, prompt).option_scores(engine)
    rows: list[list[float]] = []
    for item, values in zip(items, scores, strict=True):
        scale = 1.0
        if scoring == "likelihood":
            scale = float(np.mean([len(text.encode()) for text in item.options]))
        row = softmax(np.array(list(values.values())) * scale)
        if np.isnan(row).any():
            raise UndefinedModelError(
                f"{item.location}: the model's numbers overflow; use `dtype float32`"
            )
        rows.append(row.tolist())
    return rows


def write_predictions(
    out: Path, table: Table, predictions: Sequence[Prediction], labels: Sequence[str]
) -> None:
    """Write the complete file.

    Args:
        out: output file.
        table: rows as read.
        predictions: one for each row.
        labels: choices shared by all questions, with a column ``p(LABEL)`` for each; empty: one
            column of all probabilities.
    """
    rows = [row.values for row in table.rows]
    frame = pd.DataFrame(rows, columns=[*table.names], dtype=object)
    frame[LABEL] = [one.label for one in predictions]
    for label in labels:
        frame[_column(label)] = [one.probabilities.get(label) for one in predictions]
    if not labels:
        frame[PROBABILITIES] = [one.probabilities for one in predictions]
    suffix = out.suffix.lower()
    if suffix in DELIMITED:
        sep = "\t" if suffix == ".tsv" else ","
        text = frame.to_csv(index=False, sep=sep, lineterminator="\n")
    else:
        lines = suffix == ".jsonl"
        text = frame.to_json(orient="records", double_precision=15, force_ascii=False, lines=lines)
    write_text(out, text)


def _column(label: str) -> str:
    """Name of the column with a label's probability."""
    return f"p({label})"
