"""The file that `predict` writes: rows with label and probabilities. Until it is whole, a store beside
it holds what is known.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.lock import locked
from pyswarmopt_llm.common.files.regular import refuse_link, write_text
from pyswarmopt_llm.scores.tasks.formats import DELIMITED, SUFFIXES, Table
from pyswarmopt_llm.searching.scoring.record import Store

LABEL, PROBABILITIES = "predicted", "probabilities"  # the new columns
_THERE = "is there already; remove it, or give another file"
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Prediction:
    """The choice for one question.

    Attributes:
        label: the most probable choice, by its text where all questions have the same choices, else
            by its letter; "" if the model's numbers overflow.
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
    """Refuse a file that cannot be written, before a model is loaded.

    Args:
        out: the file.
        names: columns of the input.
        labels: the choices that all questions have; none if each has its own.

    Raises:
        UserError: of another kind, there already, in no folder, or of columns that the input has.
    """
    if out.suffix.lower() not in SUFFIXES:
        endings = ", ".join(SUFFIXES)
        raise InvalidOption("out", out, f"not a table; give a file that ends in {endings}")
    if not out.parent.is_dir():
        raise InvalidOption("out", out, f"no folder {out.parent}; make it, or give another file")
    refuse_link(out)
    if out.exists() and not _progress(out).exists():
        raise InvalidOption("out", out, _THERE)
    new = {LABEL, PROBABILITIES, *map(_column, labels)}
    taken = next((name for name in names if name in new), None)
    if taken is not None:
        raise UserError(f'the input has a column "{taken}", which `out` is to have; rename it')


@contextmanager
def progress_of(out: Path | None, inputs: str) -> Iterator[Store]:
    """What is known of a file's rows, in ``OUT.progress`` beside it; locked, and removed when the file
    is whole.

    Args:
        out: the file; None: nothing is stored.
        inputs: digest of rows, model and settings, by which the store knows its rows.

    Raises:
        UserError: another process writes the file, or what is known is of other inputs.
    """
    if out is None:
        yield Store(None)
        return
    path = _progress(out)
    with locked(path):
        if out.exists():  # another process has just finished it
            path.unlink()
            raise InvalidOption("out", out, _THERE)
        store = Store(path)
        if store.known and all(whose != inputs for _, whose in store.known):
            why = "is of other inputs; remove the file to begin anew, or give another `out`"
            raise UserError(f"{path}: {why}")
        yield store
        path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path | None) -> Iterator[None]:
    """Say in one line that a file cannot be written."""
    try:
        yield
    except OSError as error:
        text = f"{path}: cannot be written ({error.strerror}); check the folder"
        raise UserError(text) from error


def write_predictions(
    out: Path, table: Table, predictions: Sequence[Prediction], labels: Sequence[str]
) -> None:
    """Write the file whole.

    Args:
        out: the file.
        table: the rows as they were read; a CSV file has the separator of theirs.
        predictions: one for each row.
        labels: that all questions have: each has a column ``p(LABEL)`` in a CSV file; none: one
            column of JSON.
    """
    suffix = out.suffix.lower()
    if suffix in DELIMITED:
        same = suffix == table.path.suffix.lower()
        separator = "\t" if suffix == ".tsv" else table.separator if same else ","
        text = _as_csv(table, predictions, labels, separator)
    else:
        text = _as_json(table, predictions, suffix == ".jsonl")
    with writing(out):
        write_text(out, text)


def wrong_chunk(sizes: Sequence[int], content: Mapping[str, Any]) -> str | None:
    """`PROBABILITIES` where these are not those of questions with so many choices.

    Example:
        >>> wrong_chunk([2], {"probabilities": [[0.5, 0.5]]}), wrong_chunk([2], {"probabilities": [[1]]})
        (None, 'probabilities')
    """
    rows: Any = content.get(PROBABILITIES)
    if not fits(rows, list[list[float | None]]) or list(map(len, rows)) != list(sizes):
        return PROBABILITIES
    return None if all(map(_sums_to_one, rows)) else PROBABILITIES


def _sums_to_one(row: Sequence[float | None]) -> bool:
    """Whether numbers are probabilities; without any they are those of a model that overflows.

    Example:
        >>> _sums_to_one([0.25, 0.75]), _sums_to_one([1.5, -0.5]), _sums_to_one([None, None])
        (True, False, True)
    """
    known = [p for p in row if p is not None]
    if not known:
        return bool(row)
    return len(known) == len(row) and min(known) >= 0 and abs(sum(known) - 1) < _ROUNDING


def _column(label: str) -> str:
    """The column of a label's probability."""
    return f"p({label})"


def _progress(out: Path) -> Path:
    return out.with_name(f"{out.name}.progress")


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
    columns = [*table.names, LABEL, *map(_column, labels)]
    columns += [] if labels else [PROBABILITIES]
    writer = csv.DictWriter(text, columns, "", delimiter=separator, lineterminator="\n")
    writer.writeheader()
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
    """A value as a CSV file holds it: lists and objects as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
