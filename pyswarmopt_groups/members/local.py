"""Members in this process: models, and adapters on a shared base."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from pyswarmopt_groups.members.protocol import (
    GREEDY,
    Answer,
    Likelihood,
    Member,
    Pair,
    Sampling,
    Texts,
)
from pyswarmopt_llm.common.files.regular import storable
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, chat_prompt


class SharedBase:
    """A base shared by several members; a patch is loaded only when the member changes.

    Args:
        engine: engine of the base, used only by these members.
    """

    def __init__(self, engine: TransformersEngine) -> None:
        self.engine = engine
        self._patch: Patch | None = None

    def load(self, patch: Patch) -> TransformersEngine:
        """The engine with `patch` loaded."""
        if patch is not self._patch:
            self._patch = None  # in case the merge is interrupted
            self.engine.load(patch)
            self._patch = patch
        return self.engine


class LocalMember(Member):
    """A `Member` on a `SharedBase`.

    Args:
        name: name of the member.
        fingerprint: fingerprint of weights and tokenizer.
        base: base, possibly shared with other members.
        patch: difference from the base.
    """

    gives_likelihoods = True

    def __init__(self, name: str, fingerprint: str, base: SharedBase, patch: Patch) -> None:
        super().__init__(name, fingerprint)
        self.base = base
        self._patch = patch

    def room(self, turns: Sequence[str]) -> int | None:
        """Tokens of its context window beside the longest of these user turns; None if unknown."""
        model = self.base.engine
        if model.window is None:
            return None
        return model.window - max(model.count_tokens(model.chat(turn)) for turn in turns)

    def answer(
        self, items: Sequence[Item], answer_format: AnswerFormat, template: str | None = None
    ) -> list[Answer]:
        """The option with the highest score, or a written text."""
        if answer_format == "generate":
            return super().answer(items, answer_format, template)
        engine = self.base.load(self._patch)
        answers = []
        accuracy = Accuracy(items, answer_format, engine.chat, template)
        for item, scores in zip(items, accuracy.option_scores(engine), strict=True):
            tokens = tokens_read(engine, item, answer_format, template)
            answer = Answer("", tokens)  # it abstains after an overflow, as in float16
            if all(map(math.isfinite, scores.values())):
                best = max(scores, key=lambda letter: scores[letter])
                answer = Answer(best, tokens, scores)
            answers.append(answer)
        return answers

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """Greedy texts, or `n` samples per prompt.

        Raises:
            UserError: a prompt does not fit.
        """
        engine = self.base.load(self._patch)
        chats = [engine.chat(prompt) for prompt in prompts]
        draws: list[Draw | None] = [None]
        if how.temperature:
            draws = [Draw(how.temperature, _seeds(chats, how.seed, k)) for k in range(how.n)]
        samples = [engine.generate(chats, self.longest(how), draw) for draw in draws]
        replies = []
        for chat, *written in zip(chats, *samples, strict=True):
            texts = tuple(map(storable, written))
            turn = engine.count_tokens(chat)
            replies.append(Texts(texts, len(texts) * turn + sum(map(self.count, texts))))
        return replies

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Scores from the engine."""
        engine = self.base.load(self._patch)
        requests = [(engine.chat(user), text) for user, text in pairs]
        return [
            Likelihood(value, self.count(context), self.count(text))
            for value, (context, text) in zip(engine.loglikelihood(requests), requests, strict=True)
        ]

    def count(self, text: str) -> int:
        """Tokens in its own tokenizer."""
        return count_tokens(self.base.engine, text)


def _seeds(prompts: Sequence[str], seed: int, sample: int) -> tuple[int, ...]:
    """Seeds of a sample's texts; repeated prompts get different ones."""
    draws = {prompt: random.Random(f"{seed} {sample} {prompt}") for prompt in prompts}
    return tuple(draws[prompt].getrandbits(63) for prompt in prompts)


def tokens_read(
    model: TransformersEngine, item: Item, answer_format: AnswerFormat, template: str | None = None
) -> int:
    """Tokens read for an answer: the user turn, and with ``likelihood`` the options."""
    turn = model.count_tokens(chat_prompt(item, answer_format, model.chat, template))
    texts = item.options if answer_format == "likelihood" else ()
    return turn + sum(count_tokens(model, text) for text in texts)


def count_tokens(model: TransformersEngine, text: str) -> int:
    """Tokens of a text that the model reads or writes, without special tokens."""
    return len(model.tokenizer(text, add_special_tokens=False)["input_ids"])
