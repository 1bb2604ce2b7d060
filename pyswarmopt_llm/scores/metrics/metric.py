"""A metric of one task: scores items, and states its requirements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Protocol

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Score, Utility
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, Scoring

Needs = Literal["nothing", "answer", "number", "choices"]
Chat = Callable[..., str]  # a user turn, with earlier turns
Compare = Callable[[Sequence[Item], Sequence[str], Sequence[str]], Score]


class ItemsUtility(Utility, Protocol):
    """A `Utility` over items that knows the texts that must fit the context window."""

    items: tuple[Item, ...]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, text, and the most tokens that the model adds to it."""


@dataclass(frozen=True)
class Metric(ABC):
    """Scores the answers to a task: ``metric(engine, items)``.

    `OptionMetric` compares options or references, `ReplyMetric` rates any written reply.

    Attributes:
        name: name given by the user.
        scoring: its answer format; None: any, see ``--scoring``.
        needs: field that every item must have.
        signed: whether values may be zero or negative, which makes a harmonic mean undefined.
        module: required module of an extra (`common.extras`).
        scale: least and greatest score of an item; None: unknown.
        new_tokens: maximum length of a reply; None: the metric does not score written replies.
        compare: items and two models' texts -> win rate of the first; None: models are scored one
            at a time.
        usage: cost so far, for ``result.json``; None if the metric costs only time.
        fingerprint: fingerprint of the user's scoring function, else "".
        gamed: whether a model rates the replies, so that a search may please it without better
            answers.
        depends: digest of a score's other dependencies: a judge's endpoint, model and rubric, a
            classifier's files; "" without any.
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
        """The metric prepared for these items, to score many models."""

    def __call__(
        self,
        engine: Engine,
        items: Sequence[Item],
        scoring: Scoring = "generate",
        template: str | None = None,
    ) -> Score:
        """Score the loaded model's answers to these items.

        Args:
            engine: engine with the model loaded.
            items: items of a task.
            scoring: answer format, if the metric leaves it open.
            template: prompt of the task, see `render_prompt`.
        """
        return self.on(items, self.scoring or scoring, engine.chat, template)(engine)

    @property
    def identity(self) -> str:
        """The metric's name and `depends`."""
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
            if self.needs == "number":
                from pyswarmopt_llm.scores.tasks.answers import check_number

                check_number(item, where)


@dataclass(frozen=True)
class OptionMetric(Metric):
    """A metric based on options or references, not on written replies.

    Attributes:
        question: prepares items, scoring, chat and template as in `on`.
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
