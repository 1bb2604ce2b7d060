"""The answers of all members to some items, as input of votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, Ints
from pyswarmopt_groups.members.protocol import Answer
from pyswarmopt_groups.reading import is_right, read_ballot
from pyswarmopt_llm.scores.tasks import Item


@dataclass(eq=False)
class Responses:
    """The answers of n members to some items: one answer per member and item."""

    items: Sequence[Item]
    answers: Sequence[Sequence[Answer]]

    @cached_property
    def ballots(self) -> list[list[str | None]]:
        """Each member's vote on each item: a letter if there are choices, else its text; None for
        an abstention.
        """
        by_item = zip(*self.answers, strict=True)
        pairs = zip(self.items, by_item, strict=True)
        return [[read_ballot(item, answer.text) for answer in given] for item, given in pairs]

    @cached_property
    def right(self) -> Bools:
        """Whether each member answers each item correctly, (n, items)."""
        pairs = zip(self.items, self.ballots, strict=True)
        rows = [[is_right(item, ballot) for ballot in ballots] for item, ballots in pairs]
        return np.array(rows, dtype=np.bool_).T

    @cached_property
    def tokens(self) -> Ints:
        """Cost of each answer in tokens, (n, items)."""
        return np.array([[answer.tokens for answer in row] for row in self.answers])

    @cached_property
    def costs(self) -> Ints:
        """Tokens of all members' answers to each item, (items,)."""
        return np.asarray(self.tokens.sum(axis=0))

    def scores(self, member: int) -> Floats | None:
        """A member's option scores, (items, most options): -inf past an item's last option, zeros
        for an abstention.

        None if the member gives no scores, or an item has no choices.
        """
        answers = self.answers[member]
        letters = [item.letters for item in self.items]
        if not all(letters) or not any(answer.scores for answer in answers):
            return None
        scores = np.full((len(letters), max(map(len, letters))), -np.inf)
        for row, options, answer in zip(scores, letters, answers, strict=True):
            row[: len(options)] = [answer.scores.get(letter, 0.0) for letter in options]
        return scores
