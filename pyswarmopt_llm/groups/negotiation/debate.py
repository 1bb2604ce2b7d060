"""Rounds in which several speakers answer simultaneously, each with arguments of the round before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyswarmopt_llm.groups.members.protocol import Member
from pyswarmopt_llm.groups.responses import read_ballot
from pyswarmopt_llm.tasks import Item

Argument = tuple[str | None, str]  # ballot and wording


class Debate:
    """The arguments on one item.

    Attributes:
        item: the item.
        rounds: per round one argument per speaker; while a round is under way, the last has those made so far.
        tokens: cost so far.
    """

    def __init__(self, item: Item) -> None:
        self.item, self.tokens = item, 0
        self.rounds: list[list[Argument]] = []

    @property
    def ballots(self) -> list[list[str | None]]:
        """Per round each speaker's ballot."""
        return [[ballot for ballot, _ in arguments] for arguments in self.rounds]

    def before(self, speaker: int) -> tuple[Argument, list[Argument]]:
        """A speaker's own argument of the previous round, and those of the others."""
        others = list(self.rounds[-2])
        return others.pop(speaker), others


def hold_round(debates: Sequence[Debate], speakers: Sequence[Member], prompt: Callable[[Debate, int], str]) -> None:
    """One more round of each debate.

    Args:
        debates: to continue.
        speakers: members; one may speak several times.
        prompt: the user turn of speaker number k in a debate.
    """
    for debate in debates:
        debate.rounds.append([])
    for k, member in enumerate(speakers):
        replies = member.generate([prompt(debate, k) for debate in debates])
        for debate, reply in zip(debates, replies, strict=True):
            text = reply.texts[0].strip()
            debate.rounds[-1].append((read_ballot(debate.item, text), text))
            debate.tokens += reply.tokens


__all__ = ["Argument", "Debate", "hold_round"]
