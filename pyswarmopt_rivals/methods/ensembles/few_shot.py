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
from dataclasses import replace
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


class FewShot(Answerer):
    """The base with some examples, using the scoring and template of `like`; the engine is left
    without a patch.
    """

    def __init__(
        self, engine: TransformersEngine, examples: Sequence[Item], like: Accuracy
    ) -> None:
        super().__init__(self._answer, models=1)
        self._engine = engine
        self._shown = []
        for item in examples:
            turn = render_prompt(item, like.scoring, like.template)
            answer = item.answer  # a letter where the prompt shows letters
            if like.scoring == "likelihood":
                answer = item.answer_text
            said = [{"role": "user", "content": turn}, {"role": "assistant", "content": answer}]
            self._shown.append((_content(item, like.template), said))

    def _answer(self, questions: Accuracy) -> list[str]:
        self._engine.load(Patch())
        return list(self.shown(questions)(self._engine).answers)

    def shown(self, questions: Accuracy) -> Accuracy:
        """The items after the examples, except the item itself or its twin."""
        room = 1  # a letter
        if questions.scoring == "generate":
            room = MAX_NEW_TOKENS
        elif questions.scoring == "likelihood":
            texts = [text for item in questions.items for text in item.options]
            room = max(count_tokens(self._engine, text) for text in texts)
        items = [self._after_examples(item, questions, room) for item in questions.items]
        return Accuracy(items, questions.scoring, self._engine.chat, questions.template)

    def _after_examples(self, item: Item, questions: Accuracy, room: int) -> Item:
        """The item with earlier turns: the latest examples that leave room for `room` more tokens,
        none with the same question, unless all their options differ.
        """
        asked, choices = _content(item, questions.template)
        examples = [
            turn
            for (question, options), turns in self._shown
            if question != asked or (choices and choices.isdisjoint(options))
            for turn in turns
        ]
        own = item.earlier
        prompt = render_prompt(item, questions.scoring, questions.template)
        engine = self._engine
        most = (engine.window or math.inf) - room
        while examples and engine.count_tokens(engine.chat(prompt, examples + own)) > most:
            examples = examples[2:]
        return replace(item, meta={**item.meta, "earlier": json.dumps(examples + own)})


def _content(item: Item, template: str | None) -> tuple[list[str], set[str]]:
    """The words of an item's prompt without its options, and the options."""
    bare = replace(item, question=item.conversation, choices=None)
    prompt = render_prompt(bare, "generate", template or "{question}")
    return words(prompt), {*map(normalise, item.options)}


def fit(settings: Settings) -> FewShot:
    """Choose k and the examples on dev."""
    trial = settings.trial
    dev = trial.bench.labelled
    tried = []
    for chosen in draws(len(dev.items), settings.seed):
        rest = [i for i in range(len(dev.items)) if i not in chosen]
        if len(rest) > trial.items_left:
            continue
        trial.spend(len(rest))
        prompted = FewShot(trial.engine, [dev.items[i] for i in chosen], dev)
        part = Accuracy([dev.items[i] for i in rest], dev.scoring, trial.engine.chat, dev.template)
        tried.append((np.mean(part.judge(prompted.answers(part))), prompted))
    return max(tried, key=itemgetter(0))[1]


def draws(items: int, seed: int) -> Iterator[list[int]]:
    """Indices of examples among dev items, `DRAWS` times for each k that leaves an item to score.

    Example:
        >>> [len(chosen) for chosen in draws(5, 0)][:4]
        [1, 2, 4, 1]
    """
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        yield from (rng.choice(items, size=k, replace=False).tolist() for k in SHOTS if k < items)
