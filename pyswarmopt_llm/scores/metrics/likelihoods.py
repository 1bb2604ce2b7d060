"""Utilities by likelihoods: of true answers (TruthfulQA) and of reference texts (perplexity)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.accuracy import at
from pyswarmopt_llm.scores.metrics.questions.written import Chat
from pyswarmopt_llm.scores.tasks import Item, chat_prompt


class Truthfulness:
    """A `Utility`: the probability mass on true answers (TruthfulQA MC2; Lin et al. 2022, section
    3.2).

    Per item the sum over true answers of P(answer | question), divided by the sum over all answers;
    P is the likelihood of the whole text. ``right`` of an item lists the letters of its true
    answers; default: `answer`.
    """

    def __init__(self, items: Sequence[Item], chat: Chat, template: str | None = None) -> None:
        self.items = tuple(items)
        self._contexts = [chat_prompt(item, "likelihood", chat, template) for item in self.items]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Each question with each of its answers."""
        for item, context in zip(self.items, self._contexts, strict=True):
            for text in (item.choices or {}).values():
                yield item, context + text, 0

    def __call__(self, engine: Engine, places: Sequence[int] | None = None) -> Score:
        """Score all items, or those at these places; see `Utility`."""
        items, contexts = at(self.items, places), at(self._contexts, places)
        pairs = [
            (context, text)
            for item, context in zip(items, contexts, strict=True)
            for text in (item.choices or {}).values()
        ]
        logprobs = iter(engine.loglikelihood(pairs))
        rows = [{letter: next(logprobs) for letter in item.choices or {}} for item in items]
        return score_of(list(map(_share, items, rows)))


class InversePerplexity:
    """A `Utility`: 1 / perplexity per byte of the reference answers.

    Per byte, so that it does not depend on the tokenizer; the inverse, so that higher is better and
    values of several tasks can be averaged. Bits per byte are ``-log2(value)`` of an item; the
    utility is the mean over items.
    """

    def __init__(self, items: Sequence[Item], chat: Chat, template: str | None = None) -> None:
        self.items = tuple(items)
        self._pairs = [
            (chat_prompt(item, "generate", chat, template), item.answer_text) for item in self.items
        ]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Each question with its answer."""
        for item, (context, text) in zip(self.items, self._pairs, strict=True):
            yield item, context + text, 0

    def __call__(self, engine: Engine, places: Sequence[int] | None = None) -> Score:
        """Score all items, or those at these places; see `Utility`."""
        pairs = at(self._pairs, places)
        per_byte = [
            value / len(text.encode())
            for value, (_, text) in zip(engine.loglikelihood(pairs), pairs, strict=True)
        ]
        return score_of([_number(math.exp(value)) for value in per_byte])


def _share(item: Item, values: dict[str, float]) -> float:
    highest = max(values.values())
    weights = {letter: math.exp(value - highest) for letter, value in values.items()}
    right = item.meta.get("right", item.answer)
    return _number(sum(weights[letter] for letter in right) / sum(weights.values()))


def _number(value: float) -> float:
    """0 for NaN, the likelihood of a model that overflows in float16, for example."""
    return 0.0 if math.isnan(value) else value
