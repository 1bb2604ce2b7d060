"""Memory of a run: a `Row` for each evaluation, as a line of ``history.jsonl``; and the `Store` of
everything expensive, keyed by kind and candidate. Resuming replays it. Reading needs no torch.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AllowInfNan, Field, NonNegativeFloat, NonNegativeInt
from typing_extensions import TypedDict

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import AppendLog

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Score
# For each item the right option's score minus the score of each other option; None: unknown.
Margins = list[list[float] | None]
# values of a task's items, see `pack`
Packed = Annotated[str, Field(pattern="^[01]*$")] | list[float]
TRAINED = "trained"  # phase of the rows of trained models, and folder of their LoRAs
RESULTS = "results.jsonl"  # in a run directory
# a value, its standard error (possibly NaN), and a count
_Value = tuple[float, Annotated[float, AllowInfNan(True)], NonNegativeInt]
_SOMETIMES = ("values", "named", "margins", "answers")  # optional columns
REMEDY = "restore the file, or remove this line and all later ones"


@dataclass(frozen=True)
class Row:
    """One evaluation of a candidate.

    Attributes:
        phase: ``search``, ``letter``, ``trained`` or ``weights``.
        iteration: iteration of the search.
        particle: number of the particle in the swarm.
        key: name of the exact position, see `position_key`.
        coefficients: the experts' weights.
        value: for the optimizer, higher is better.
        n: number of items scored; 0 if the candidate counts as another row.
        seconds: time of this evaluation.
        items: task name -> packed values of its items.
        values: value, standard error and count of each task whose score is not the mean of its
            items.
        named: task name -> further numbers from a score function.
        margins: task name -> margins of its items, if a model of the items needs them.
        answers: task name -> letter of the option chosen for each item, for results.

    Example:
        >>> line = {"phase": "search", "iteration": 0, "particle": 0, "key": "k", "coefficients": [1.0], "value": 0.5,
        ...          "n": 2, "seconds": 0.1, "items": {"t": "10"}}
        >>> row = Row.from_json(line)
        >>> row.score("t").value, row.to_json() == line
        (0.5, True)
    """

    phase: str
    iteration: NonNegativeInt
    particle: NonNegativeInt
    key: str
    coefficients: Sequence[float]
    value: float
    n: NonNegativeInt
    seconds: NonNegativeFloat
    items: Annotated[Mapping[str, Packed], Field(min_length=1)]
    values: Mapping[str, _Value] = field(default_factory=dict)
    named: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    margins: Mapping[str, Margins] = field(default_factory=dict)
    answers: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        scores: Mapping[str, Score],
        total: Score,
        seconds: float = 0.0,
        margins: bool = False,
        answers: bool = False,
    ) -> Row:
        """The row of all tasks' scores and their combination, not yet named; with `margins` it
        holds the items' margins, with `answers` their chosen options.
        """
        items = {}
        values = {}
        named = {}
        known = {}
        chosen = {}
        for task, score in scores.items():
            items[task] = pack(score.per_item)
            if not score.per_item or score.value != np.mean(score.per_item):
                values[task] = (score.value, score.stderr, score.n)
            if score.named:
                named[task] = dict(score.named)
            if margins and score.margins:
                known[task] = [_stored(of_item) for of_item in score.margins]
            if answers and score.margins:
                chosen[task] = list(score.answers)
        return cls(
            phase="",
            iteration=0,
            particle=0,
            key="",
            coefficients=(),
            value=total.value,
            n=total.n,
            seconds=round(seconds, 4),
            items=items,
            values=values,
            named=named,
            margins=known,
            answers=chosen,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """Read a row from a line of the journal; columns from later versions are dropped.

        Raises:
            WrongType: names the first column that `to_json` would not write.
        """
        row: Row = typed(data, cls)
        return row

    def to_json(self) -> dict[str, Any]:
        """The line of the journal."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return {name: value for name, value in columns.items() if value or name not in _SOMETIMES}

    def item_values(self, task: str) -> list[float]:
        """Values of a task's items."""
        return unpack(self.items[task])

    def score(self, task: str) -> Score:
        """A task's score."""
        from pyswarmopt_llm.common.interfaces import Score
        from pyswarmopt_llm.common.statistics import score_of

        items = self.item_values(task)
        if task in self.values:
            value, stderr, n = self.values[task]
            return Score(value, tuple(items), n, stderr)
        return score_of(items)


def pack(per_item: Sequence[float]) -> Packed:
    """Values per item as JSON: a string if all are 0 or 1.

    Example:
        >>> pack((1.0, 0.0)), pack((0.5, 1.0))
        ('10', [0.5, 1.0])
    """
    signs = {0.0: "0", 1.0: "1"}
    if all(value in signs for value in per_item):
        return "".join(signs[value] for value in per_item)
    return list(per_item)


def unpack(items: Packed) -> list[float]:
    """The inverse of `pack`.

    Example:
        >>> unpack("10")
        [1.0, 0.0]
    """
    return [float(value) for value in items]


def _stored(margins: Sequence[float]) -> list[float] | None:
    """Margins to six digits, more than a model's rounding leaves; non-finite margins count as
    unknown.
    """
    if not margins or not all(map(math.isfinite, margins)):
        return None
    return [float(f"{margin:.6g}") for margin in margins]


class _Keyed(TypedDict):
    what: str
    who: str


class Store:
    """Store of results, in memory and in a file of JSON lines; thread-safe.

    Args:
        path: the file, which need not exist; None: memory only.
        repair: whether to cut off a half-written last line; only under a lock.

    Attributes:
        known: (what, who) -> stored result.
        earlier: keys known when the store was opened.

    Raises:
        UserError: a line is damaged.

    Example:
        >>> store = Store(None)
        >>> store.get("search", "x", lambda: {"value": 0.5})["value"]
        0.5
        >>> store.get("search", "x", lambda: {"value": 0.7})["value"], ("search", "y") in store.known
        (0.5, False)
    """

    def __init__(self, path: Path | None, repair: bool = True) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._log = AppendLog(path, REMEDY, _Keyed)
        self.known = {(row["what"], row["who"]): row for row in self._log.read(repair)}
        self.earlier = frozenset(self.known)

    def __contains__(self, name: object) -> bool:
        return name in self.known

    def get(
        self,
        what: str,
        who: str,
        compute: Callable[[], Mapping[str, Any]],
        shape: Any = dict[str, Any],
    ) -> Mapping[str, Any]:
        """Return the stored result, or compute and store it.

        Args:
            what: kind of result.
            who: key of the candidate.
            compute: computes the result, as JSON.
            shape: its type, see `typed`.

        Raises:
            UserError: the stored result is damaged.
        """
        if (what, who) not in self.known:
            return self.add(what, who, compute())
        if (what, who) in self.earlier:
            self.read(what, who, shape)
        return self.known[what, who]

    def read(self, what: str, who: str, shape: Any) -> Any:
        """A stored result as this type, see `typed`.

        Raises:
            UserError: the stored result is damaged.
        """
        try:
            return typed(self.known[what, who], shape)
        except WrongType as error:
            raise self.damaged(what, who, error.path) from error

    def damaged(self, what: str, who: str, field: str) -> UserError:
        """The error for a damaged result."""
        return UserError(
            f"{self._path}: {what} row of {who[:40]}: {field} is missing or has the wrong type; {REMEDY}"
        )

    def find_row(self, what: str, who: str, tasks: Collection[str]) -> Row | None:
        """A candidate's stored row on these tasks; None if there is none.

        Raises:
            UserError: the stored row is damaged, or has other tasks.
        """
        if (what, who) not in self.known:
            return None
        row: Row = self.read(what, who, Row)
        if {*row.items} != {*tasks}:
            raise self.damaged(what, who, "items")
        return row

    def all(self, what: str) -> list[Mapping[str, Any]]:
        """All stored results of this kind."""
        return [row for row in list(self.known.values()) if row["what"] == what]

    def add(self, what: str, who: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store a result, on disk before it is used."""
        row = {"what": what, "who": who, **content}
        with self._lock:
            if self._failure is not None:  # a line may be half-written
                raise self._failure
            try:
                self._log.append(row)
            except BaseException as error:  # also by lack of memory or a signal
                self._failure = error
                raise
        self.known[what, who] = row
        return row
