"""A metric of one task, which scores items and states its requirements; and free-form answers, decoded
greedily, which a function scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any, Literal, Protocol

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Score, Utility
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS, Accuracy, at, warn_of
from pyswarmopt_llm.scores.tasks import Item, Scoring, chat_prompt, render_prompt
from pyswarmopt_llm.scores.tasks.stated import without_thoughts

Needs = Literal["nothing", "answer", "number", "choices"]
# Most tokens of a reply for a reward model, as in the Model Swarms reference.
REWARD_TOKENS = 200
Chat = Callable[..., str]  # a user turn, with earlier turns
ScoreTexts = Callable[..., Any]  # items and texts -> one value per item
Parts = list[dict[str, float]]


class ItemsUtility(Utility, Protocol):
    """A `Utility` over items that knows the texts that must fit the context window."""

    items: tuple[Item, ...]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, text, and the maximum number of tokens that the model adds to it."""


@dataclass(frozen=True)
class Metric:
    """Scores the answers to a task: ``metric(engine, items)``.

    It compares options or references, or rates any written reply (`ReplyMetric`, `Written`).

    Attributes:
        name: name given by the user.
        rate: function of items and replies, one value per item.
        question: prepares items, scoring, chat and template as in `on`.
        scoring: its answer format; None: any, see ``--scoring``.
        needs: field that every item must have.
        signed: whether values may be zero or negative, which makes a harmonic mean undefined.
        module: required module of an extra (`common.extras`).
        scale: least and greatest score of an item; None: unknown.
        new_tokens: maximum length of a reply; None: the metric does not score written replies.
        usage: cost so far, for ``result.json``; None if the metric costs only time.
        gamed: whether a model rates the replies, so that a search may please it without better
            answers.
        prompted: whether `rate` takes user turns, replies and items, and gives named numbers, as a
            user's function does.
        plain: whether replies continue plain text, without a chat template.
        written: class of the `ItemsUtility` of written replies, like `Written`; None: that one.
        lower: whether lower is better, so that scores are stored and searched with the other sign.
        unit: unit of a score, in words; "" without one.
        depends: digest of what else a score depends on: the user's function, a judge's endpoint,
            model and rubric, a classifier's files; "" without any.
    """

    name: str
    rate: Any = None
    _: KW_ONLY
    question: Callable[..., ItemsUtility] = Accuracy
    scoring: Scoring | None = None
    needs: Needs = "nothing"
    signed: bool = False
    module: str | None = None
    scale: tuple[float, float] | None = None
    new_tokens: int | None = None
    usage: Callable[[], dict[str, Any]] | None = None
    gamed: bool = False
    prompted: bool = False
    plain: bool = False
    written: Any = None
    lower: bool = False
    unit: str = ""
    depends: str = ""

    def on(
        self, items: Sequence[Item], scoring: Scoring, chat: Chat, template: str | None
    ) -> ItemsUtility:
        """The metric prepared for these items, to score many models."""
        if self.new_tokens is None:
            return self.question(items, scoring, chat, template)
        spoken = None if self.plain else chat
        written = self.written or Written
        utility: ItemsUtility = written(
            items, self.rate, spoken, template, self.new_tokens, self.prompted
        )
        return utility

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
            lacks = ""
            if self.needs != "nothing" and not item.references:
                lacks = "an answer"
            elif self.needs == "choices" and item.choices is None:
                lacks = "answer choices"
            elif self.needs == "number" and not _has_number(item):
                lacks = "a numeric answer"
            if lacks:
                why = (
                    f"which `metric` {self.name} requires; correct it, or set `metric` to "
                    "FILE.py:FUNCTION, reward:MODEL or judge, which score the text itself"
                )
                raise UserError(f"{where} example {item.id} lacks {lacks}, {why}")


def _has_number(item: Item) -> bool:
    from pyswarmopt_llm.scores.tasks.answers import right_number

    return any(map(right_number, item.references))


ACCURACY = Metric("accuracy", needs="answer")


class Written:
    """A `Utility` that scores free-form answers with a function; they are decoded greedily.

    Args:
        items: questions.
        score: function of items and texts, one value per item, higher is better; None, if unreadable,
            counts as 0.
        chat: formats a user turn with the model's chat template; None: the model continues plain
            text.
        template: prompt of the task, see `render_prompt`.
        max_new_tokens: maximum length of an answer.
        prompted: whether `score` accepts user turns, texts and items, and returns named numbers.

    Attributes:
        turns: user turns, without a chat template.

    Example:
        >>> items = sl.load_task("prompts:prompts.txt").dev  # doctest: +SKIP
        >>> engine = sl.open_model("my/base")  # doctest: +SKIP
        >>> short = Written(items, lambda items, texts: [-len(text) for text in texts], engine.chat)  # doctest: +SKIP
        >>> short(engine).value  # doctest: +SKIP
        -41.5
    """

    def __init__(
        self,
        items: Sequence[Item],
        score: ScoreTexts,
        chat: Chat | None,
        template: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        prompted: bool = False,
    ) -> None:
        self.items = tuple(items)
        self._score = score
        self._prompted = prompted
        self._warned = False
        self._new = max_new_tokens
        self.turns = [render_prompt(item, "generate", template) for item in self.items]
        self._prompts = self.turns
        if chat is not None:
            self._prompts = [chat_prompt(item, "generate", chat, template) for item in self.items]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """Item, prompt, and maximum number of new tokens."""
        for item, prompt in zip(self.items, self._prompts, strict=True):
            yield item, prompt, self._new

    def answers(self, engine: Engine, indices: Sequence[int] | None = None) -> list[str]:
        """The model's greedy answers to all items, or those at `indices`."""
        return engine.generate(at(self._prompts, indices), max_new_tokens=self._new)

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or those at `indices`; see `Utility`."""
        answers = self.answers(engine, indices)
        rows = self.parts(answers, indices)
        named = {name: fmean(row[name] for row in rows) for name in rows[0] if name}
        score = score_of([fmean(row.values()) for row in rows])
        return replace(score, answers=tuple(answers), named=named)

    def parts(self, answers: Sequence[str], indices: Sequence[int] | None = None) -> Parts:
        """The named numbers of each answer, ignoring its thoughts; a single number is called ""."""
        said = list(map(without_thoughts, answers))
        items = at(self.items, indices)
        if not self._prompted:
            values = self._score(items, said)
            self._warned = self._warned or warn_of(values)
            return [{"": float(value or 0)} for value in values]
        parts: Parts = self._score(at(self.turns, indices), said, items)
        return parts

    def judge(self, answers: Sequence[str], indices: Sequence[int] | None = None) -> list[float]:
        """The value of each answer: the mean of its named numbers."""
        return [fmean(row.values()) for row in self.parts(answers, indices)]


# a metric of written replies
ReplyMetric = partial(Metric, scoring="generate", needs="answer", new_tokens=MAX_NEW_TOKENS)
