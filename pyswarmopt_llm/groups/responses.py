"""What every member says to every item, asked once: from it all votes are arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.groups.members.protocol import Answer
from pyswarmopt_llm.tasks import Item, extract_choice, is_correct

Array = NDArray[np.float64]


class Sheet:
    """The answers of n members to some items.

    Args:
        items: what was asked.
        names: of the members.
        answers: per member one answer per item.
    """

    def __init__(self, items: Sequence[Item], names: Sequence[str], answers: Sequence[Sequence[Answer]]) -> None:
        self.items, self.names, self.answers = tuple(items), tuple(names), [list(row) for row in answers]

    @cached_property
    def ballots(self) -> list[list[str | None]]:
        """Per item what each member votes for: a letter where there are choices, else its text; None abstains."""
        return [[read_ballot(item, row[i].text) for row in self.answers] for i, item in enumerate(self.items)]

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each member answers each item rightly, (n, items)."""
        rows = [
            [is_right(item, ballots[k]) for item, ballots in zip(self.items, self.ballots, strict=True)]
            for k in range(len(self.names))
        ]
        return np.array(rows, dtype=np.bool_).reshape(len(self.names), len(self.items))

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """What each answer cost, (n, items)."""
        return np.array([[answer.tokens for answer in row] for row in self.answers], dtype=np.int64)

    def scores(self, member: int) -> Array | None:
        """A member's option scores, (items, most options), -inf behind an item's last option, zeros for an abstention.

        None where it gives none, or an item has no choices.
        """
        width = max((len(item.choices or {}) for item in self.items), default=0)
        if not self.gives_scores(member):
            return None
        found = np.full((len(self.items), width), -np.inf)
        for i, (item, answer) in enumerate(zip(self.items, self.answers[member], strict=True)):
            letters = list(item.choices or {})
            found[i, : len(letters)] = [answer.scores.get(letter, 0.0) for letter in letters]
        return found

    def gives_scores(self, member: int) -> bool:
        """Whether a member gives scores to options; one that has none for some items abstained there."""
        return all(item.choices for item in self.items) and any(answer.scores for answer in self.answers[member])


def read_ballot(item: Item, text: str) -> str | None:
    """What an answer counts for: the letter that it names, else the text without spaces around it; None if blank.

    Example:
        >>> item = Item("1", "Two plus two?", {"A": "four", "B": "five"}, "A")
        >>> read_ballot(item, "(B)"), read_ballot(item, "who knows"), read_ballot(Item("2", "?", None, "x"), " y ")
        ('B', None, 'y')
    """
    if item.choices is None:
        return text.strip() or None
    return text if text in item.choices else extract_choice(text, item.choices)


def is_right(item: Item, ballot: str | None) -> bool:
    """Whether a ballot is the right answer; an abstention is not."""
    if ballot is None:
        return False
    return ballot == item.answer if item.choices else is_correct(item, ballot)


__all__ = ["Sheet", "is_right", "read_ballot"]
