"""Progress of a search: events, and numbers, mixtures and remarks as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """An event for a listener to show.

    Attributes:
        kind: ``start``, ``note``, ``training``, ``fitting``, ``scoring``, ``reading``, ``trial``,
            ``replayed``, ``evaluation``, ``iteration``, ``closing`` or ``done``.
        data: see below for each kind.

    ``start``: run, experts, tasks, particles, settings (a `SearchConfig` as a dict), training (in
    words), dev_items, evaluations_planned.
    ``note``: text. ``training``: share of the training that is done, in 0..1. ``fitting``: the model
    that is trained, and part, its fold and step in words. ``scoring``: model, split. ``reading``: done
    and texts, the texts of the model under way that are scored, and their number.
    ``trial``: an evaluation outside the search: phase (``letter``), iteration, particle, value, n,
    seconds, coefficients. ``evaluation``: the same for one in the search, and best, evaluations,
    under_way (evaluations that workers do at the moment; 0 without workers).
    ``replayed``: the same for one from a resumed run's journal. ``iteration``: iteration, best,
    evaluations, under_way. ``closing``: the search has ended, and its result is scored on all
    splits. ``done``: result.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore an event."""


def note(text: str) -> Event:
    """An event with a sentence."""
    return Event("note", {"text": text})


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    Example:
        >>> duration(75.2), duration(3 * 3600 + 62)
        ('1:15', '3:01:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


def mixture_text(coefficients: Mapping[str, float]) -> str:
    """The mixture on one line, without weights that are rounded to 0; "the base model" if all are.

    Example:
        >>> mixture_text({"instruct": -0.61, "banking": 0.63, "math": 0.02, "code": 0.0}), mixture_text({"math": 1.0})
        ('0.63 banking - 0.61 instruct + 0.02 math', '1.00 math')
        >>> mixture_text({"math": 0.0})
        'the base model'
    """
    used = sorted(coefficients.items(), key=lambda pair: -abs(pair[1]))
    shown = [f"{weight:.2f} {name}" for name, weight in used if round(weight, 2)]
    return " + ".join(shown).replace("+ -", "- ") or "the base model"
