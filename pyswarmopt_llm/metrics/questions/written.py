"""What a search asks on a task: a utility over items, and the ways in which written answers are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.tasks import Item, render_prompt

Chat = Callable[[str], str]
ScoreTexts = Callable[[Sequence[Item], Sequence[str]], Sequence[float]]


class Asked(Protocol):
    """A utility over items that can say beforehand what a model's context has to hold."""

    items: tuple[Item, ...]

    def __call__(self, engine: Engine) -> Score:
        """Ask all items; one value per item."""

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, text, and how many tokens the model may add to it."""


class Written:
    """A `Utility`: the model writes, greedily, and a function scores what it wrote, item by item.

    Args:
        items: what is asked.
        score: items and texts -> one value per item, higher is better.
        chat: puts a user turn into the model's chat template; None: the model continues the bare text.
        template: a prompt of the task's own, see `render_prompt`.
        max_new_tokens: most tokens of an answer.
    """

    def __init__(
        self,
        items: Sequence[Item],
        score: ScoreTexts,
        chat: Chat | None,
        template: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> None:
        self.items, self._score, self._new = tuple(items), score, max_new_tokens
        turns = [render_prompt(item, "generate", template) for item in self.items]
        self._prompts = turns if chat is None else [chat(turn) for turn in turns]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, prompt, and how many tokens the model may write."""
        for item, prompt in zip(self.items, self._prompts, strict=True):
            yield item, prompt, self._new

    def answers(self, engine: Engine) -> list[str]:
        """What the model writes."""
        return engine.generate(self._prompts, max_new_tokens=self._new)

    def __call__(self, engine: Engine) -> Score:
        """Ask all items; one value per item."""
        return score_of(self._score(self.items, self.answers(engine)))
