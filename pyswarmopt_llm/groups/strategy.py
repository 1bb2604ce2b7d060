"""What a strategy of a group is: fitted in a room, it gives a verdict on each item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.tasks import Item

Decide = Callable[[Sequence[Item]], list[Verdict]]


@dataclass(frozen=True)
class Strategy:
    """One way in which a group comes to an answer.

    Attributes:
        name: as in ``--strategy``.
        source: author, year, arXiv number or journal.
        fit: looks at dev where it has to, and returns what decides items.
        dev: whether it looks at dev.
        choices: whether items must have choices.
        likelihoods: whether every member must give likelihoods.
        embeds: whether questions are embedded, which takes a model in this process.
        extra: the setting that it cannot do without.
        tolerant: whether it goes on though members fail.
        measure: further figures of a split, for its row of the result.
    """

    name: str
    source: str
    fit: Callable[[Room], Decide]
    dev: bool = False
    choices: bool = False
    likelihoods: bool = False
    embeds: bool = False
    extra: str | None = None
    tolerant: bool = False
    measure: Callable[[Sequence[Item], Sequence[Verdict]], dict[str, Any]] | None = None


__all__ = ["Decide", "Strategy"]
