"""What a search tells those who listen: progress displays, loggers, trackers, tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something a listener may show.

    Attributes:
        kind: ``start``, ``note``, ``trial``, ``replayed``, ``evaluation``, ``iteration``, ``closing`` or ``done``.
        data: of each kind as follows.

    ``start``: run, experts, tasks, particles, limits (see `SearchConfig.limits`), dev_items, scoring, dtype, threads,
    workers, evaluations_planned. ``note``: text. ``trial``: an evaluation beside the search: phase (``letter``,
    ``confirm``), particle, value, n, seconds. ``evaluation``: iteration, particle, value, n (items asked), seconds,
    coefficients, best, evaluations, evaluations_left, and bounds if it ended early. ``replayed``: the same of one that
    a resumed run takes from its journal. ``iteration``: iteration, best, evaluations, evaluations_left. ``closing``:
    the search has ended, what it found is scored on all splits. ``done``: result.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


OnEvent = Callable[[Event], None]

_SHOWN = ("iteration", "particle", "value", "n", "seconds", "coefficients", "bounds")


class Narrator:
    """Makes events of the rows of a journal, one after the other.

    Args:
        planned: evaluations if nothing stops the search early.

    Example:
        >>> narrator = Narrator(planned=4)
        >>> row = {"phase": "search", "iteration": 0, "particle": 0, "key": "k", "value": 0.5, "n": 8, "seconds": 1.0}
        >>> event = narrator.told(row)
        >>> event.kind, event.data["best"], event.data["evaluations_left"]
        ('evaluation', 0.5, 3)
    """

    def __init__(self, planned: int) -> None:
        self._planned = planned
        self._best = -math.inf
        self._iteration = 0
        self._keys: set[str] = set()

    def told(self, row: Mapping[str, Any], kind: str = "evaluation") -> Event:
        """A row of the search as an event; a row of another phase as a ``trial``."""
        if row["phase"] != "search":
            return Event("trial", {name: row[name] for name in ("phase", "particle", "value", "n", "seconds")})
        self._best = max(self._best, row["value"])
        self._iteration = row["iteration"]
        self._keys.add(row["key"])
        return Event(kind, {**{name: row[name] for name in _SHOWN if name in row}, **self._so_far()})

    def follow(self, row: Mapping[str, Any]) -> Iterator[Event]:
        """The same for one who has only the journal, with the iterations that end where a new one begins."""
        if row["phase"] == "search" and row["iteration"] > self._iteration:
            yield self.iteration()
        yield self.told(row)

    def iteration(self) -> Event:
        """The end of the iteration of the latest row."""
        return Event("iteration", {"iteration": self._iteration, **self._so_far()})

    def _so_far(self) -> dict[str, float]:
        n = len(self._keys)
        return {"best": self._best, "evaluations": n, "evaluations_left": self._planned - n}


__all__ = ["Event", "Narrator", "OnEvent"]
