"""Label new questions with the result of a search over questions with choices; write a file.

Until the file is complete, a store beside it keeps finished answers.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.lock import locked
from pyswarmopt_llm.common.files.regular import digest, user_path, write_text
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import check_window
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.new_rows import new_items
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
from pyswarmopt_llm.searching.use.opening import Model, open_model, result_of
from pyswarmopt_llm.searching.use.wording import named_task

LABEL = "predicted"  # a new column
PROBABILITIES = "probabilities"
_ROUNDING = 1e-6
CHUNK = 128  # questions between two points from which an interrupted job can resume
Questions = str | Path | Sequence[str | Mapping[str, Any]]


@dataclass(frozen=True)
class Prediction:
    """The choice for one question.

    Attributes:
        label: the most probable choice: its text if all questions have the same choices, else its
            letter; "" if the model's numbers overflow.
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
        undefined = any(map(math.isnan, probabilities))
        best = "" if undefined else labels[int(np.argmax(probabilities))]
        return cls(best, dict(zip(labels, probabilities, strict=True)))


BLANK = Prediction("", {})  # of a row without a question


def check_out(out: Path, names: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse an output file that cannot be written, before a model is loaded.

    Args:
        out: output file.
        names: columns of the input.
        labels: choices shared by all questions; empty if each has its own.

    Raises:
        UserError: wrong file type, existing file, missing folder, or a column that the input has.
    """
    check_table_out(out)
    new = {LABEL, PROBABILITIES, *map(_column, labels)}
    taken = next((name for name in names if name in new), None)
    if taken is not None:
        raise UserError(f'the input has a column "{taken}", which `out` is to have; rename it')


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
        if store.known and all(whose != inputs for _, whose in store.known):
            why = "is of other inputs; remove the file to begin anew, or give another `out`"
            raise UserError(f"{path}: {why}")
        yield store
        path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path | None) -> Iterator[None]:
    """Turn a failure to write the file into one line."""
    try:
        yield
    except OSError as error:
        text = f"{path}: cannot be written ({error.strerror}); check the folder"
        raise UserError(text) from error


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
    suffix = out.suffix.lower()
    if suffix in DELIMITED:
        same = suffix == table.path.suffix.lower()
        separator = "\t" if suffix == ".tsv" else table.separator if same else ","
        text = table.mark + _as_csv(table, predictions, labels, separator)
    else:
        text = _as_json(table, predictions, suffix == ".jsonl")
    with writing(out):
        write_text(out, text)


def wrong_chunk(sizes: Sequence[int], content: Mapping[str, Any]) -> str | None:
    """`PROBABILITIES` if `content` does not hold probabilities of questions with these numbers of
    choices.

    Example:
        >>> wrong_chunk([2], {"probabilities": [[0.5, 0.5]]}), wrong_chunk([2], {"probabilities": [[1]]})
        (None, 'probabilities')
    """
    rows: Any = content.get(PROBABILITIES)
    if not fits(rows, list[list[float | None]]) or list(map(len, rows)) != list(sizes):
        return PROBABILITIES
    return None if all(map(_sums_to_one, rows)) else PROBABILITIES


def _sums_to_one(row: Sequence[float | None]) -> bool:
    """Whether these are probabilities, or all None (the model's numbers overflowed).

    Example:
        >>> _sums_to_one([0.25, 0.75]), _sums_to_one([1.5, -0.5]), _sums_to_one([None, None])
        (True, False, True)
    """
    known = [p for p in row if p is not None]
    if not known:
        return bool(row)
    return len(known) == len(row) and min(known) >= 0 and abs(sum(known) - 1) < _ROUNDING


def _column(label: str) -> str:
    """Name of the column with a label's probability."""
    return f"p({label})"


def _as_json(table: Table, predictions: Sequence[Prediction], by_line: bool) -> str:
    rows = [
        {**row.values, LABEL: prediction.label, PROBABILITIES: prediction.probabilities}
        for row, prediction in zip(table.rows, predictions, strict=True)
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    return "\n".join([*lines, ""]) if by_line else "[\n" + ",\n".join(lines) + "\n]\n"


def _as_csv(
    table: Table, predictions: Sequence[Prediction], labels: Sequence[str], separator: str
) -> str:
    text = io.StringIO(newline="")
    new = [LABEL, *map(_column, labels)]
    new += [] if labels else [PROBABILITIES]
    columns = [*table.names, *new]
    writer = csv.DictWriter(text, columns, "", delimiter=separator, lineterminator=table.line_end)
    writer.writer.writerow([*(table.header or table.names), *new])
    for row, prediction in zip(table.rows, predictions, strict=True):
        cells = {str(name): _cell(value) for name, value in row.values.items()}
        cells[LABEL] = prediction.label
        if labels:
            for label, probability in prediction.probabilities.items():
                cells[_column(label)] = f"{probability:.6g}"
        else:
            cells[PROBABILITIES] = json.dumps(dict(prediction.probabilities))
        writer.writerow(cells)
    return text.getvalue()


def _cell(value: Any) -> str:
    """A value in a CSV file: lists and objects as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class _Source:
    """A run for labelling: settings, form of the questions, scoring, model, and fingerprints."""

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
        A prediction for each row, in order; `BLANK` for a row without a question.

    Example:
        >>> predict("runs/first", ["It does not start"])[0].label  # doctest: +SKIP
        'technical'

    Raises:
        UserError: no such run, a task without choices, rows without questions, or an `out` of other
            inputs.
    """
    source = _source(user_path(run), task)
    stored = source.stored
    form = source.form
    specs = [*_without(stored.columns, columns), *columns]
    table = _table(questions, form)
    asked = _Asked(new_items(form, table, specs), form.choices)
    machine = Machine(
        dtype=stored.dtype if dtype == "auto" else dtype,
        device=device,
        threads=threads,
    )
    given: list[Any] = [source.prints, source.scoring, asdict(form), specs]
    given += [{"dtype": machine.dtype, "device": device}, [row.values for row in table.rows]]
    inputs = digest(given)
    target = None if out is None else user_path(out)
    if target is not None:
        check_out(target, table.names, asked.shared)
    load = cache(lambda: _loaded(asked.items, source, machine, run, table.path))
    compute = partial(_computed, source, load)
    with progress_of(target, inputs) as known:
        rows = _rows(asked, compute, known, inputs, target, on_items)
        predictions = asked.predictions(rows)
        if target is not None:
            write_predictions(target, table, predictions, asked.shared)
    return predictions


@dataclass(frozen=True)
class _Asked:
    """The questions of a table's rows (None for a blank one), and their choices, if shared."""

    questions: Sequence[Item | None]
    choices: Mapping[str, str] | None

    @cached_property
    def items(self) -> list[Item]:
        """The questions, without blank rows."""
        return [item for item in self.questions if item is not None]

    @property
    def shared(self) -> list[str]:
        """The labels of all questions; empty if each has its own choices."""
        return list((self.choices or {}).values())

    @cached_property
    def labels(self) -> list[list[str]]:
        """The labels of each question."""
        return [item.letters if self.choices is None else self.shared for item in self.items]

    def predictions(self, rows: Sequence[Sequence[float]]) -> list[Prediction]:
        """A prediction for each row of the table."""
        labelled = (Prediction.of(*pair) for pair in zip(self.labels, rows, strict=True))
        return [BLANK if item is None else next(labelled) for item in self.questions]


def _rows(
    asked: _Asked,
    compute: Callable[[Sequence[Item]], Mapping[str, Any]],
    known: Store,
    inputs: str,
    target: Path | None,
    on_items: OnItems | None,
) -> list[list[float]]:
    """The probabilities of all questions, chunk by chunk; known chunks are not computed again."""
    rows: list[list[float]] = []
    for start in range(0, len(asked.items), CHUNK):
        chunk = slice(start, start + CHUNK)
        what = f"rows {start}"
        if (what, inputs) not in known:
            new = compute(asked.items[chunk])
            with writing(target):
                known.add(what, inputs, new)
        wrong = partial(wrong_chunk, [len(each) for each in asked.labels[chunk]])
        content = known.get(what, inputs, dict, wrong)
        rows += [[math.nan if p is None else p for p in row] for row in content[PROBABILITIES]]
        if on_items is not None and (what, inputs) not in known.earlier:
            on_items(len(rows), len(asked.items))
    return rows


def _loaded(
    items: Sequence[Item], source: _Source, machine: Machine, run: str | Path, path: Path
) -> Engine:
    """The opened model, if its context window holds all questions."""
    stored = source.stored
    model = open_model(
        source.model, machine, run=run, system=stored.system, thinking=stored.thinking
    )
    new = Task("new", (), tuple(items), source.form.prompt, str(path))
    check_window(new, source.scoring, model, ("test",))
    return model


def _computed(
    source: _Source, load: Callable[[], Engine], items: Sequence[Item]
) -> dict[str, list[list[float | None]]]:
    """The probabilities in stored form; None if the model's numbers overflow."""
    found = probabilities_of(items, source.scoring, load(), source.form.prompt)
    return {PROBABILITIES: [[None if math.isnan(p) else p for p in row] for row in found]}


def probabilities_of(
    items: Sequence[Item], scoring: Scoring, engine: Engine, prompt: str | None
) -> list[list[float]]:
    """The probabilities of each item's choices: the softmax of the scores that the search compares.

    Letters have log-probabilities. Likelihood compares log-likelihoods per byte; times the mean
    length of the choices, they have the size of log-likelihoods again (see `trainer.choice_loss`).
    """
    scores = Accuracy(items, scoring, engine.chat, prompt).option_scores(engine)
    return [_shares(item, values, scoring) for item, values in zip(items, scores, strict=True)]


def _shares(item: Item, scores: Mapping[str, float], scoring: Scoring) -> list[float]:
    texts = item.options
    scale = 1.0 if scoring == "letter" else float(np.mean([len(text.encode()) for text in texts]))
    return [float(value) for value in softmax(np.array(list(scores.values())) * scale)]


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
    return _Source(about.config, form, scoring, model, prints)


def _table(questions: Questions, form: Form) -> Table:
    """The rows of a file, or of a list of texts or rows."""
    if isinstance(questions, str | Path):
        return read_table(user_path(questions))
    located = ((f"question {i}", raw) for i, raw in enumerate(questions, 1))
    return table_of(Path("questions"), located, form.column)


def _without(specs: Sequence[str], others: Sequence[str]) -> list[str]:
    """The search's ``--columns``, except those given anew."""
    anew = {spec.partition("=")[0].strip() for spec in others}
    return [spec for spec in specs if spec.partition("=")[0].strip() not in anew]
