"""Members that share only randomised votes: what privacy costs a group.

Each vote over K options is kept with probability q = e^epsilon / (e^epsilon + K - 1), else replaced by another option
drawn uniformly (k-ary randomised response: Warner 1965; Kairouz, Oh and Viswanath 2014, arXiv 1407.1338). Whatever a
member would have said, no vote is more than e^epsilon times as likely: epsilon-local differential privacy, per item.

This measures the cost: the noise is drawn here, from a seed that is no secret. To be protected, a member draws its own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NoReturn

from pyswarmopt_groups.members.protocol import Answer, Member, RefusingMember
from pyswarmopt_groups.responses import read_ballot
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.tasks import Item, Scoring


def kept(epsilon: float, options: int) -> float:
    """The probability that a vote over so many options is kept.

    Example:
        >>> round(kept(math.log(3), 4), 3), kept(0.0, 4)
        (0.5, 0.25)
    """
    return 1.0 / (1.0 + (options - 1) * math.exp(-epsilon))


class PrivateMember(RefusingMember):
    """A `Member` whose votes over options are randomised and which gives nothing else.

    The same question always gets the same vote, so that asking again reveals nothing more. An abstention would tell
    something, too: it becomes a vote for a uniformly drawn option.

    Args:
        member: answers in truth.
        epsilon: of each vote, at least 0; 0 is uniform noise.
        seed: of the noise.
    """

    def __init__(self, member: Member, epsilon: float, seed: int = 0) -> None:
        super().__init__(member.name, f"{member.fingerprint} epsilon {epsilon} {seed}")
        self._member, self._epsilon, self._seed = member, epsilon, seed

    def answer(self, items: Sequence[Item], scoring: Scoring, template: str | None = None) -> list[Answer]:
        """See `Member`; without scores.

        Raises:
            InvalidOption: an item has no options.
        """
        without = next((item.id for item in items if item.choices is None), None)
        if without is not None:
            raise InvalidOption("epsilon", self._epsilon, f"randomises votes over options, item {without} has none")
        truth = self._member.answer(items, scoring, template)
        return [Answer(self._vote(item, one.text), one.tokens) for item, one in zip(items, truth, strict=True)]

    def _vote(self, item: Item, text: str) -> str:
        letters, ballot = list(item.choices or {}), read_ballot(item, text)
        rng = random.Random(repr([self._seed, self._member.fingerprint, item.question, item.choices]))
        if ballot is None:
            return rng.choice(letters)
        if rng.random() < kept(self._epsilon, len(letters)):
            return ballot
        return rng.choice([letter for letter in letters if letter != ballot])

    def refuse(self) -> NoReturn:
        """See `RefusingMember`."""
        raise InvalidOption("epsilon", self._epsilon, f"{self.name} shares nothing but votes; choose another strategy")
