"""The objective's answers since a search was last saved, written as they come.

A search's state takes long to build and to write, an answer does not. A search that is resumed asks
again for what it had asked for after its state was saved, and hears the same answers in the same
order, without a call: nothing is lost, even if the process was killed.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.call import CallOutcome, Value

WRITING = 0.05  # most share of a search's time; saved states take as much


class JournalledAnswer(NamedTuple):
    """One answer of the objective.

    Attributes:
        number: of the call, from 1 on.
        point: the point, (D,), or, in a file, its name.
        value: its value, or the numbers of several; NaN if the call failed.
        error: type of the error, if it failed with one.
    """

    number: int
    point: Any
    value: Any
    error: str = ""

    @property
    def outcome(self) -> CallOutcome:
        """What the call returned or raised."""
        if self.error:
            return CallOutcome(None, type(self.error, (Exception,), {})())
        if isinstance(self.value, list):
            return CallOutcome(np.array(self.value), None)
        return CallOutcome(self.value, None)

    def plain(self) -> JournalledAnswer:
        """The answer for a file, with the name of its point."""
        value = self.value
        if isinstance(value, np.ndarray):
            value = value.tolist()
        return self._replace(point=named(self.point), value=value)


class Journal:
    """Keeps the answers since the latest saved state in a file of lines, and replays them.

    Writing takes at most a small share of the time: a killed search loses the answers of some
    milliseconds at most.

    Args:
        path: of the file.

    Attributes:
        replayed: answers of an interrupted search that are still to be heard.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "answers"
        >>> journal = Journal(path)
        >>> journal.keep(1, np.zeros(2), 3.5)
        >>> journal.flush()
        >>> again = Journal(path)
        >>> again.load(after=0)
        >>> again.hear([np.ones(2), np.zeros(2)])
        (1, CallOutcome(value=3.5, error=None))
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.replayed: deque[JournalledAnswer] = deque()
        self._kept: list[JournalledAnswer] = []
        self._written = 0  # of the kept ones
        self._due = -math.inf

    def keep(self, number: int, x: Floats, value: Value, error: Exception | None = None) -> None:
        """Keep the answer to a call at x, (D,), with that number, unless it was replayed; it is
        written now or soon.
        """
        if self._kept and number <= self._kept[-1].number:
            return
        kind = ""
        if error is not None:
            kind = type(error).__name__
        self._kept.append(JournalledAnswer(number, x, value, kind))
        if time.monotonic() >= self._due:
            self.flush()

    def kept(self, after: int) -> list[JournalledAnswer]:
        """The answers to calls after that number, as for a file."""
        return [answer.plain() for answer in self._kept if answer.number > after]

    def flush(self) -> None:
        """Write the answers that have not been written."""
        if self._written == len(self._kept):
            return
        began = time.monotonic()
        line = json.dumps([answer.plain() for answer in self._kept[self._written :]])
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        self._written = len(self._kept)
        ended = time.monotonic()
        self._due = ended + (ended - began) * (1 / WRITING - 1)

    def clear(self) -> None:
        """Forget the answers, which a saved state contains by now."""
        self._kept = []
        self._written = 0
        self._due = -math.inf
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    # ---- after an interruption ----

    def load(self, after: int, saved: Iterable[Any] = ()) -> None:
        """Replay the answers to calls after that number: those saved with a state, and those in the
        file. An incomplete last line, as of a killed process, is left out.
        """
        found = [JournalledAnswer(*fields) for fields in saved]
        with suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    found += [JournalledAnswer(*fields) for fields in json.loads(line)]
                except (ValueError, TypeError):
                    break
        found = [answer for answer in found if answer.number > after]
        self.replayed = deque(found)
        self._write_anew(found)

    def hear(self, points: Iterable[Floats]) -> tuple[int, CallOutcome] | None:
        """The next replayed answer, and which of the points, (D,) each, it belongs to; None, and no
        further replay, if it belongs to none.
        """
        if not self.replayed:
            return None
        names = [named(x) for x in points]
        if self.replayed[0].point not in names:
            self._write_anew(self._kept[: len(self._kept) - len(self.replayed)])
            self.replayed.clear()
            return None
        answer = self.replayed.popleft()
        return names.index(answer.point), answer.outcome

    def _write_anew(self, answers: list[JournalledAnswer]) -> None:
        """Have only these answers in the file."""
        self._kept = answers
        self._written = len(answers)
        line = json.dumps([answer.plain() for answer in answers])
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        beside.write_text(f"{line}\n", encoding="utf-8")
        os.replace(beside, self.path)


def named(point: Any) -> str:
    """A short name of a point, (D,); a name is its own."""
    if isinstance(point, str):
        return point
    return blake2b(np.ascontiguousarray(point).tobytes(), digest_size=8).hexdigest()
