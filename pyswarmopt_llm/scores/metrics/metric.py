"""A metric of one task, which scores items and states its requirements; and free-form answers, decoded
greedily, which a function scores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any, Literal, Protocol, cast

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Score, Utility
from pyswarmopt_llm.common.statistics import Whole, resample, score_of
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS, Accuracy, at, warn_of
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, chat_prompt, render_prompt
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.stated import without_thoughts

Needs = Literal["nothing", "answer", "number", "choices"]
# Most tokens of a reply for a reward model, as in the Model Swarms reference.
REWARD_TOKENS = 200
Chat = Callable[..., str]  # a user turn, with earlier turns
ScoreTexts = Callable[..., Any]  # items and texts -> one value per item
Named = dict[str, float]  # numbers by name; a single one is called ""
Parts = list[Named]  # of each item
# A function too slow for all resamples in this many seconds gives scores without an interval.
PATIENCE = 10.0


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
        question: prepares items, answer format, chat and template as in `on`.
        answer_format: its answer format; None: any, see ``--scoring``.
        needs: field that every item must have.
        signed: whether values may be zero or negative, which makes a harmonic mean undefined.
        module: required module of an extra (`common.extras`).
        scale: least and greatest score of an item; None: unknown.
        new_tokens: maximum length of a reply; None: the metric does not score written replies.
        usage: cost so far, for ``result.json``; None if the metric costs only time.
        gamed: whether a model rates the replies, so that a search may please it without better
            answers.
        prompted: whether `rate` takes user turns, replies, items and engine, and gives named numbers
            of each item or of all together, as a user's function does.
        plain: whether replies continue plain text, without a chat template.
        alone: whether each reply has a score of its own, without the model; not so for a function
            that reads the model.
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
    answer_format: AnswerFormat | None = None
    needs: Needs = "nothing"
    signed: bool = False
    module: str | None = None
    scale: tuple[float, float] | None = None
    new_tokens: int | None = None
    usage: Callable[[], dict[str, Any]] | None = None
    gamed: bool = False
    prompted: bool = False
    plain: bool = False
    alone: bool = True
    written: Any = None
    lower: bool = False
    unit: str = ""
    depends: str = ""

    def on(
        self, items: Sequence[Item], answer_format: AnswerFormat, chat: Chat, template: str | None
    ) -> ItemsUtility:
        """The metric prepared for these items, to score many models."""
        if self.new_tokens is None:
            return self.question(items, answer_format, chat, template)
        spoken = None if self.plain else chat
        written = self.written or Written
        utility: ItemsUtility = written(
            items, self.rate, spoken, template, self.new_tokens, self.prompted, not self.alone
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
        prompted: whether `score` accepts user turns, texts, items and engine, and returns named
            numbers of each item or of all together.
        slow: whether a score of all together is too slow for a bootstrap.

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
        slow: bool = False,
    ) -> None:
        self.items = tuple(items)
        self._score = score
        self._prompted = prompted
        self._warned = False
        self._slow = slow
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
        found = self._rated(answers, indices, engine)
        if isinstance(found, dict):
            score = whole_score(found, self._whole(answers, indices))
        else:
            score = mean_of(found)
        return replace(score, answers=tuple(answers))

    def parts(
        self,
        answers: Sequence[str],
        indices: Sequence[int] | None = None,
        engine: Engine | None = None,
    ) -> Parts:
        """The named numbers of each answer, if it has a score of its own; `engine`: with the model that
        wrote the answers, for a metric that needs it.
        """
        found = self._rated(answers, indices, engine)
        if isinstance(found, dict):
            raise TypeError("the metric gives one number for all answers")
        return found

    def _rated(
        self,
        answers: Sequence[str],
        indices: Sequence[int] | None = None,
        engine: Engine | None = None,
    ) -> Parts | Named:
        """The named numbers of each answer, or of all together, ignoring thoughts."""
        said = list(map(without_thoughts, answers))
        items = at(self.items, indices)
        if not self._prompted:
            values = self._score(items, said)
            self._warned = self._warned or warn_of(values)
            return [{"": float(value or 0)} for value in values]
        found: Parts | Named = self._score(at(self.turns, indices), said, items, engine)
        return found

    def _whole(self, answers: Sequence[str], indices: Sequence[int] | None) -> Whole:
        """The score of all answers together on the bootstrap's samples, unless that takes long."""
        places = list(range(len(self.items)) if indices is None else indices)
        start = time.perf_counter()
        values = []
        for sample in resample(len(places), repeated(at(self.items, indices))):
            if self._slow or time.perf_counter() - start > PATIENCE:
                self._slow = True
                return Whole(len(places))
            try:
                found = self._rated([answers[k] for k in sample], [places[k] for k in sample])
            except UserError:  # undefined on some samples, as a correlation is
                return Whole(len(places))
            values.append(float(f"{fmean(cast(Named, found).values()):.6g}"))
        return Whole(len(places), tuple(values))

    def judge(
        self,
        answers: Sequence[str],
        indices: Sequence[int] | None = None,
        engine: Engine | None = None,
    ) -> list[float]:
        """The value of each answer: the mean of its named numbers; see `parts`."""
        return [fmean(row.values()) for row in self.parts(answers, indices, engine)]


class OfModel:
    """A `Utility` that lets a user's function score the model, whose replies it does not read.

    Args:
        items: questions.
        template: prompt of the task, see `render_prompt`.
        rate: function of user turns, replies (none), items and engine.
    """

    def __init__(
        self,
        items: Sequence[Item],
        _: AnswerFormat,
        __: Chat,
        template: str | None = None,
        *,
        rate: Callable[..., Parts | Named],
    ) -> None:
        self.items = tuple(items)
        self._turns = [render_prompt(item, "generate", template) for item in self.items]
        self._rate = rate

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """No text is known before the function asks."""
        return iter(())

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or those at `indices`; see `Utility`."""
        items = at(self.items, indices)
        found = self._rate(at(self._turns, indices), [], items, engine)
        if isinstance(found, dict):
            return whole_score(found, Whole(len(items)))
        return mean_of(found)


def mean_of(parts: Parts) -> Score:
    """The score of items with named numbers: the mean of each item's mean."""
    named = {name: fmean(row[name] for row in parts) for name in parts[0] if name}
    return replace(score_of([fmean(row.values()) for row in parts]), named=named)


def whole_score(found: Named, whole: Whole) -> Score:
    """The score of all items together: the mean of the named numbers."""
    named = {name: value for name, value in found.items() if name}
    return Score(fmean(found.values()), (), whole.n, whole.stderr, named, whole=whole)


# a metric of written replies
ReplyMetric = partial(Metric, answer_format="generate", needs="answer", new_tokens=MAX_NEW_TOKENS)
