"""The lines of ``history.jsonl``: a `Row` for each evaluation. Torch is not needed to read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import WrongType, fits, typed

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Score

# For each item the scores of the right option minus those of the others; None where the item was
# not scored.
Margins = list[list[float] | None]
Packed = str | list[float | None]  # values of a task's items, see `pack`
TRAINED = "trained"  # phase of the row of what was trained on dev
WEIGHTS = "weights"  # phase of the rows of the weight step of a search over graphs
CANDIDATES = ("search", WEIGHTS)  # phases of the rows of candidates that a search chooses from
_SOMETIMES = ("values", "margins")  # columns that not every row has


@dataclass(frozen=True)
class Row:
    """One evaluation of a candidate.

    Attributes:
        phase: ``search``, ``letter``, ``confirm``, ``trained`` or ``weights``.
        iteration: of the search.
        particle: its number in the swarm.
        key: name of the exact position, see `position_key`.
        coefficients: the experts' weights.
        value: for the optimizer, higher is better. Items of a race that are not scored count as
            wrong.
        n: items that were scored for it.
        seconds: that took.
        items: task name -> packed values of its items.
        values: value, standard error and count of those tasks whose score is not the mean of their
            items.
        margins: for a model of the items, task name -> margins of its items.

    Example:
        >>> line = {"phase": "search", "iteration": 0, "particle": 0, "key": "k", "coefficients": [1.0], "value": 0.5,
        ...          "n": 2, "seconds": 0.1, "items": {"t": "10"}}
        >>> row = Row.from_json(line)
        >>> row.complete, row.score("t").value, row.to_json() == line
        (True, 0.5, True)
    """

    phase: str
    iteration: int
    particle: int
    key: str
    coefficients: Sequence[float]
    value: float
    n: int
    seconds: float
    items: Mapping[str, Packed]
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # the error may be NaN
    margins: Mapping[str, Margins] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """The row that a line of the journal holds; columns of later versions are left out."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})

    def to_json(self) -> dict[str, Any]:
        """The line of the journal."""
        return {
            f.name: value
            for f in fields(self)
            if (value := getattr(self, f.name)) or f.name not in _SOMETIMES
        }

    @property
    def complete(self) -> bool:
        """Whether every item was scored."""
        return not any(one in ("?", None) for items in self.items.values() for one in items)

    def item_values(self, task: str) -> list[float]:
        """Values of a task's items, NaN where not scored."""
        return unpack(self.items[task])

    def score(self, task: str) -> Score:
        """A task's score, on the items that were scored.

        Raises:
            ValueError: none was.
        """
        from pyswarmopt_llm.common.interfaces import Score
        from pyswarmopt_llm.common.statistics import score_of

        items = tuple(self.item_values(task))
        if task in self.values:
            value, stderr, n = self.values[task]
            return Score(float(value), items, int(n), float(stderr))
        return score_of([value for value in items if not math.isnan(value)])


def pack(per_item: Sequence[float]) -> Packed:
    """Values per item as JSON: a string of 0, 1 and ? (not scored, NaN) where that is all there is.

    Example:
        >>> pack((1.0, 0.0, math.nan)), pack((0.5, 1.0, math.nan))
        ('10?', [0.5, 1.0, None])
    """
    if all(value in (0.0, 1.0) or math.isnan(value) for value in per_item):
        return "".join("?" if math.isnan(value) else "1" if value else "0" for value in per_item)
    return [None if math.isnan(value) else value for value in per_item]


def unpack(items: Packed) -> list[float]:
    """The inverse of `pack`.

    Example:
        >>> unpack("10?")
        [1.0, 0.0, nan]
    """
    return [math.nan if value in ("?", None) else float(value) for value in items]


_VALUES = dict[str, tuple[float, Any, int]]


def journal(path: Path) -> AppendLog:
    """The log of rows in a file."""
    return AppendLog(path, "restore it, or remove this line and those after it", wrong_in_row)


def wrong_in_row(row: dict[str, Any]) -> str | None:
    """The first column of a JSON object that is not what `Row.to_json` writes; None if all are.

    Example:
        >>> wrong_in_row({"phase": "search", "iteration": "0"})
        'iteration'
    """
    try:
        typed(row, Row)
    except WrongType as error:
        return error.place
    for name in ("iteration", "particle", "n", "seconds"):
        if row.get(name, 0) < 0:
            return name
    packed = [items for items in row["items"].values() if isinstance(items, str)]
    if not row["items"] or not set("".join(packed)) <= set("01?"):
        return "items"
    values = row.get("values", {})
    if not fits(values, _VALUES) or not all(
        n >= 0 and _is_real(stderr) for _, stderr, n in values.values()
    ):
        return "values"
    return None


def wrong_for(tasks: Collection[str]) -> Callable[[dict[str, Any]], str | None]:
    """`wrong_in_row` of a row of these tasks.

    Example:
        >>> row = {"phase": "search", "iteration": 0, "particle": 0, "key": "k", "coefficients": [1.0], "value": 0.5,
        ...        "n": 2, "seconds": 0.1, "items": {"t": "10"}}
        >>> wrong_for(["t"])(row), wrong_for(["u"])(row)
        (None, 'items')
    """

    def wrong(row: dict[str, Any]) -> str | None:
        return wrong_in_row(row) or (None if row["items"].keys() == set(tasks) else "items")

    return wrong


def _is_real(value: object) -> bool:
    """Whether it is a number, infinite or none (NaN) included."""
    return isinstance(value, float) or fits(value, int)
