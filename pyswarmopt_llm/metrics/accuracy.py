"""Accuracy, with three ways of scoring answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from pyswarmopt_llm.common.interfaces import BatchedEngine, Engine, ItemScore, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.tasks import Item, Scoring, chat_prompt

MAX_NEW_TOKENS = 128  # of a generated answer: a worked GSM8K solution fits


class Accuracy:
    """A `Utility`, also `Batched` and an `ItemUtility`: 1 for a right answer, 0 for a wrong one.

    * ``letter``: the options are shown with letters; the letter with the highest next-token
      probability counts.
    * ``likelihood``: only the question is shown; the option whose text has the highest
      log-likelihood per byte counts (per byte, so that neither length nor tokenizer favours an
      option; Gao 2021).
    * ``generate``: the answer is extracted from greedily generated text.

    Ties go to the option listed first.

    Args:
        items: the questions.
        scoring: one of the three.
        chat: formats a user turn with the model's chat template (`Engine.chat`).
        template: the task's prompt, see `render_prompt`.

    Attributes:
        items, scoring, template: as given.
        prompts: each item's user turn in the chat template.

    Raises:
        UserError: an item without choices cannot be scored by its options.
    """

    def __init__(
        self,
        items: Sequence[Item],
        scoring: Scoring,
        chat: Callable[..., str],
        template: str | None = None,
    ) -> None:
        self.items, self.scoring, self.template = tuple(items), scoring, template
        self.prompts = [chat_prompt(item, scoring, chat, template) for item in self.items]
        self._pairs: list[tuple[str, str]] = []
        self._lengths: list[float] = []
        self._spans: list[range] = []  # the pairs of each item
        if scoring != "generate":
            for item, prompt in zip(self.items, self.prompts, strict=True):
                self._spans.append(
                    range(len(self._pairs), len(self._pairs) + len(item.choices or {}))
                )
                for letter, text in (item.choices or {}).items():
                    self._pairs.append((prompt, letter if scoring == "letter" else text))
                    self._lengths.append(1.0 if scoring == "letter" else float(len(text.encode())))

    def choices(self) -> list[Choices]:
        """The items for training, without those whose right answer is unknown."""
        if self.scoring == "generate":
            prompts = zip(self.items, self.prompts, strict=True)
            return [
                Choices(((prompt, item.answer_text),), (1.0,), 0)
                for item, prompt in prompts
                if item.answer
            ]
        trained = []
        for item, span in zip(self.items, self._spans, strict=True):
            letters = list(item.choices or {})
            if item.answer in letters:
                pairs = self._pairs[span.start : span.stop]
                lengths = self._lengths[span.start : span.stop]
                trained.append(Choices(tuple(pairs), tuple(lengths), letters.index(item.answer)))
        return trained

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """The texts that have to fit the context window: item, text, maximum of new tokens."""
        if self.scoring == "generate":
            for item, prompt in zip(self.items, self.prompts, strict=True):
                yield item, prompt, MAX_NEW_TOKENS
            return
        for item, span in zip(self.items, self._spans, strict=True):
            for k in span:
                yield item, "".join(self._pairs[k]), 0

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.items)

    def __call__(self, engine: Engine) -> Score:
        """Evaluate all items; one value per item."""
        return score_of(self.judge(self.answers(engine)))

    def judge(self, answers: Sequence[str]) -> list[float]:
        """1 for each right answer, else 0."""
        return [self._value(item, answer) for item, answer in zip(self.items, answers, strict=True)]

    def batches(self, engine: BatchedEngine) -> list[tuple[int, ...]]:
        """The items as the engine batches them; the options of an item share a batch."""
        if self.scoring == "generate":
            return engine.generation_batches(self.prompts, MAX_NEW_TOKENS)
        batches = map(set, engine.likelihood_batches(self._pairs))
        return [
            tuple(i for i, pairs in enumerate(self._spans) if pairs[0] in batch)
            for batch in batches
        ]

    def score_batches(
        self, engine: BatchedEngine, items: Collection[int] | None = None
    ) -> Iterator[dict[int, float]]:
        """Item -> value, batch by batch; with `items`, of batches that hold any of them."""
        for answers in self.answer_batches(engine, items):
            yield {i: self._value(self.items[i], answer) for i, answer in answers.items()}

    def answer_batches(
        self, engine: BatchedEngine, items: Collection[int] | None = None
    ) -> Iterator[dict[int, str]]:
        """Item -> answer, batch by batch, as `score_batches`."""
        if self.scoring == "generate":
            for batch in engine.generation_batches(self.prompts, MAX_NEW_TOKENS):
                if items is None or not set(items).isdisjoint(batch):
                    written = engine.generate(
                        [self.prompts[i] for i in batch], max_new_tokens=MAX_NEW_TOKENS
                    )
                    yield dict(zip(batch, written, strict=True))
            return
        owner = {k: i for i, pairs in enumerate(self._spans) for k in pairs}
        only = None if items is None else {k for i in items for k in self._spans[i]}
        for indices, sums in engine.loglikelihood_by_batch(self._pairs, only):
            logprobs = dict(zip(indices, sums, strict=True))
            there = dict.fromkeys(owner[k] for k in indices)
            yield {i: _best(self._scores(i, logprobs)) for i in there}

    def score_items(self, engine: Engine, indices: Sequence[int]) -> list[ItemScore]:
        """The results on these items, with margins between options unless text is generated."""
        if self.scoring == "generate":
            written = engine.generate(
                [self.prompts[i] for i in indices], max_new_tokens=MAX_NEW_TOKENS
            )
            return [
                ItemScore(self._value(self.items[i], text))
                for i, text in zip(indices, written, strict=True)
            ]
        option_scores = self.option_scores(engine, indices)
        return [
            self._weighed(self.items[i], scores)
            for i, scores in zip(indices, option_scores, strict=True)
        ]

    def answers(self, engine: Engine) -> list[str]:
        """The chosen letter of each item ("" if undefined), or the generated text."""
        if self.scoring == "generate":
            return engine.generate(self.prompts, max_new_tokens=MAX_NEW_TOKENS)
        return [_best(scores) for scores in self.option_scores(engine)]

    def option_scores(
        self, engine: Engine, indices: Sequence[int] | None = None
    ) -> list[dict[str, float]]:
        """Per item letter -> log-probability of the option, per byte with ``likelihood``.

        Raises:
            ValueError: ``generate`` has no options to score.
        """
        if self.scoring == "generate":
            raise ValueError(
                "generate scoring extracts the answer from a text: there are no option scores"
            )
        chosen = range(self.n) if indices is None else indices
        places = [k for i in chosen for k in self._spans[i]]
        logprobs = dict(
            zip(places, engine.loglikelihood([self._pairs[k] for k in places]), strict=True)
        )
        return [self._scores(i, logprobs) for i in chosen]

    def _value(self, item: Item, answer: str) -> float:
        if self.scoring != "generate":
            return float(item.answer == answer)
        from pyswarmopt_llm.tasks.answers import is_correct

        return float(is_correct(item, answer))

    def _weighed(self, item: Item, scores: Mapping[str, float]) -> ItemScore:
        others = (score for letter, score in scores.items() if letter != item.answer)
        return ItemScore(
            self._value(item, _best(scores)), tuple(scores[item.answer] - score for score in others)
        )

    def _scores(self, i: int, logprobs: Mapping[int, float]) -> dict[str, float]:
        """Letter -> score of item i, given the log-likelihoods of at least its own pairs."""
        letters = self.items[i].choices or {}
        return {
            letter: logprobs[k] / self._lengths[k]
            for letter, k in zip(letters, self._spans[i], strict=True)
        }


def _best(scores: Mapping[str, float]) -> str:
    """The letter with the highest score, the first on a tie; "" if a score is NaN."""
    return (
        ""
        if any(map(math.isnan, scores.values()))
        else max(scores, key=lambda letter: scores[letter])
    )
