"""Members that lie, and members that share only randomised votes: the cost of a traitor, and of
privacy.

Each vote over K options is kept with probability q = e^epsilon / (e^epsilon + K - 1), else replaced
by another option drawn uniformly (k-ary randomised response: Warner 1965; Kairouz, Oh and Viswanath
2014, arXiv 1407.1338). Whatever the member's true vote, no vote is more than e^epsilon times as
likely: epsilon-local differential privacy, per item. This measures only the cost: the noise has a
public seed. Real protection needs a member's own noise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NoReturn

from pyswarmopt_groups.members.protocol import Answer, Member
from pyswarmopt_groups.reading import read_ballot
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item

ON_TEST = ":test"  # after a name: it answers dev items in truth, and so earns its weight


class LyingMember(Member):
    """A `Member` that gives a wrong option: its second choice if its first is right.

    Its confidence stays the same, since both scores are exchanged. Texts and likelihoods are the
    member's.

    Args:
        member: the truthful member.
        truthful: questions to answer truthfully.
    """

    def __init__(self, member: Member, truthful: Collection[str] = ()) -> None:
        super().__init__(member.name, f"{member.fingerprint} lies")
        self.member = member
        self._truthful = frozenset(truthful)
        self.gives_likelihoods = member.gives_likelihoods
        self.generate = member.generate  # type: ignore[method-assign]
        self.likelihoods = member.likelihoods  # type: ignore[method-assign]
        self.count = member.count  # type: ignore[method-assign]

    def answer(
        self, items: Sequence[Item], answer_format: AnswerFormat, template: str | None = None
    ) -> list[Answer]:
        """See `Member`; items without options are answered truthfully."""
        truth = self.member.answer(items, answer_format, template)
        answers = []
        for item, answer in zip(items, truth, strict=True):
            if item.choices is not None and item.question not in self._truthful:
                answer = _lie(item, answer)
            answers.append(answer)
        return answers


def _lie(item: Item, truth: Answer) -> Answer:
    """The answer with the right option exchanged for the best wrong one; without scores, for the
    first wrong option.
    """
    wrong = [letter for letter in item.letters if letter != item.answer]
    if truth.scores:
        scores = dict(truth.scores)
        best = max(wrong, key=lambda letter: scores[letter])
        if scores[item.answer] >= scores[best]:
            scores[item.answer], scores[best] = scores[best], scores[item.answer]
        return replace(truth, text=best, scores=scores)
    if read_ballot(item, truth.text) == item.answer:
        return replace(truth, text=wrong[0])
    return truth


def with_liar(members: Sequence[Member], liar: str | None, dev: Sequence[Item]) -> list[Member]:
    """The members with one liar: ``NAME``, or ``NAME:test`` for a liar that answers dev items
    truthfully.

    Raises:
        InvalidOption: no member has this name.
    """
    changed = list(members)
    if liar is None:
        return changed
    names = [member.name for member in members]
    name = liar.removesuffix(ON_TEST)
    if name not in names:
        raise InvalidOption("liar", liar, f"is not a member; use one of: {', '.join(names)}")
    truthful = []
    if liar.endswith(ON_TEST):
        truthful = [item.question for item in dev]
    k = names.index(name)
    changed[k] = LyingMember(members[k], truthful)
    return changed


def kept(epsilon: float, options: int) -> float:
    """The probability of keeping a vote over this number of options.

    Example:
        >>> round(kept(math.log(3), 4), 3), kept(0.0, 4)
        (0.5, 0.25)
    """
    return 1.0 / (1.0 + (options - 1) * math.exp(-epsilon))


class PrivateMember(Member):
    """A `Member` with randomised votes over options, and no other output.

    The same question always gets the same vote, so asking again reveals nothing more. An abstention
    would also reveal something: it becomes a vote for a uniformly drawn option.

    Args:
        member: the truthful member.
        epsilon: privacy loss of each vote, at least 0; 0 is uniform noise.
        seed: seed of the noise.
    """

    def __init__(self, member: Member, epsilon: float, seed: int = 0) -> None:
        super().__init__(member.name, f"{member.fingerprint} epsilon {epsilon} {seed}")
        self._member = member
        self._epsilon = epsilon
        self._seed = seed

    def answer(
        self, items: Sequence[Item], answer_format: AnswerFormat, template: str | None = None
    ) -> list[Answer]:
        """See `Member`; without scores. All items must have options."""
        truth = self._member.answer(items, answer_format, template)
        pairs = zip(items, truth, strict=True)
        return [Answer(self._vote(item, answer.text), answer.tokens) for item, answer in pairs]

    def _vote(self, item: Item, text: str) -> str:
        letters = item.letters
        ballot = read_ballot(item, text)
        seed = [self._seed, self._member.fingerprint, item.question, item.choices]
        rng = random.Random(repr(seed))
        if ballot is not None:
            if rng.random() < kept(self._epsilon, len(letters)):
                return ballot
            letters.remove(ballot)
        return rng.choice(letters)

    def refuse(self) -> NoReturn:
        """See `Member`."""
        why = f": with this option {self.name} shares only votes; choose another strategy"
        raise InvalidOption("epsilon", self._epsilon, why)
