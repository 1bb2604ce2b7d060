"""Turns the rows of a journal into the events that listeners receive."""

from __future__ import annotations

import math

from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.searching.scoring.record import Row

_SHOWN = ("iteration", "particle", "value", "n", "seconds", "coefficients")
_TRIAL = ("phase", "particle", "value", "n", "seconds")


class RunEvents:
    """Makes events of the rows of a journal, one after the other.

    Args:
        planned: evaluations if nothing stops the search early.

    Example:
        >>> events = RunEvents(planned=4)
        >>> event = events.row(Row("search", 0, 0, "k", [1.0], value=0.5, n=8, seconds=1.0, items={"t": "1"}))
        >>> event.kind, event.data["best"], event.data["evaluations_left"]
        ('evaluation', 0.5, 3)
    """

    def __init__(self, planned: int) -> None:
        self._planned = planned
        self._best = -math.inf
        self._iteration = 0
        self._keys: set[str] = set()

    def row(self, row: Row, kind: str = "evaluation") -> Event:
        """The event of a row of the search; of a row of another phase a ``trial``."""
        if row.phase != "search":
            return Event("trial", {name: getattr(row, name) for name in _TRIAL})
        self._best = max(self._best, row.value)
        self._iteration = row.iteration
        self._keys.add(row.key)
        shown = {name: getattr(row, name) for name in _SHOWN if getattr(row, name) is not None}
        return Event(kind, {**shown, **self._so_far()})

    def iteration(self) -> Event:
        """The end of the iteration of the latest row."""
        return Event("iteration", {"iteration": self._iteration, **self._so_far()})

    def _so_far(self) -> dict[str, float]:
        n = len(self._keys)
        return {"best": self._best, "evaluations": n, "evaluations_left": self._planned - n}
