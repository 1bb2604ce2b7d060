"""The file that `predict` writes, kept chunk by chunk: rows with label and probabilities."""

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
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.files.lock import locked
from pyswarmopt_llm.common.files.regular import refuse_link, write_text
from pyswarmopt_llm.scores.tasks.formats import DELIMITED, SUFFIXES, Table

LABEL, PROBABILITIES = "predicted", "probabilities"  # the new columns
_REMEDY = "remove the file to begin anew"
_THERE = "is there already; remove it, or give another file"
_CHUNK = {"first": int, PROBABILITIES: list[list[float | None]]}
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
def predicted_file(out: Path | None, inputs: str, sizes: Sequence[int]) -> Iterator[PredictedFile]:
    """The file, with its progress locked; see `PredictedFile`.

    Raises:
        UserError: another process writes it, or as `PredictedFile`.
    """
    if out is None:
        yield PredictedFile(None, inputs, sizes)
        return
    with locked(_progress(out)):
        if out.exists():  # another process has just finished it
            _progress(out).unlink()
            raise InvalidOption("out", out, _THERE)
        yield PredictedFile(out, inputs, sizes)


class PredictedFile:
    """The progress of the file, in ``OUT.progress`` beside it until it is complete.

    Args:
        out: the file; None: nothing is written.
        inputs: digest of rows, model and settings.
        sizes: number of choices of each question.

    Attributes:
        rows: probabilities of the first questions, as far as they are known.

    Raises:
        UserError: the progress is of other inputs, or damaged.
    """

    def __init__(self, out: Path | None, inputs: str, sizes: Sequence[int]) -> None:
        self._out, self._progress = out, None if out is None else _progress(out)
        self._log = AppendLog(self._progress, _REMEDY)
        self.rows: list[list[float]] = []
        lines = self._log.repaired()
        if not lines:
            self._append({"inputs": inputs})
        elif lines[0].get("inputs") != inputs:
            raise UserError(
                f"{self._progress}: is of other inputs; {_REMEDY}, or give another `out`"
            )
        for chunk in lines[1:]:
            first = len(self.rows)
            if not _follows(chunk, first, sizes):
                raise UserError(f"{self._progress}: damaged after row {first}; {_REMEDY}")
            for row in chunk[PROBABILITIES]:
                self.rows.append([math.nan if p is None else p for p in row])

    def keep(self, probabilities: Sequence[Sequence[float]]) -> None:
        """Add those of the next rows."""
        numbers = [[None if math.isnan(p) else p for p in row] for row in probabilities]
        self._append({"first": len(self.rows), PROBABILITIES: numbers})
        self.rows += map(list, probabilities)

    def write(self, table: Table, predictions: Sequence[Prediction], labels: Sequence[str]) -> None:
        """Write the file whole, if there is one, then remove the progress.

        Args:
            table: the rows as they were read; a CSV file has the separator of theirs.
            predictions: one for each row.
            labels: that all questions have: each has a column ``p(LABEL)`` in a CSV file; none: one
                column of JSON.
        """
        if self._out is None or self._progress is None:
            return
        suffix = self._out.suffix.lower()
        if suffix in DELIMITED:
            same = suffix == table.path.suffix.lower()
            separator = "\t" if suffix == ".tsv" else table.separator if same else ","
            text = _as_csv(table, predictions, labels, separator)
        else:
            text = _as_json(table, predictions, suffix == ".jsonl")
        with _writing(self._out):
            write_text(self._out, text)
        self._progress.unlink(missing_ok=True)

    def _append(self, row: Mapping[str, Any]) -> None:
        with _writing(self._progress):
            self._log.append(row)


@contextmanager
def _writing(path: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"{path}: cannot be written ({error.strerror}); check the folder"
        raise UserError(text) from error


def _follows(chunk: Mapping[str, Any], first: int, sizes: Sequence[int]) -> bool:
    """Whether a line holds the probabilities of the next questions' choices."""
    if wrong_field(chunk, _CHUNK) or chunk["first"] != first:
        return False
    rows = chunk[PROBABILITIES]
    expected = list(sizes[first : first + len(rows)])
    return list(map(len, rows)) == expected and all(map(_sums_to_one, rows))


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
