"""Memory of a run: a `Row` for each evaluation, as a line of ``history.jsonl``; and the `Store` of
everything expensive, keyed by kind and candidate. Resuming replays it. Reading needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt
from typing_extensions import TypedDict

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.common.statistics import Score

# values of a task's items, see `pack`
Packed = Annotated[str, Field(pattern="^[01]*$")] | list[float]
TRAINED = "trained"  # phase of the rows of trained models, and folder of their LoRAs
FRONT = "front"  # folder of a front's points; with a number the name of one
RESULTS = "results.jsonl"  # in a run directory
REMEDY = "restore the file, or remove this line and all later ones"


@dataclass(frozen=True)
class Row:
    """One evaluation of a candidate, as a line of JSON.

    Attributes:
        phase: ``search``, ``letter``, ``screen`` with the number of examples asked before, ``trained``
            or ``weights``.
        iteration: iteration of the search.
        particle: number of the particle in the swarm.
        key: name of the exact position, see `position_key`.
        coefficients: the experts' weights; none in the phase ``screen``, where the particle is the
            expert's number.
        value: for the optimizer, higher is better.
        n: number of items scored; 0 if the candidate counts as another row, or was scored in parts,
            which have rows of their own.
        seconds: time of this evaluation.
        tasks: task name -> its score, with the letter of the option chosen for each item.

    Example:
        >>> from dataclasses import asdict
        >>> row = Row("search", 0, 0, "k", [1.0], 0.5, 2, 0.1, {"t": Score(0.5, (1.0, 0.0), 2, 0.5)})
        >>> typed(asdict(row), Row) == row
        True
    """

    phase: str
    iteration: NonNegativeInt
    particle: NonNegativeInt
    key: str
    coefficients: Sequence[float]
    value: float
    n: NonNegativeInt
    seconds: NonNegativeFloat
    tasks: Annotated[Mapping[str, Score], Field(min_length=1)]

    @classmethod
    def of(cls, scores: Mapping[str, Score], total: Score, seconds: float = 0.0) -> Row:
        """The row of all tasks' scores and their combination, not yet named; written replies are left
        out.
        """
        tasks = {}
        for name, score in scores.items():
            tasks[name] = replace(score, answers=score.answers if score.margins else ())
        return cls(
            phase="",
            iteration=0,
            particle=0,
            key="",
            coefficients=(),
            value=total.value,
            n=total.n,
            seconds=round(seconds, 4),
            tasks=tasks,
        )


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


def has_rows(folder: Path) -> bool:
    """Whether the store of a directory has a row; a half-written one is none."""
    file = folder / RESULTS
    if not file.is_file():
        return False
    with open(file, "rb") as lines:
        return lines.readline().endswith(b"\n")


class _Keyed(TypedDict):
    what: str
    who: str


class Store:
    """Store of results, in memory and in a file of JSON lines.

    Args:
        path: the file, which need not exist; None: memory only.
        repair: whether to cut off a half-written last line; only under a lock.

    Attributes:
        known: (what, who) -> stored result.

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
        self._log = AppendLog(path, REMEDY, _Keyed)
        self.known = {(row["what"], row["who"]): row for row in self._log.read(repair)}

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

    def find_row(self, what: str, who: str) -> Row | None:
        """A candidate's stored row; None if there is none.

        Raises:
            UserError: the stored row is damaged.
        """
        if (what, who) not in self.known:
            return None
        row: Row = self.read(what, who, Row)
        return row

    def all(self, what: str) -> list[Mapping[str, Any]]:
        """All stored results of this kind."""
        return [row for row in self.known.values() if row["what"] == what]

    def add(self, what: str, who: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store a result, on disk before it is used."""
        row = {"what": what, "who": who, **content}
        self._log.append(row)
        self.known[what, who] = row
        return row
