"""A metric of one task: what scores its items, and what it needs of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Protocol

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Score, Utility
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, Scoring

Needs = Literal["nothing", "answer", "choices"]
Chat = Callable[..., str]  # a user turn, and the turns before it
Compare = Callable[[Sequence[Item], Sequence[str], Sequence[str]], Score]


class ItemsUtility(Utility, Protocol):
    """A `Utility` over items that knows in advance which texts have to fit the context window."""

    items: tuple[Item, ...]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, text, and the maximum number of tokens that the model adds to it."""


@dataclass(frozen=True)
class Metric(ABC):
    """How the answers to a task are scored: ``metric(engine, items)``.

    `OptionMetric` compares options or references, `ReplyMetric` rates any written reply.

    Attributes:
        name: as given by the user.
        scoring: its own scoring; None: the one of ``--scoring``.
        needs: what every item must have.
        signed: whether values may be zero or negative, so that a harmonic mean is undefined.
        module: that it needs of an extra (`common.extras`).
        scale: the least and the greatest score of an item; None: not known.
        new_tokens: maximum length of a reply; None: it is not for written replies.
        compare: items and two models' texts -> win rate of the first; None: the two are scored one
            by one.
        usage: what it has spent, for ``result.json``; None if it costs nothing but time.
        fingerprint: fingerprint of the user's function that scores, else "".
        gamed: whether a model rates the replies, which a search may please without better answers.
        depends: digest of what else a score depends on: a judge's endpoint, model and rubric, a
            classifier's files; "" for nothing.
    """

    name: str
    _: KW_ONLY
    scoring: Scoring | None = None
    needs: Needs = "nothing"
    signed: bool = False
    module: str | None = None
    scale: tuple[float, float] | None = None
    new_tokens: int | None = None
    compare: Compare | None = None
    usage: Callable[[], dict[str, Any]] | None = None
    fingerprint: str = ""
    gamed: bool = False
    depends: str = ""

    @abstractmethod
    def on(
        self,
        items: Sequence[Item],
        scoring: Scoring,
        chat: Chat,
        template: str | None,
    ) -> ItemsUtility:
        """The metric on these items, prepared to score many models."""

    def __call__(
        self,
        engine: Engine,
        items: Sequence[Item],
        scoring: Scoring = "generate",
        template: str | None = None,
    ) -> Score:
        """Score the loaded model's answers to these items.

        Args:
            engine: with the model loaded.
            items: items of a task.
            scoring: how answers are given, where the metric leaves it open.
            template: the task's prompt, see `render_prompt`.
        """
        return self.on(items, self.scoring or scoring, engine.chat, template)(engine)

    @property
    def identity(self) -> str:
        """Its name, and `depends`."""
        return f"{self.name} {self.depends}".rstrip()

    def check(self, items: Sequence[Item], where: str) -> None:
        """Refuse items that this metric cannot score.

        Raises:
            UserError: an item lacks choices or an answer.
        """
        for item in items:
            if self.needs == "choices" and item.choices is None:
                raise UserError(
                    f"{where} example {item.id}: no choices, which `metric` {self.name} needs; add "
                    "them"
                )
            if self.needs != "nothing" and not item.references:
                raise UserError(
                    f"{where} example {item.id}: no answer, which `metric` {self.name} needs; add "
                    "answers, or score the "
                    "text itself: `metric` FILE.py:FUNCTION, toxicity, reward:MODEL or judge"
                )


@dataclass(frozen=True)
class OptionMetric(Metric):
    """A metric of questions by their options or references, not of any reply.

    Attributes:
        question: items, scoring, chat and template -> the metric on these items.
    """

    question: Callable[..., ItemsUtility]

    def on(
        self,
        items: Sequence[Item],
        scoring: Scoring,
        chat: Chat,
        template: str | None,
    ) -> ItemsUtility:
        """See `Metric`."""
        return self.question(items, scoring, chat, template)


ACCURACY = OptionMetric("accuracy", question=Accuracy, needs="answer")
