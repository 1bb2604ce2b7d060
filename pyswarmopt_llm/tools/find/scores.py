"""The scores of a pool's adapters in a file: a ranking that was stopped goes on from it, and so does
one of a pool that has grown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.files.regular import LINES_LIMIT, open_regular
from pyswarmopt_llm.tools.find.halving import Answer

_SHAPE = {
    **{"exam": str, "adapter": str, "first": int, "values": list[float]},
    "probabilities": list[float],
}
_LARGEST = 1e100  # of a value, whose mean and variance are finite then
_BEGINNING = b'{"exam": "'


class Scores:
    """Answers to an exam's shuffled items, by the hash of an adapter's weights.

    Args:
        file: its lines are appended to, those of other exams stay; None: nothing is kept.
        exam: tells items, their order and how they are scored from all others.

    Raises:
        UserError: the file cannot be read, or is another kind of file.

    Attributes:
        read: answers that were taken from the file.
    """

    def __init__(self, file: Path | None, exam: str) -> None:
        self._exam, self.read = exam, 0
        self._answers: dict[str, list[Answer]] = {}
        if file is not None:
            _check(file)
        self._file, self._log = file, AppendLog(file, None, _wrong)
        for row in self._log.repaired():
            known = self._answers.setdefault(row["adapter"], [])
            if row["exam"] == exam and row["first"] == len(known):
                known += map(Answer, row["values"], row["probabilities"])

    def of(
        self, adapter: str, numbers: range, score: Callable[[range], list[Answer]]
    ) -> list[Answer]:
        """The answers to these items; what is not known of them, or of those before, is scored.

        Args:
            adapter: the hash of its weights.
            numbers: of the items.
            score: answers a range of items.
        """
        known = self._answers.setdefault(adapter, [])
        self.read += len(known[numbers.start : numbers.stop])
        if len(known) < numbers.stop:
            first = len(known)
            known += score(range(first, numbers.stop))
            self._keep(self._row(adapter, first, known[first:]))
        return known[numbers.start : numbers.stop]

    def _keep(self, row: dict[str, Any]) -> None:
        try:
            self._log.append(row)
        except OSError as error:
            why = f"cannot be written ({error.strerror}); name another file"
            raise InvalidOption("scores", str(self._file), why) from error

    def _row(self, adapter: str, first: int, answers: list[Answer]) -> dict[str, Any]:
        return {
            "exam": self._exam,
            "adapter": adapter,
            "first": first,
            "values": [answer.value for answer in answers],
            "probabilities": [answer.probability for answer in answers],
        }


def _wrong(row: dict[str, Any]) -> str | None:
    """The field of a line that nobody can have written for an exam; None: there is none."""
    wrong = wrong_field(row, _SHAPE)
    if wrong is not None:
        return wrong
    if not all(abs(value) <= _LARGEST for value in row["values"]):
        return "values"
    whole = len(row["probabilities"]) == len(row["values"])
    # where nothing is compared it is the value
    possible = all(
        0 <= p <= 1 or p == value
        for p, value in zip(row["probabilities"], row["values"], strict=False)
    )
    return None if whole and possible else "probabilities"


def _check(file: Path) -> None:
    """Refuse a file that something else has written, or that could not be written."""
    if not file.parent.is_dir():
        raise InvalidOption("scores", str(file), "there is no such folder; make it")
    if not file.exists():
        return
    try:
        with open_regular(file, LINES_LIMIT) as stream:
            first = stream.read(len(_BEGINNING))
    except OSError as error:
        raise InvalidOption(
            "scores", str(file), f"cannot be read ({error.strerror}); name another file"
        ) from error
    if first and first != _BEGINNING:
        raise InvalidOption("scores", str(file), "holds something else; name another file")
