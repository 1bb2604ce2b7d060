"""A text read as a vote on an item, and whether the vote is right."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.answers import check, extract_choice


def read_ballot(item: Item, text: str) -> str | None:
    """A text as a vote: the letter it names, or for an open question the stripped text; None for an
    abstention.

    Example:
        >>> item = Item("1", "Two plus two?", {"A": "four", "B": "five"}, "A")
        >>> read_ballot(item, "(B)"), read_ballot(item, "who knows"), read_ballot(Item("2", "?", None, "x"), " y ")
        ('B', None, 'y')
    """
    if item.choices is None:
        return text.strip() or None
    if text in item.choices:
        return text
    return extract_choice(text, item.choices)


def rights(items: Sequence[Item], answers: Sequence[str | None]) -> list[float]:
    """1 for each correct answer, else 0."""
    return list(map(float, map(is_right, items, answers)))


def is_right(item: Item, ballot: str | None) -> bool:
    """Whether a vote is the correct answer; an abstention is not."""
    if item.choices or ballot is None:
        return ballot == item.answer
    return check(item, ballot) is True
