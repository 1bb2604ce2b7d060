"""A group's member, however it runs: a local model, an adapter on a shared base, an endpoint.

Tokens are the tokens read and written for a request; a context counts once for all its options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, render_prompt

Pair = tuple[str, str]  # user turn and reply


class MemberDown(UserError):
    """A member does not respond, temporarily or permanently; responses so far are kept."""


@dataclass(frozen=True)
class Answer:
    """A member's answer to an item.

    Attributes:
        text: the chosen letter, or the text; blank for no answer.
        tokens: cost in tokens.
        scores: letter -> natural-log score of the option; empty without scores.
    """

    text: str
    tokens: int
    scores: Mapping[str, float] = field(default_factory=dict)


BLANK = Answer("", 0)


@dataclass(frozen=True)
class Texts:
    """The texts generated for a prompt, one or several samples, and their total cost."""

    texts: tuple[str, ...]
    tokens: int

    @property
    def text(self) -> str:
        """The first text, stripped."""
        return self.texts[0].strip()


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of a text after a context.

    Attributes:
        logprob: natural log of its probability, summed over its tokens.
        context: tokens of the context.
        reply: tokens of the text.
    """

    logprob: float
    context: int
    reply: int


def shared_cost(likelihoods: Sequence[Likelihood]) -> int:
    """Tokens of several texts after a common context, which is read once.

    Example:
        >>> shared_cost([Likelihood(-1.0, 10, 1), Likelihood(-2.0, 10, 3)])
        14
    """
    context = max((likelihood.context for likelihood in likelihoods), default=0)
    return context + sum(likelihood.reply for likelihood in likelihoods)


@dataclass(frozen=True)
class Sampling:
    """Settings of generation: `n` texts per prompt; at temperature 0 a greedy one. Texts are never
    longer than a member's `reply_tokens`.
    """

    n: int = 1
    temperature: float = 0.0
    seed: int = 0
    max_new_tokens: int | None = None


GREEDY = Sampling()


class Member:
    """A member of a group; it refuses unsupported requests.

    Args:
        name: short name, unique in its group.
        fingerprint: changes with everything that may change its answers.

    Attributes:
        gives_likelihoods: whether `likelihoods` is available.
        reply_tokens: longest text that it writes, in tokens.
    """

    gives_likelihoods = False
    reply_tokens = MAX_NEW_TOKENS

    def __init__(self, name: str, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint

    def refuse(self) -> NoReturn:
        """Raise an error that says why there is no response."""
        raise NotImplementedError

    def longest(self, how: Sampling) -> int:
        """Maximum number of tokens in a text."""
        return min(how.max_new_tokens or self.reply_tokens, self.reply_tokens)

    def answer(
        self, items: Sequence[Item], answer_format: AnswerFormat, template: str | None = None
    ) -> list[Answer]:
        """Answers to items; a member without likelihoods writes text, whatever the format. Choices
        are then shown with letters.
        """
        replies = self.generate([render_prompt(item, "generate", template) for item in items])
        return [Answer(reply.text, reply.tokens) for reply in replies]

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """Texts for each user turn.

        The texts depend only on prompt and seed, not on the rest of the batch (an endpoint may
        ignore the seed).
        """
        return [self.refuse() for _ in prompts]

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """The likelihood of the reply in each (user turn, reply)."""
        return [self.refuse() for _ in pairs]

    def count(self, text: str) -> int:
        """Number of tokens of a text, for budgets."""
        self.refuse()
