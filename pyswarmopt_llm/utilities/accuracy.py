"""The share of items a model gets right, by three ways of asking."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from pyswarmopt_llm.interfaces import Engine, Score
from pyswarmopt_llm.tasks import Item, Scoring, is_correct, render_prompt
from pyswarmopt_llm.utilities.stats import score_of

MAX_NEW_TOKENS = 128  # of a generated answer: a worked GSM8K solution fits


class Accuracy:
    """A `Utility`: the mean over items of right (1) or wrong (0).

    * ``letter``: the options are shown with letters; the letter with the highest next-token probability counts.
    * ``likelihood``: only the question is shown; the option whose text has the highest log-likelihood per byte
      counts (per byte, so that neither length nor tokenizer favours an option; Gao 2021).
    * ``generate``: the model writes, greedily, and the answer is read from its text.

    Equal scores go to the option that is listed first.

    Args:
        items: what is asked.
        scoring: one of the three.
        chat: puts a user turn into the model's chat template (`Engine.chat`).
        template: a prompt of the task's own, see `render_prompt`.

    Raises:
        UserError: if an item without choices is to be scored by its options.
    """

    def __init__(
        self, items: Sequence[Item], scoring: Scoring, chat: Callable[[str], str], template: str | None = None
    ) -> None:
        self.items, self.scoring = tuple(items), scoring
        self._prompts = [chat(render_prompt(item, scoring, template)) for item in self.items]
        self._pairs: list[tuple[str, str]] = []
        self._lengths: list[float] = []
        if scoring != "generate":
            for item, prompt in zip(self.items, self._prompts, strict=True):
                for letter, text in (item.choices or {}).items():
                    self._pairs.append((prompt, letter if scoring == "letter" else text))
                    self._lengths.append(1.0 if scoring == "letter" else float(len(text.encode())))

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Whatever a model has to hold in its context: item, text, and how many tokens it may add to it."""
        if self.scoring == "generate":
            for item, prompt in zip(self.items, self._prompts, strict=True):
                yield item, prompt, MAX_NEW_TOKENS
            return
        pairs = iter(self._pairs)
        for item in self.items:
            for _ in item.choices or {}:
                context, continuation = next(pairs)
                yield item, context + continuation, 0

    def __call__(self, engine: Engine) -> Score:
        """Ask all items; one value per item."""
        return score_of(self.judge(self.answers(engine)))

    def judge(self, answers: Sequence[str]) -> list[float]:
        """1 for each right one of `answers`, else 0."""
        if self.scoring == "generate":
            return [float(is_correct(i, a)) for i, a in zip(self.items, answers, strict=True)]
        return [float(i.answer == a) for i, a in zip(self.items, answers, strict=True)]

    def answers(self, engine: Engine) -> list[str]:
        """The chosen letter of each item ("" where there is none), or what the model wrote (``generate``)."""
        if self.scoring == "generate":
            return engine.generate(self._prompts, max_new_tokens=MAX_NEW_TOKENS)
        found = engine.loglikelihood(self._pairs)
        values = iter([value / length for value, length in zip(found, self._lengths, strict=True)])
        chosen = []
        for item in self.items:
            scores = {letter: next(values) for letter in item.choices or {}}
            # A model whose likelihoods are not numbers (float16 overflows, say) chooses nothing.
            broken = any(math.isnan(value) for value in scores.values())
            chosen.append("" if broken else max(scores, key=lambda letter: scores[letter]))
        return chosen
