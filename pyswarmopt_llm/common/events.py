"""Events of a search while it runs: for progress displays, loggers, tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something a listener may show.

    Attributes:
        kind: ``start``, ``note``, ``training``, ``trial``, ``replayed``, ``evaluation``,
            ``iteration``, ``closing`` or ``done``.
        data: of each kind as follows.

    ``start``: run, experts, tasks, particles, limits (see `SearchConfig.limits`), dev_items,
    scoring, dtype, threads, workers, evaluations_planned. ``note``: text. ``training``: an epoch of
    the expert trained on dev is over: share of the training that is done, in 0..1, and seconds so
    far. ``trial``: an
    evaluation beside the search: phase (``letter``), particle, value, n, seconds.
    ``evaluation``: iteration, particle, value, n (items), seconds, coefficients, best, evaluations,
    evaluations_left, bounds if it is incomplete. ``replayed``: the same of one that a resumed run
    takes from its journal. ``iteration``: iteration, best, evaluations, evaluations_left.
    ``closing``: the search has ended, what it found is scored on all splits. ``done``: result.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


def note(text: str) -> Event:
    """A sentence for whoever listens."""
    return Event("note", {"text": text})
