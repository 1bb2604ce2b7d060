"""What a member of a group can be asked, whatever runs it: a model here, an adapter on a shared base, an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks import Item, Scoring

# Tokens are what was read and written for one request, each context counted once for all its options.


Pair = tuple[str | None, str]


class MemberDown(UserError):
    """A member does not answer, now or at all; what others have said is kept."""


@dataclass(frozen=True)
class Answer:
    """What a member says to an item.

    Attributes:
        text: the letter it chose, or what it wrote; blank for none.
        tokens: what it cost.
        scores: letter -> natural-log score by which options are compared; empty where the member gives none.
    """

    text: str
    tokens: int
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Texts:
    """What a member writes to a prompt: one text, or several samples, and what they cost together."""

    texts: tuple[str, ...]
    tokens: int


@dataclass(frozen=True)
class Likelihood:
    """How likely a text is after a context.

    Attributes:
        logprob: natural log of its probability, summed over its tokens.
        context: tokens of the context.
        reply: tokens of the text.
    """

    logprob: float
    context: int
    reply: int

    @property
    def tokens(self) -> int:
        """What it cost by itself."""
        return self.context + self.reply


def shared_cost(said: Sequence[Likelihood]) -> int:
    """Tokens of several texts after one context, which is read once.

    Example:
        >>> shared_cost([Likelihood(-1.0, 10, 1), Likelihood(-2.0, 10, 3)])
        14
    """
    return max((one.context for one in said), default=0) + sum(one.reply for one in said)


class Member(Protocol):
    """One voice of a group.

    Attributes:
        name: short, unique in its group.
        fingerprint: changes with whatever may change its answers.
        gives_likelihoods: whether it can be asked for them.
    """

    name: str
    fingerprint: str
    gives_likelihoods: bool

    def answer(self, items: Sequence[Item], scoring: Scoring, template: str | None = None) -> list[Answer]:
        """What it says to each item; a member that gives no probabilities writes, whatever the scoring."""

    def generate(
        self, prompts: Sequence[str], n: int = 1, temperature: float = 0.0, seed: int = 0, max_new_tokens: int = 128
    ) -> list[Texts]:
        """`n` texts to each user turn; greedy at temperature 0.

        The same prompt and seed give the same texts, whatever is asked with them (an endpoint is only asked to).
        """

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """For each (user turn, reply) how likely the member would say it; for (None, text) that a user would.

        Raises:
            UserError: the member gives no likelihoods.
        """

    def count(self, text: str) -> int:
        """Tokens of a text, for budgets."""


__all__ = ["Answer", "Likelihood", "Member", "MemberDown", "Pair", "Texts", "shared_cost"]
