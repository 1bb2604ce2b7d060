"""Label new questions with the result of a search over questions with choices: a table in, a table
out.

Until the file is complete, a store beside it keeps finished answers.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.regular import digest, locked, user_path, write_text
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import check_window
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.rows import new_items
from pyswarmopt_llm.scores.tasks.table import DELIMITED, Table, read_table, table_of
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.record import Store
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import digests, read_about
from pyswarmopt_llm.searching.use.config import (
    THERE,
    Machine,
    OnItems,
    check_table_out,
    progress_file,
)
from pyswarmopt_llm.searching.use.generate import named_task
from pyswarmopt_llm.searching.use.opening import Model, open_model, result_of

LABEL = "predicted"  # a new column
PROBABILITIES = "probabilities"
CHUNK = 128  # questions between two points from which an interrupted job can resume
Questions = str | Path | Sequence[str | Mapping[str, Any]]


@dataclass(frozen=True)
class Prediction:
    """The choice for one question.

    Attributes:
        label: the most probable choice: its text if all questions have the same choices, else its
            letter; "" for a row without a question, or if the model's numbers overflow.
        probabilities: choice -> probability; they sum to 1.

    Example:
        >>> prediction = Prediction.of(["card", "loan"], [0.25, 0.75])
        >>> prediction.label, prediction.probabilities
        ('loan', {'card': 0.25, 'loan': 0.75})
    """

    label: str
    probabilities: Mapping[str, float]

    @classmethod
    def of(cls, labels: Sequence[str], probabilities: Sequence[float]) -> Prediction:
        """The most probable label; the first on a tie.

        Example:
            >>> Prediction.of(["card", "loan"], [0.25, 0.75]).label
            'loan'
        """
        if any(map(math.isnan, probabilities)):
            return cls("", {})
        best = labels[int(np.argmax(probabilities))]
        return cls(best, dict(zip(labels, probabilities, strict=True)))


@dataclass(frozen=True)
class _Source:
    """A run for labelling: its task's form and scoring, its model, and the fingerprints of all."""

    run: Path
    config: SearchConfig
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
    on_items: OnItems | None = None,
) -> list[Prediction]:
    """Label new questions with the prompt, the choices and the scoring of the search.

    Args:
        run: a finished search over a task with choices.
        questions: a file of rows (``.csv``, ``.tsv``, ``.jsonl``, ``.json``), or a list of texts or
            of rows by column.
        out: output file: the same rows with label and probabilities. During the job,
            ``OUT.progress`` beside it keeps finished rows: the same call resumes, and no other may
            write.
        task: one task of a search over several: its name, or its spec in the search.
        columns: names of the new file's columns, as in `load_task`.
        dtype: dtype of the weights; ``auto`` is the search's.
        device: where the model runs.
        threads: CPU threads.
        on_items: called with the number of questions labelled so far, and the total.

    Returns:
        A prediction for each row, in order.

    Example:
        >>> predict("runs/first", ["It does not start"])[0].label  # doctest: +SKIP
        'technical'

    Raises:
        UserError: no such run, a task without choices, rows without questions, or an `out` of other
            inputs.
    """
    source = _source(user_path(run), task)
    table = _table(questions, source.form)
    anew = {spec.partition("=")[0].strip() for spec in columns}
    kept = [spec for spec in source.config.columns if spec.partition("=")[0].strip() not in anew]
    items = new_items(source.form, table, [*kept, *columns])
    shared = list((source.form.choices or {}).values())
    target = None if out is None else user_path(out)
    if target is not None:
        check_table_out(target)
        _check_columns(table.names, shared)
    machine = Machine(source.config.dtype if dtype == "auto" else dtype, device, threads)
    given: list[Any] = [source.prints, source.scoring, asdict(source.form), kept, list(columns)]
    inputs = digest([*given, machine.dtype, device, [row.values for row in table.rows]])
    asked = [item for item in items if item is not None]
    with progress_of(target, inputs) as store:
        _complete(store, inputs, source, machine, asked, on_items)
        labels = [shared or item.letters for item in asked]
        labelled = iter(_labelled(store, inputs, labels))
        found = [Prediction("", {}) if item is None else next(labelled) for item in items]
        if target is not None:
            write_predictions(target, table, found, shared)
    return found


def _complete(
    store: Store,
    inputs: str,
    source: _Source,
    machine: Machine,
    items: Sequence[Item],
    on_items: OnItems | None,
) -> None:
    """Add the probabilities of the questions that the store does not have, chunk by chunk."""
    starts = range(0, len(items), CHUNK)
    missing = [start for start in starts if (f"rows {start}", inputs) not in store]
    if not missing:
        return
    stored = source.config
    engine = open_model(
        source.model, machine, run=source.run, system=stored.system, thinking=stored.thinking
    )
    new = Task("new", (), tuple(items), source.form.prompt)
    check_window(new, source.scoring, engine, ("test",))
    for start in missing:
        part = items[start : start + CHUNK]
        rows = probabilities_of(part, source.scoring, engine, source.form.prompt)
        known = [[None if math.isnan(p) else p for p in row] for row in rows]
        store.add(f"rows {start}", inputs, {PROBABILITIES: known})
        if on_items is not None:
            on_items(start + len(part), len(items))


def _source(run: Path, name: str | None) -> _Source:
    """The run's task and model, from its files.

    Raises:
        UserError: not a finished run, no choice among several tasks, or a task with written
            answers.
    """
    about = read_about(run)
    model = result_of(run)
    chosen = named_task(about, run, name)
    form = (about.forms or {}).get(chosen)
    result = read_result(run)
    if result is None:
        raise UserError(f"{run}: has no result.json; finish it with: swarm-llm resume {run}")
    scoring = result.objectives[chosen].answer_format if chosen in result.objectives else None
    if form is None or form.written or scoring not in ("letter", "likelihood"):
        raise UserError(
            f"{run}: {chosen} has no choices to predict, its answers are written; use swarm-llm "
            "generate"
        )
    prints = {**about.fingerprints, "best": digests(run / "best")}
    return _Source(run, about.config, form, scoring, model, prints)


def _table(questions: Questions, form: Form) -> Table:
    """The rows of a file, or of a list of texts or rows."""
    if isinstance(questions, str | Path):
        return read_table(user_path(questions))
    located = ((f"question {i}", raw) for i, raw in enumerate(questions, 1))
    return table_of(Path("questions"), located, form.column)


def _check_columns(names: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse a table that has a column of the output already."""
    taken = {LABEL, PROBABILITIES, *map(_column, labels)}.intersection(names)
    if taken:
        raise UserError(f'the input has a column "{min(taken)}", which `out` is to have; rename it')


@contextmanager
def progress_of(out: Path | None, inputs: str) -> Iterator[Store]:
    """Store of a file's rows, ``OUT.progress`` beside it; locked, and removed when the file is
    complete.

    Args:
        out: output file; None: stores nothing.
        inputs: digest of rows, model and settings.

    Raises:
        UserError: another process writes the file, or the store belongs to other inputs.
    """
    if out is None:
        yield Store(None)
        return
    path = progress_file(out)
    with locked(path):
        if out.exists():  # another process has just finished it
            path.unlink()
            raise InvalidOption("out", out, THERE)
        store = Store(path)
        if any(whose != inputs for _, whose in store.known):
            why = "is of other inputs; remove the file to begin anew, or give another `out`"
            raise UserError(f"{path}: {why}")
        yield store
        path.unlink(missing_ok=True)


def probabilities_of(
    items: Sequence[Item], scoring: Scoring, engine: Engine, prompt: str | None
) -> list[list[float]]:
    """The probabilities of each item's choices: the softmax of the scores that the search compares.

    Letters have log-probabilities. Likelihood compares log-likelihoods per byte; times the mean
    length of the choices, they have the size of log-likelihoods again (see `trainer.choice_loss`).
    """
    scores = Accuracy(items, scoring, engine.chat, prompt).option_scores(engine)
    rows: list[list[float]] = []
    for item, values in zip(items, scores, strict=True):
        scale = 1.0
        if scoring == "likelihood":
            scale = float(np.mean([len(text.encode()) for text in item.options]))
        rows.append(softmax(np.array(list(values.values())) * scale).tolist())
    return rows


def _labelled(store: Store, inputs: str, labels: Sequence[Sequence[str]]) -> Iterator[Prediction]:
    """The predictions in a complete store, given each question's labels."""
    for start in range(0, len(labels), CHUNK):
        part = labels[start : start + CHUNK]
        wrong = partial(wrong_chunk, [len(each) for each in part])
        rows = store.get(f"rows {start}", inputs, dict, wrong)[PROBABILITIES]
        for names, row in zip(part, rows, strict=True):
            yield Prediction.of(names, [math.nan if p is None else p for p in row])


def wrong_chunk(sizes: Sequence[int], content: Mapping[str, Any]) -> str | None:
    """`PROBABILITIES` if `content` does not hold those of questions with these numbers of choices.

    Example:
        >>> wrong_chunk([2], {"probabilities": [[0.5, 0.5]]}), wrong_chunk([2], {"probabilities": [[1]]})
        (None, 'probabilities')
    """
    rows: Any = content.get(PROBABILITIES)
    right = fits(rows, list[list[float | None]]) and list(map(len, rows)) == list(sizes)
    return None if right else PROBABILITIES


def write_predictions(
    out: Path, table: Table, predictions: Sequence[Prediction], labels: Sequence[str]
) -> None:
    """Write the complete file.

    Args:
        out: output file.
        table: rows as read; a CSV file keeps their separator, quote and line ends.
        predictions: one for each row.
        labels: choices shared by all questions: a CSV file has a column ``p(LABEL)`` for each;
            empty: one column of JSON.
    """
    if out.suffix.lower() in DELIMITED:
        write_text(out, table.mark + _as_csv(out, table, predictions, labels))
        return
    lines = []
    for row, prediction in zip(table.rows, predictions, strict=True):
        new = {LABEL: prediction.label, PROBABILITIES: prediction.probabilities}
        lines.append(json.dumps({**row.values, **new}, ensure_ascii=False))
    if out.suffix.lower() == ".jsonl":
        write_text(out, "\n".join([*lines, ""]))
    else:
        write_text(out, "[\n" + ",\n".join(lines) + "\n]\n")


def _as_csv(
    out: Path, table: Table, predictions: Sequence[Prediction], labels: Sequence[str]
) -> str:
    separator = ","
    if out.suffix.lower() == ".tsv":
        separator = "\t"
    elif out.suffix.lower() == table.path.suffix.lower():
        separator = table.separator
    new = [LABEL, *map(_column, labels)] if labels else [LABEL, PROBABILITIES]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=table.line_end)
    writer.writerow([*(table.header or table.names), *new])
    for row, prediction in zip(table.rows, predictions, strict=True):
        cells = [_cell(row.values.get(name)) for name in table.names]
        cells.append(prediction.label)
        if labels:
            found = prediction.probabilities
            cells += [f"{found[label]:.6g}" if found else "" for label in labels]
        else:
            cells.append(json.dumps(dict(prediction.probabilities)))
        writer.writerow(cells)
    return text.getvalue()


def _column(label: str) -> str:
    """Name of the column with a label's probability."""
    return f"p({label})"


def _cell(value: Any) -> str:
    """A value in a CSV file: lists and objects as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
