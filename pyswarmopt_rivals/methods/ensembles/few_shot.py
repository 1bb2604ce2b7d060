"""Few-shot prompting: the base sees some dev items with answers as earlier turns of the chat.

Brown et al. 2020, arXiv 2005.14165: the alternative to training or merging for users with labelled
examples. No expert takes part. For each k in {1, 2, 4, 8}, k dev items are drawn `DRAWS` times, or
as often as the budget allows, and the base answers the other dev items; the best k and examples are
kept, on a tie the earlier draw, then the smaller k. An item is scored only after examples with
another question or with entirely other options, so not after itself in other typography. The paper
shows 10 to 100 examples, as many as its window of 2,048 tokens holds, and draws them once; fewer
examples, and choosing among draws, are ours.

An evaluation counts as one item whatever the number of examples, since a common prefix is computed
once. The earliest examples are dropped if the context window is too small.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np

from pyswarmopt_groups.members.local import count_tokens
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS, Accuracy
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.scores.tasks.items import normalise
from pyswarmopt_llm.scores.words import words
from pyswarmopt_rivals.methods.ensembles.answerer import Answerer
from pyswarmopt_rivals.methods.method import Settings

SHOTS = (1, 2, 4, 8)
DRAWS = 10


@dataclass(frozen=True)
class Example:
    """An item that is shown with its answer.

    Attributes:
        words: words of its prompt without its options.
        options: the options' texts, normalised.
        turns: the question and the answer, as two turns of a chat.
    """

    words: list[str]
    options: set[str]
    turns: list[dict[str, str]]

    @classmethod
    def of(cls, item: Item, like: Accuracy) -> Example:
        """The example, asked and answered as the items of `like`."""
        answer = item.answer  # a letter where the prompt shows letters
        if like.answer_format == "likelihood":
            answer = item.answer_text
        turns = [
            {"role": "user", "content": render_prompt(item, like.answer_format, like.template)},
            {"role": "assistant", "content": answer},
        ]
        return cls(_words(item, like.template), _options(item), turns)

    def may_precede(self, words: list[str], options: set[str]) -> bool:
        """Whether it is not the question with these words, or has none of these options."""
        return self.words != words or bool(options and options.isdisjoint(self.options))


class FewShot(Answerer):
    """The base with some examples, using the answer format and template of `like`; the engine is left
    without a patch.
    """

    def __init__(
        self, engine: TransformersEngine, examples: Sequence[Item], like: Accuracy
    ) -> None:
        super().__init__(self._answer, models=1)
        self._engine = engine
        self._examples = [Example.of(item, like) for item in examples]

    def _answer(self, questions: Accuracy) -> list[str]:
        self._engine.load(Patch())
        return list(self.shown(questions)(self._engine).answers)

    def shown(self, questions: Accuracy) -> Accuracy:
        """The items after the examples, except the item itself or its twin."""
        room = 1  # a letter
        if questions.answer_format == "generate":
            room = MAX_NEW_TOKENS
        elif questions.answer_format == "likelihood":
            texts = [text for item in questions.items for text in item.options]
            room = max(count_tokens(self._engine, text) for text in texts)
        items = [self._after_examples(item, questions, room) for item in questions.items]
        return Accuracy(items, questions.answer_format, self._engine.chat, questions.template)

    def _after_examples(self, item: Item, questions: Accuracy, room: int) -> Item:
        """The item with earlier turns: the latest examples that leave room for `room` more tokens,
        none with the same question, unless all their options differ.
        """
        words = _words(item, questions.template)
        options = _options(item)
        examples = [each for each in self._examples if each.may_precede(words, options)]
        prompt = render_prompt(item, questions.answer_format, questions.template)
        most = (self._engine.window or math.inf) - room

        def earlier() -> list[dict[str, str]]:
            return [turn for example in examples for turn in example.turns] + item.earlier

        while examples and self._tokens(prompt, earlier()) > most:
            del examples[0]
        return replace(item, meta={**item.meta, "earlier": json.dumps(earlier())})

    def _tokens(self, prompt: str, earlier: Sequence[dict[str, str]]) -> int:
        """Tokens of a user turn after earlier turns."""
        return self._engine.count_tokens(self._engine.chat(prompt, earlier))


def _words(item: Item, template: str | None) -> list[str]:
    """The words of an item's prompt without its options."""
    bare = replace(item, question=item.conversation, choices=None)
    return words(render_prompt(bare, "generate", template or "{question}"))


def _options(item: Item) -> set[str]:
    """The texts of an item's options, equal for those that differ in typography only."""
    return {*map(normalise, item.options)}


def fit(settings: Settings) -> FewShot:
    """Choose k and the examples on dev.

    Raises:
        RuntimeError: the budget does not cover a single draw.
    """
    trial = settings.trial
    dev = trial.bench.labelled
    chat = trial.engine.chat
    tried: list[tuple[float, FewShot]] = []
    for chosen in draws(len(dev.items), settings.seed):
        rest = [item for i, item in enumerate(dev.items) if i not in chosen]
        if len(rest) > trial.items_left:
            continue
        trial.spend(len(rest))
        prompted = FewShot(trial.engine, [dev.items[i] for i in chosen], dev)
        others = Accuracy(rest, dev.answer_format, chat, dev.template)
        right = others.judge(prompted.answers(others))
        tried.append((float(np.mean(right)), prompted))
    if not tried:
        raise RuntimeError("the budget of example evaluations does not cover a draw of examples")
    _, best = max(tried, key=itemgetter(0))
    return best


def draws(items: int, seed: int) -> Iterator[list[int]]:
    """Indices of examples among dev items, `DRAWS` times for each k that leaves an item to score.

    Example:
        >>> [len(chosen) for chosen in draws(5, 0)][:4]
        [1, 2, 4, 1]
    """
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        yield from (rng.choice(items, size=k, replace=False).tolist() for k in SHOTS if k < items)
