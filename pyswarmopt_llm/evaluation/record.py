"""What a run writes: a `Row` of ``history.jsonl`` for each evaluation, and the `RunResult` of ``result.json``.

Torch is not needed to read them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import fits, wrong_field

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Score

# For each item the scores of the right option minus those of the others; None where the item was not scored.
Margins = list[list[float] | None]
Packed = str | list[float | None]  # values of a task's items, see `pack`
TRAINED = "trained"  # phase of the row of what was trained on dev
WEIGHTS = "weights"  # phase of the rows of the weight step of a search over graphs
CANDIDATES = ("search", WEIGHTS)  # phases of the rows of candidates that a search chooses from
_COLUMNS = ("phase", "iteration", "particle", "key", "coefficients", "value")
_SOMETIMES = ("bounds", "values", "margins")  # columns that not every row has
_LAST = ("n", "seconds", "items")


@dataclass(frozen=True)
class Row:
    """One evaluation of a candidate.

    Attributes:
        phase: ``search``, ``letter``, ``confirm``, ``trained`` or ``weights``.
        iteration: of the search.
        particle: its number in the swarm.
        key: name of the exact position, see `position_key`.
        coefficients: the experts' weights.
        value: for the optimizer, higher is better.
        n: items that were scored.
        seconds: that took.
        items: task name -> packed values of its items.
        bounds: of an incomplete evaluation the least and the greatest value that the complete one can have.
        values: value, standard error and count of those tasks whose score is not the mean of their items.
        margins: of a screened evaluation, task name -> margins of its items.

    Example:
        >>> found = {"phase": "search", "iteration": 0, "particle": 0, "key": "k", "coefficients": [1.0], "value": 0.5,
        ...          "n": 2, "seconds": 0.1, "items": {"t": "10"}}
        >>> row = Row.from_json(found)
        >>> row.complete, row.score("t").value, row.to_json() == found
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
    bounds: Sequence[float] | None = None
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    margins: Mapping[str, Margins] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """The row that a line of the journal holds; columns of later versions are left out."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})

    def to_json(self) -> dict[str, Any]:
        """The line of the journal."""
        found = {name: getattr(self, name) for name in _COLUMNS}
        found |= {name: value for name in _SOMETIMES if (value := getattr(self, name))}
        return found | {name: getattr(self, name) for name in _LAST}

    @property
    def complete(self) -> bool:
        """Whether every item was scored."""
        return self.bounds is None

    def item_values(self, task: str) -> list[float]:
        """Values of a task's items, NaN where not scored."""
        return unpack(self.items[task])

    def score(self, task: str) -> Score:
        """A task's score.

        Raises:
            ValueError: the evaluation is not complete.
        """
        from pyswarmopt_llm.common.interfaces import Score
        from pyswarmopt_llm.common.statistics import score_of

        items = tuple(self.item_values(task))
        if task in self.values:
            value, stderr, n = self.values[task]
            return Score(float(value), items, int(n), float(stderr))
        return score_of(items)


@dataclass(frozen=True)
class RunResult:
    """The outcome of a search; ``None`` where there is nothing to say.

    ``best`` is the candidate that the search hands over, ``best_single`` the expert with the highest score on dev,
    ``uniform`` the plain average of the experts. Where the search trains, ``mixture`` is what it found and ``trained``
    the same after training on dev (scored on dev by cross-fitting), which is ``best`` if `trained`; ``paired_training``
    compares the second with the first as ``paired`` does the best with the best single expert. ``rivals`` holds what
    the result stands beside (`jobs.search.rivals.entries`); what they took is in ``passes_rivals`` and
    ``seconds_rivals`` and nowhere else. ``experts`` holds their scores on dev, the share of items on which their
    outcomes differ, and the best against the second; ``own_scores`` for each of the user's own how many items it has
    and whether some are held out; ``named`` the named numbers of a score function, by task and by model and split;
    ``outcomes`` the packed scores of the test items, by model and task. Scores are
    fractions or whatever the metrics give; ``evaluations`` are of candidates (neither a trial of letters nor what was
    trained), ``passes`` forward passes of an item, training included (a backward pass counts as 1.5); memory is in
    bytes.
    The types are those of the file, which is checked against them when it is read (`run_files.read_result`).
    """

    space: str | None = None
    best_single: str = ""
    best_dev: float = math.nan
    best_test: float | None = None
    best_single_dev: float = math.nan
    best_single_test: float | None = None
    mixture_dev: float | None = None
    mixture_test: float | None = None
    trained_dev: float | None = None
    trained_test: float | None = None
    uniform_dev: float | None = None
    uniform_test: float | None = None
    truncation: dict[str, float] | None = None
    intervals: dict[str, tuple[float, float] | None] = field(default_factory=dict)
    stderr: dict[str, float | None] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    trained: bool | None = None
    outcomes: dict[str, dict[str, Packed]] | None = None
    paired: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    paired_training: dict[str, dict[str, dict[str, Any]]] | None = None
    rivals: list[dict[str, Any]] | None = None
    passes_rivals: int | None = None
    seconds_rivals: float | None = None
    experts: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    coefficients: dict[str, float] = field(default_factory=dict)
    graph: str | None = None
    evaluations: int = 0
    item_evaluations: int = 0
    passes: int = 0
    items_saved: float = 0.0
    seconds_scoring: float = 0.0
    peak_memory_bytes: int = 0
    scoring: str = ""
    workers: dict[str, Any] | None = None
    judge: dict[str, dict[str, float]] | None = None
    own_scores: dict[str, dict[str, Any]] | None = None
    named: dict[str, dict[str, dict[str, float]]] | None = None
    confirm: dict[str, Any] | None = None
    tasks: dict[str, dict[str, float | str | None]] | None = None
    stop: dict[str, Any] = field(default_factory=dict)
    front: dict[str, Any] | None = None
    seconds: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunResult:
        """The result that ``result.json`` holds; keys of later versions are left out.

        Example:
            >>> RunResult.from_json({"best_dev": 0.5, "best_test": None}).to_json()["best_dev"]
            0.5
        """
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json``, its keys in order."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        found["intervals"] = {name: pair and list(pair) for name, pair in self.intervals.items()}
        return {name: value for name, value in found.items() if value is not None}


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


# Types of the columns of a row: of those that each has, and of the others.
_TYPES: dict[str, Any] = {
    **{"phase": str, "iteration": int, "particle": int, "key": str, "coefficients": list[float], "value": float},
    **{"n": int, "seconds": float, "items": dict[str, str | list[float | None]]},
}
_MORE: dict[str, Any] = {
    **{"bounds": list[Any], "values": dict[str, tuple[float, Any, int]], "margins": dict[str, Margins]},
}


def journal(path: Path) -> AppendLog:
    """The log of rows in a file."""
    return AppendLog(path, "restore it, or remove this line and those after it", wrong_in_row)


def wrong_in_row(row: dict[str, Any]) -> str | None:
    """The first column of a JSON object that is not what `Row.to_json` writes; None if all are.

    Example:
        >>> wrong_in_row({"phase": "search", "iteration": "0"})
        'iteration'
    """
    shape = _TYPES | {name: hint for name, hint in _MORE.items() if name in row}
    if (name := wrong_field(row, shape)) is not None:
        return name
    for name in ("iteration", "particle", "n", "seconds"):
        if row.get(name, 0) < 0:
            return name
    packed = [items for items in row["items"].values() if isinstance(items, str)]
    if not row["items"] or not set("".join(packed)) <= set("01?"):
        return "items"
    if not all(n >= 0 and _is_real(stderr) for _, stderr, n in row.get("values", {}).values()):
        return "values"
    bounds = row.get("bounds", (0, 0))
    return None if len(bounds) == 2 and all(map(_is_real, bounds)) else "bounds"


def _is_real(value: object) -> bool:
    """Whether it is a number, infinite or none (NaN) included."""
    return isinstance(value, float) or fits(value, int)
