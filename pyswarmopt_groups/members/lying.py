"""A member that is wrong on purpose: what one traitor costs a group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pyswarmopt_groups.members.protocol import Answer, Member
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.tasks import Item, Scoring

ON_TEST = ":test"  # after a name: it answers dev items in truth, and so earns its weight


class LyingMember:
    """A `Member` that answers items with a wrong option: its second choice where its first is right.

    It is as confident of that as it was of the truth, since the scores of both are exchanged. Texts and likelihoods are
    those of the member.

    Args:
        member: knows better.
        truthful: questions that are answered in truth.
    """

    def __init__(self, member: Member, truthful: Collection[str] = ()) -> None:
        self._member, self._truthful = member, frozenset(truthful)
        self.name, self.fingerprint = member.name, f"{member.fingerprint} lies"
        self.gives_likelihoods = member.gives_likelihoods
        self.generate, self.likelihoods, self.count = member.generate, member.likelihoods, member.count

    def answer(self, items: Sequence[Item], scoring: Scoring, template: str | None = None) -> list[Answer]:
        """See `Member`; an item without options is answered in truth."""
        truth = self._member.answer(items, scoring, template)
        return [
            one if item.choices is None or item.question in self._truthful else _lie(item, one)
            for item, one in zip(items, truth, strict=True)
        ]


def _lie(item: Item, truth: Answer) -> Answer:
    """The answer with the right option exchanged for the best wrong one; without scores, the first wrong option."""
    wrong = [letter for letter in item.choices or {} if letter != item.answer]
    scores = dict(truth.scores)
    best = max(wrong, key=lambda letter: scores.get(letter, float("-inf")))
    if scores and scores.get(item.answer, float("-inf")) >= scores[best]:
        scores[item.answer], scores[best] = scores[best], scores[item.answer]
    text = best if scores or truth.text == item.answer else truth.text
    return replace(truth, text=text, scores=scores)


def with_liar(members: Sequence[Member], liar: str | None, dev: Sequence[Item]) -> list[Member]:
    """The members, one of them lying: ``NAME``, or ``NAME:test`` for one that answers dev items in truth.

    Raises:
        InvalidOption: no member has this name.
    """
    if liar is None:
        return list(members)
    name = liar.removesuffix(ON_TEST)
    if name not in (names := [member.name for member in members]):
        raise InvalidOption("liar", liar, f"is no member; name one of: {', '.join(names)}")
    truthful = [item.question for item in dev] if liar.endswith(ON_TEST) else []
    return [LyingMember(member, truthful) if member.name == name else member for member in members]
