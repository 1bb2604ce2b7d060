"""The file that `predict` writes, kept chunk by chunk: rows with label and probabilities."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.regular import refuse_link, write_text
from pyswarmopt_llm.tasks.formats import separator_of

LABEL, PROBABILITIES = "predicted", "probabilities"  # the new columns
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
_REMEDY = "remove the file to begin anew"


@dataclass(frozen=True)
class Prediction:
    """The choice for one question.

    Attributes:
        label: the most probable choice, by its text where all questions have the same choices, else
            by its letter; "" if the model's numbers overflow.
        probabilities: choice -> probability; they sum to 1.
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


def check_out(out: Path, names: Sequence[str]) -> None:
    """Refuse a file that cannot be written, before a model is loaded.

    Raises:
        UserError: of another kind, there already, in no folder, or of columns that the input has.
    """
    if out.suffix.lower() not in _SUFFIXES:
        raise InvalidOption(
            "out", out, f"not a table; give a file that ends in {', '.join(_SUFFIXES)}"
        )
    if not out.parent.is_dir():
        raise InvalidOption("out", out, f"no folder {out.parent}; make it, or give another file")
    refuse_link(out)
    if out.exists() and not _progress(out).exists():
        raise InvalidOption("out", out, "is there already; remove it, or give another file")
    taken = next((name for name in names if name in (LABEL, PROBABILITIES)), None)
    if taken is not None:
        raise UserError(f'the input has a column "{taken}", which `out` is to have; rename it')


class PredictedFile:
    """The progress of the file, in ``OUT.progress`` beside it until it is complete.

    Args:
        out: the file.
        inputs: digest of rows, model and settings.

    Raises:
        UserError: the progress is of other inputs.
    """

    def __init__(self, out: Path, inputs: str) -> None:
        self._out, self._progress = out, _progress(out)
        self._log = AppendLog(self._progress, _REMEDY)
        header, *self._chunks = self._log.repaired() or [{}]
        if header and header.get("inputs") != inputs:
            raise UserError(
                f"{self._progress}: is of other inputs; remove it to begin anew, or give another "
                "`out`"
            )
        if not header:
            self._append({"inputs": inputs})

    def first_rows(self, count: int) -> list[list[float]]:
        """Probabilities of the first rows, of `count` in all."""
        rows = [row for chunk in self._chunks for row in chunk.get("probabilities", [])]
        if len(rows) > count or not all(isinstance(row, list) for row in rows):
            raise UserError(f"{self._progress}: damaged; {_REMEDY}")
        return rows

    def keep(self, probabilities: Sequence[Sequence[float]]) -> None:
        """Add those of the next rows."""
        self._append({"probabilities": [list(row) for row in probabilities]})

    def write(
        self,
        source: Path,
        names: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
        predictions: Sequence[Prediction],
        spread: bool,
    ) -> None:
        """Write the file whole, then remove the progress.

        Args:
            source: of the rows; a CSV file has the same separator.
            names: their columns.
            rows: as they were read.
            predictions: one for each.
            spread: whether a CSV file has a column for each label, ``p(LABEL)``, else one of JSON.
        """
        try:
            write_text(self._out, _text(self._out, source, names, rows, predictions, spread))
        except OSError as error:
            raise UserError(
                f"{self._out}: cannot be written ({error.strerror}); check the folder"
            ) from error
        self._progress.unlink(missing_ok=True)

    def _append(self, row: Mapping[str, Any]) -> None:
        try:
            self._log.append(row)
        except OSError as error:
            raise UserError(
                f"{self._progress}: cannot be written ({error.strerror}); check the folder"
            ) from error


def _progress(out: Path) -> Path:
    return out.with_name(f"{out.name}.progress")


def _text(
    out: Path,
    source: Path,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    predictions: Sequence[Prediction],
    spread: bool,
) -> str:
    """The content of the file, by its suffix."""
    suffix = out.suffix.lower()
    pairs = list(zip(rows, predictions, strict=True))
    if suffix in (".json", ".jsonl"):
        lines = [
            json.dumps(
                {**row, LABEL: prediction.label, PROBABILITIES: prediction.probabilities},
                ensure_ascii=False,
            )
            for row, prediction in pairs
        ]
        return (
            "".join(f"{line}\n" for line in lines)
            if suffix == ".jsonl"
            else "[\n" + ",\n".join(lines) + "\n]\n"
        )
    labels = list(predictions[0].probabilities) if spread else []
    header = [*names, LABEL, *([f"p({label})" for label in labels] or [PROBABILITIES])]
    text = io.StringIO(newline="")
    writer = csv.writer(
        text, delimiter="\t" if suffix == ".tsv" else separator_of(source), lineterminator="\n"
    )
    writer.writerow(header)
    for row, prediction in pairs:
        values = [f"{value:.6g}" for value in prediction.probabilities.values()]
        last = values if spread else [json.dumps(dict(prediction.probabilities))]
        writer.writerow([*(_cell(row.get(name)) for name in names), prediction.label, *last])
    return text.getvalue()


def _cell(value: Any) -> str:
    """A value as a CSV file holds it: lists and objects as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
