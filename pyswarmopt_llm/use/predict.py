"""Label new questions with the result of a search over questions with choices: a table in, a table
out.

Until the file is complete, a log beside it keeps finished answers.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.common.files.json_types import as_written
from pyswarmopt_llm.common.files.regular import AppendLog, digest, locked, user_path, write_text
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.run.directory import About, read_about
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import check_window
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, Task
from pyswarmopt_llm.scores.tasks.columns import find_columns, parse_reading
from pyswarmopt_llm.scores.tasks.items import parse_item
from pyswarmopt_llm.scores.tasks.rows import parse_rows
from pyswarmopt_llm.scores.tasks.table import (
    DELIMITED,
    FileRow,
    Table,
    delimited_text,
    read_table,
    table_of,
)
from pyswarmopt_llm.scores.tasks.templates import placeholders
from pyswarmopt_llm.scores.tasks.types import TaskForm
from pyswarmopt_llm.use.config import Machine, OnItems, check_table_out
from pyswarmopt_llm.use.opening import answer_format_of_run, named_task, open_model, result_of

_NOT_ASKED = ("prompt", "id", "answer", "answers")
LABEL = "predicted"  # a new column
PROBABILITIES = "probabilities"
CHUNK = 128  # questions between two points from which an interrupted job can resume
Questions = str | Path | Sequence[str | Mapping[str, Any]]


@dataclass(frozen=True)
class Prediction:
    """The label of one question: a choice's text if all questions have the same choices, else its
    letter.

    Attributes:
        label: the most probable label, the first on a tie; "" for a row without a question.
        probabilities: label -> probability; they sum to 1.
    """

    label: str
    probabilities: Mapping[str, float]


def predict(
    run: str | Path,
    questions: Questions,
    out: str | Path | None = None,
    task: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    on_items: OnItems | None = None,
    quantize: str | None = None,
) -> list[Prediction]:
    """Label new questions, with the same prompt, labels and scoring as the search.

    Args:
        run: a finished search over a task with choices.
        questions: a file of rows (``.csv``, ``.tsv``, ``.jsonl``, ``.json``), or a list of texts or
            of rows by column; its columns are named as in the search.
        out: output file: the same rows with label and probabilities. Finished rows are kept in
            ``OUT.DIGEST.progress``, where DIGEST depends on the inputs: the same call resumes the
            job, and other inputs get their own file.
        task: if the search had several tasks, one of them: its name, or how it was given.
        dtype: dtype of the weights; ``auto`` uses that of the search.
        device: where the model runs.
        threads: CPU threads.
        on_items: called with the number of questions labelled so far, and the total.
        quantize: format of the merged weights; None: that of the search, if any.

    Returns:
        A prediction for each row, in order.

    Example:
        >>> predict("runs/first", ["It does not start"])[0].label  # doctest: +SKIP
        'technical'

    Raises:
        UserError: there is no such run, the task has no choices, a row is invalid, or `out` exists
            already.
    """
    run = user_path(run)
    model = result_of(run)
    about = read_about(run)
    stored = about.config
    form, scoring = _form_of(run, about, task)
    table = _table(questions, form)
    items = _new_items(form, table, stored.columns)
    if dtype == "auto":
        dtype = stored.dtype
    quantize = quantize or stored.quantize
    machine = Machine(dtype, device, threads, stored.system, stored.thinking, quantize)
    values = [row.values for row in table.rows]
    inputs = digest([about.fingerprints, asdict(form), scoring, dtype, device, quantize, values])
    asked = Task("new", (), tuple(item for item in items if item is not None), form.prompt)
    named = [item.options if form.choices else item.letters for item in asked.test]
    columns = {label: f"p({label})" for label in chain.from_iterable(named)}
    taken = {LABEL, *columns.values()}.intersection(table.names)
    with _progress(out, taken, inputs) as done:
        rows = _answered(asked, scoring, open_model(model, machine), done, on_items)
        shares = map(dict, map(zip, named, rows))
        found = []
        for item in items:
            own: dict[str, float] = next(shares) if item else {}
            found.append(Prediction(max(own, key=own.__getitem__, default=""), own))
        if out is not None:
            write_predictions(user_path(out), table, found, columns)
    return found


def _new_items(form: TaskForm, table: Table, specs: Sequence[str]) -> list[Item | None]:
    """The rows of a new file as questions in this form, without answers; None for blank rows.

    Args:
        form: form of the search's task.
        table: the rows.
        specs: ``--columns`` of the search; those that the file lacks are ignored.

    Raises:
        UserError: there is no such column, or rows are invalid.
    """
    told = parse_reading(specs).columns.items()
    told_here = {name: column for name, column in told if column in table.names}
    columns = find_columns(table, {"question": form.column, **told_here}, answered=False)
    needed = {"question", *placeholders(form.prompt or "")} - {"choices"}

    def parse(row: FileRow) -> Item | None:
        record = columns.record(row)
        if not all(str(record.get(name) or "").strip() for name in needed):
            return None
        asked = {name: value for name, value in record.items() if name not in _NOT_ASKED}
        if form.choices:
            asked["choices"] = None
        item = parse_item(asked, row.location, row.location, answered=False)
        choices = form.choices or item.choices
        if not choices:
            raise UserError(f"{row.location}: no choices; add them, as in the search")
        return replace(item, choices=dict(choices))

    return parse_rows(table, parse)


def _form_of(run: Path, about: About, task: str | None) -> tuple[TaskForm, AnswerFormat]:
    """The form of a run's questions, and how its search scored them.

    Raises:
        UserError: there are several tasks and none is chosen, or the task has free-form answers.
    """
    name = named_task(about, task)
    form = about.forms.get(name)
    scoring = answer_format_of_run(run, name)
    if form is None or form.written or scoring not in ("letter", "likelihood"):
        raise UserError(
            f"{run}: the answers of {name} are free-form, without choices to predict; use "
            "swarm-llm generate"
        )
    return form, scoring


def _table(questions: Questions, form: TaskForm) -> Table:
    """The rows of a file, or of a list of texts or rows."""
    if isinstance(questions, str | Path):
        return read_table(user_path(questions))
    located = ((f"question {i}", raw) for i, raw in enumerate(questions, 1))
    return table_of(Path("questions"), located, form.column)


def _answered(
    asked: Task,
    answer_format: AnswerFormat,
    engine: Engine,
    done: AppendLog,
    on_items: OnItems | None,
) -> list[list[float]]:
    """The probabilities of each question's choices; chunks in the log are not computed again."""
    check_window(asked, answer_format, engine, ("test",))
    rows = [row for chunk in done.read(repair=True) for row in chunk[PROBABILITIES]]
    for start in range(len(rows), len(asked.test), CHUNK):
        part = asked.test[start : start + CHUNK]
        found = probabilities_of(part, answer_format, engine, asked.prompt)
        done.append({PROBABILITIES: found})
        rows += found
        if on_items is not None:
            on_items(len(rows), len(asked.test))
    return rows


@contextmanager
def _progress(out: str | Path | None, taken: Set[str], inputs: str) -> Iterator[AppendLog]:
    """A log of finished rows next to the output, named after the inputs; locked, and removed when the
    output is complete.

    Args:
        out: output file; None: stores nothing.
        taken: columns of the output that the input has.
        inputs: digest of rows, model and settings.

    Raises:
        UserError: the file already exists or is not a table, another process is writing it, or a
            column of the output is taken.
    """
    if out is None:
        yield AppendLog(None)
        return
    out = user_path(out)
    check_table_out(out)
    if taken:
        raise UserError(f'the input has a column "{min(taken)}", which `out` also needs; rename it')
    path = out.with_name(f"{out.name}.{inputs[:8]}.progress")
    with locked(path):
        yield AppendLog(path, "remove the file to start over")
        path.unlink()


def probabilities_of(
    items: Sequence[Item], answer_format: AnswerFormat, engine: Engine, prompt: str | None
) -> list[list[float]]:
    """The probabilities of each item's choices: the softmax of the scores that the search compares.

    Letters have log-probabilities. Likelihood compares log-likelihoods per byte; times the mean
    length of the choices, they have the size of log-likelihoods again (see `trainer.choice_loss`).

    Raises:
        UndefinedModelError: the model's numbers overflow.
    """
    scores = Accuracy(items, answer_format, engine.chat, prompt).option_scores(engine)
    rows: list[list[float]] = []
    for item, values in zip(items, scores, strict=True):
        scale = 1.0
        if answer_format == "likelihood":
            scale = float(np.mean([len(text.encode()) for text in item.options]))
        rows.append(softmax(np.array(list(values.values())) * scale).tolist())
    if np.isnan(np.concatenate(rows)).any():
        raise UndefinedModelError("the model's numbers overflow; use `dtype float32`")
    return rows


def write_predictions(
    out: Path, table: Table, predictions: Sequence[Prediction], columns: Mapping[str, str]
) -> None:
    """Write the complete file.

    Args:
        out: output file, which must not exist.
        table: rows as read.
        predictions: one for each row.
        columns: label -> name of the column with its probability.
    """
    check_table_out(out)
    suffix = out.suffix.lower()
    added = [_added(one, columns) for one in predictions]
    if suffix in DELIMITED:
        names = [*table.names, LABEL, *columns.values()]
        rows = ({**row.values, **new} for row, new in zip(table.rows, added, strict=True))
        cells = ([_cell(row.get(name)) for name in names] for row in rows)
        text = delimited_text(names, cells, table, suffix)
        if _has_mark(table.path):
            text = f"\ufeff{text}"
    else:
        whole = (row.record or row.values for row in table.rows)
        records = [as_written({**row, **new}) for row, new in zip(whole, added, strict=True)]
        text = "".join(f"{record}\n" for record in records)
        if suffix == ".json":
            text = "[\n{}\n]\n".format(",\n".join(records))
    write_text(out, text)


def _added(prediction: Prediction, columns: Mapping[str, str]) -> dict[str, Any]:
    """The new columns of a row, with probabilities of 6 digits."""
    shares = {
        column: round(prediction.probabilities[label], 6)
        if label in prediction.probabilities
        else None
        for label, column in columns.items()
    }
    return {LABEL: prediction.label, **shares}


def _cell(value: Any) -> str:
    """A value in a CSV or TSV file: a text as is, nothing for a missing one."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return as_written(value)


def _has_mark(path: Path) -> bool:
    """Whether a file begins with a byte order mark, by which some programs know UTF-8."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(3) == codecs.BOM_UTF8
