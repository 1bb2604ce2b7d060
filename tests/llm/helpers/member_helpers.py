"""Members that say what a test wants, and rooms of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.protocol import GREEDY, Answer, Likelihood, Member, Sampling, Texts
from pyswarmopt_llm.scores.tasks import Item, Task

COLOURS = "red blue green".split()
ANSWER, TEXT, CONTEXT, REPLY = 10, 7, 4, 1  # what each costs in tokens


def quiz(right: str, dev: int, options: int | None = None) -> tuple[Item, ...]:
    """Items whose options are colours; the number of an item is in its question."""
    k = options or max(len(set(right)), 2)
    choices = dict(zip("ABC", COLOURS[:k], strict=False))
    return tuple(Item(str(i), f"Question {i}?", choices, letter) for i, letter in enumerate(right))


class Scripted:
    """A `Member` with prepared answers.

    Args:
        name: its name.
        scores: per item its probabilities of the options, by the number in the question; NaN
            abstains.
        answers: per item what it writes instead.
        writes: prompt -> text.
        samples: the texts of every request for samples.
        prefers: two texts -> log P("A") - log P("B").
        logprobs: pair -> log-likelihood.
    """

    def __init__(
        self,
        name: str,
        scores: Sequence[Sequence[float]] = (),
        answers: Sequence[str] = (),
        writes: Callable[[str], str] | None = None,
        samples: Sequence[str] = (),
        prefers: Callable[[str, str], float] | None = None,
        logprobs: Callable[[str, str], float] | None = None,
        gives_scores: bool = True,
    ) -> None:
        self.name = self.fingerprint = name
        self._scores, self._answers, self._writes, self._samples = scores, answers, writes, samples
        self._prefers, self._logprobs, self._gives_scores = prefers, logprobs, gives_scores
        self.gives_likelihoods = bool(prefers or logprobs)
        self.asked: list[tuple[str, str]] = []
        self.prompts: list[str] = []

    def answer(
        self, items: Sequence[Item], scoring: Any, template: str | None = None
    ) -> list[Answer]:
        return [self._answer(item) for item in items]

    def _answer(self, item: Item) -> Answer:
        number = int(item.id)
        if self._answers:
            return Answer(self._answers[number], ANSWER)
        row = self._scores[number]
        if math.isnan(row[0]):
            return Answer("", ANSWER)
        scores = {letter: math.log(p) for letter, p in zip(item.choices or {}, row, strict=True)}
        best = max(scores, key=lambda letter: scores[letter])
        return Answer(best, ANSWER, scores if self._gives_scores else {})

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        self.prompts += prompts
        if self._samples:
            return [Texts(tuple(self._samples[: how.n]), how.n * TEXT) for _ in prompts]
        assert self._writes is not None or not prompts, "nothing to write"
        return [Texts((self._writes(prompt),) * how.n, TEXT) for prompt in prompts]  # type: ignore[misc]

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        self.asked += pairs
        return [Likelihood(self._logprob(user, text), CONTEXT, REPLY) for user, text in pairs]

    def _logprob(self, user: str, text: str) -> float:
        if self._prefers is not None:
            a, b = re.findall(r"^Answer [AB]: (.*)$", user, re.MULTILINE)
            return self._prefers(a, b) / 2 * (1 if text == "A" else -1)
        assert self._logprobs is not None
        return self._logprobs(user, text)

    def count(self, text: str) -> int:
        return len(text.split())


def context_of(
    probabilities: Mapping[str, Sequence[Sequence[float]]],
    right: str,
    dev: int,
    *,
    items: Sequence[Item] | None = None,
    without_scores: Sequence[str] = (),
    judge: Member | None = None,
) -> GroupContext:
    """Members by their probabilities, and a task whose first `dev` items are dev."""
    asked = tuple(
        items
        or quiz(right, dev, len(next(iter(probabilities.values()))[0]) if probabilities else None)
    )
    task = Task("quiz", asked[:dev], asked[dev:])
    members: list[Member] = [
        Scripted(name, rows, gives_scores=name not in without_scores)
        for name, rows in probabilities.items()
    ]
    return GroupContext([judge, *members] if judge else members, task, "letter")
