"""Members that are programs: they read the prompts of votes and negotiations, and words are tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pyswarmopt_groups.members.protocol import (
    GREEDY,
    Answer,
    Likelihood,
    Pair,
    Sampling,
    Texts,
)
from pyswarmopt_llm.scores.tasks import Item, Scoring, render_prompt

OWN, OTHERS = "Your answer so far: ", "Somebody else says: "


class Program:
    """A `Member` that replies by a rule; `_reply` is the rule.

    Args:
        name: see `Member`.
        fingerprint: see `Member`.
    """

    gives_likelihoods = False

    def __init__(self, name: str, fingerprint: str) -> None:
        self.name, self.fingerprint = name, fingerprint

    def answer(
        self, items: Sequence[Item], scoring: Scoring, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        said = self.generate([render_prompt(item, "generate", template) for item in items])
        return [Answer(reply.texts[0], reply.tokens) for reply in said]

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """See `Member`; a sample differs in what it guesses."""
        replies = []
        for prompt in prompts:
            texts = tuple(self._sample(prompt, f"{how.seed} {sample}") for sample in range(how.n))
            replies.append(Texts(texts, self.count(prompt) + sum(map(self.count, texts))))
        return replies

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """See `Member`."""
        raise NotImplementedError("this member only speaks")

    def count(self, text: str) -> int:
        """Words."""
        return len(text.split())

    def _sample(self, prompt: str, sample: str) -> str:
        return self._reply(prompt, random.Random(f"{self.name} {prompt} {sample}"))

    def _reply(self, prompt: str, rng: random.Random) -> str:
        raise NotImplementedError


def arguments(prompt: str) -> tuple[str, list[str]]:
    """What a prompt of a later turn says of the reader's own answer (blank for none), and the
    arguments of others.

    Example:
        >>> arguments("Which?\\nYour answer so far: a\\nSomebody else says: b")
        ('a', ['b'])
    """
    lines = prompt.splitlines()
    own = [line.removeprefix(OWN) for line in lines if line.startswith(OWN)]
    others = [line.removeprefix(OTHERS) for line in lines if line.startswith(OTHERS)]
    return (own[0] if own else ""), others
