"""Accuracy, with three answer formats and a choice among them: option letters if the experts know
them, else the likelihood of options.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import truediv
from typing import TypeVar, cast

from scipy import stats

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import LEVEL, chance_bound, score_of
from pyswarmopt_llm.scores.choices import UNKNOWN, Choices
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, Task, chat_prompt

log = logging.getLogger(__name__)

T = TypeVar("T")
Pairs = Sequence[tuple[str, str]]  # context, continuation

MAX_NEW_TOKENS = 128  # of a written answer: enough for a worked GSM8K solution
LETTERS = 26
# items and experts of the letter trial; without knowledge of letters likelihood is used
TRIAL = 32
TRIED = 3


class Accuracy:
    """A `Utility`: 1 for a right answer, 0 for a wrong one; with margins between options.

    * ``letter``: the options are shown with letters; the letter with the highest next-token
      probability counts.
    * ``likelihood``: only the question is shown; the option whose text has the highest
      log-likelihood per byte counts (per byte, so that neither length nor tokenizer favours an
      option; Gao 2021).
    * ``generate``: the answer is extracted from greedily generated text.

    Ties go to the option listed first.

    Args:
        items: the questions.
        answer_format: answer format.
        chat: formats a user turn with the model's chat template (`Engine.chat`).
        template: prompt of the task, see `render_prompt`.

    Attributes:
        items, answer_format, template: as given.
        prompts: each item's user turn in the chat template.
        rows: each item's continuations to score.

    Raises:
        UserError: an item without choices is to be scored by options.
    """

    def __init__(
        self,
        items: Sequence[Item],
        answer_format: AnswerFormat,
        chat: Callable[..., str],
        template: str | None = None,
    ) -> None:
        self.items = tuple(items)
        self.answer_format = answer_format
        self.template = template
        self.prompts = [chat_prompt(item, answer_format, chat, template) for item in self.items]
        self.rows = list(map(self._row, self.items, self.prompts))
        self._warned = False

    def _row(self, item: Item, prompt: str) -> Choices:
        """An item with the continuations to score: its options, or the right reply."""
        letters = texts = item.letters
        if self.answer_format == "generate":
            letters = [item.answer]
            texts = [item.answer_text]
        lengths = [1.0] * len(letters)
        if self.answer_format == "likelihood":
            texts = item.options
            lengths = [float(len(text.encode())) for text in texts]
        right = UNKNOWN
        if item.answer and item.answer in letters:
            right = letters.index(item.answer)
        return Choices(tuple((prompt, text) for text in texts), tuple(lengths), right)

    def choices(self) -> list[Choices]:
        """The items as training examples, except those without a known right answer."""
        return [row for row in self.rows if row.right != UNKNOWN]

    def texts(self) -> Iterator[tuple[Item, str, int]]:
        """The texts that must fit the context window: item, text, maximum number of new tokens."""
        for item, row in zip(self.items, self.rows, strict=True):
            for prompt, option in row.pairs:
                if self.answer_format == "generate":
                    yield item, prompt, MAX_NEW_TOKENS
                else:
                    yield item, prompt + option, 0

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or those at `indices`; see `Utility`."""
        margins: Iterable[tuple[float, ...]] = ()
        if self.answer_format == "generate":
            answers = engine.generate(at(self.prompts, indices), max_new_tokens=MAX_NEW_TOKENS)
        else:
            scores = self.option_scores(engine, indices)
            answers = list(map(_best, scores))
            margins = map(_margins, at(self.items, indices), scores)
        score = score_of(self.judge(answers, indices))
        return replace(score, margins=tuple(margins), answers=tuple(answers))

    def judge(self, answers: Sequence[str], indices: Sequence[int] | None = None) -> list[float]:
        """1 for each right answer, else 0, for all items or those at `indices`; warns once if written
        answers are unclear.
        """
        pairs = zip(at(self.items, indices), answers, strict=True)
        if self.answer_format != "generate":
            return [float(item.answer == answer) for item, answer in pairs]
        from pyswarmopt_llm.scores.tasks.answers import check

        checks = [check(item, answer) for item, answer in pairs]
        self._warned = self._warned or warn_of(checks)
        return [float(right is True) for right in checks]

    def option_scores(
        self, engine: Engine, indices: Sequence[int] | None = None
    ) -> list[dict[str, float]]:
        """For each item, letter -> log-probability of the option, per byte with ``likelihood``."""
        rows = at(self.rows, indices)
        # each row takes as many as it has letters
        values = iter(engine.loglikelihood([pair for row in rows for pair in row.pairs]))
        return [
            dict(zip(item.letters, map(truediv, values, row.lengths), strict=False))
            for item, row in zip(at(self.items, indices), rows, strict=True)
        ]


def warn_of(values: Sequence[object]) -> bool:
    """Whether there are unreadable replies (None) among these, of which it warns."""
    unclear = sum(value is None for value in values)
    if unclear:
        log.warning("%d of %d replies contain no readable answer", unclear, len(values))
    return unclear > 0


def at(rows: Sequence[T], indices: Sequence[int] | None) -> Sequence[T]:
    """The rows at these indices; None: all."""
    if indices is None:
        return rows
    return [rows[index] for index in indices]


def _margins(item: Item, scores: Mapping[str, float]) -> tuple[float, ...]:
    """The right option's score minus each other score, to six digits, more than a model's rounding
    leaves; empty if unknown or not finite.
    """
    right = scores.get(item.answer, math.nan)
    margins = [right - score for letter, score in scores.items() if letter != item.answer]
    if not all(map(math.isfinite, margins)):
        return ()
    return tuple(float(f"{margin:.6g}") for margin in margins)


def _best(scores: Mapping[str, float]) -> str:
    """The letter with the highest score, the first on a tie; "" if a score is NaN."""
    if any(map(math.isnan, scores.values())):
        return ""
    return max(scores, key=lambda letter: scores[letter])


def option_counts(items: Sequence[Item]) -> list[int]:
    """Number of options of each item; empty if an item has none."""
    if all(item.choices for item in items):
        return [len(item.options) for item in items]
    return []


def trial_of(task: Task, chat: Callable[[str], str]) -> Accuracy:
    """The first `TRIAL` dev items, to be answered by letters."""
    return Accuracy(task.dev[:TRIAL], "letter", chat, task.prompt)


def beats_chance(items: Sequence[Item], scores: Sequence[Score]) -> bool:
    """Whether the best accuracy of several experts is significantly above the best of as many
    random guessers.

    One-sided, exact (Poisson binomial), at level `LEVEL` over all experts (Bonferroni).

    Example:
        >>> items = [Item(str(i), "?", {"A": "x", "B": "y", "C": "z", "D": "u"}, "A") for i in range(200)]
        >>> beats_chance(items, [Score(0.30, (), 200, 0.0)] * 12), beats_chance(items, [Score(0.36, (), 200, 0.0)] * 12)
        (False, True)
    """
    bound = chance_bound(option_counts(items), LEVEL / len(scores))
    return max(score.value for score in scores) > bound


def knows_letters(items: Sequence[Item], scores: Sequence[Score]) -> bool:
    """Whether the best expert is significantly better than guessing, and than always giving the
    most common right letter, as an expert without knowledge may do.

    Example:
        >>> items = [Item(str(i), "?", {"A": "x", "B": "y"}, "ABAA"[i % 4]) for i in range(20)]
        >>> [knows_letters(items, [Score(n / 20, (), 20, 0.0)]) for n in (18, 19)]  # p = .09 and .02
        [False, True]
    """
    right = Counter(item.answer for item in items if item.choices and item.answer)
    n = len(items)
    share = max(right.values(), default=0) / n
    constant = float(stats.binom.isf(LEVEL / len(scores), n, share)) / n
    return beats_chance(items, scores) and max(score.value for score in scores) > constant


def choose_answer_format(
    possible: Sequence[AnswerFormat], items: Sequence[Item], scores: Sequence[Score]
) -> AnswerFormat:
    """The answer format to use: of ``auto``'s two, letters if the experts know them, else
    likelihood.

    Args:
        possible: see `possible_answer_formats`.
        items: dev items.
        scores: of the trial, if there is a choice: by letters on the first `TRIAL` items, one per
            model; empty if no model gives likelihoods, so that answers can only be written.

    Example:
        >>> items = [Item(str(i), "?", {"A": "x", "B": "y"}, "AB"[i % 2]) for i in range(50)]
        >>> [choose_answer_format(("letter", "likelihood"), items, scores)
        ...  for scores in ([Score(0.9, (), 50, 0.0)], [Score(0.5, (), 50, 0.0)], [])]
        ['letter', 'likelihood', 'generate']
    """
    if len(possible) == 1:
        return possible[0]
    if not scores:
        return "generate"
    if knows_letters(items[: scores[0].n], scores):
        return "letter"
    return "likelihood"


def possible_answer_formats(scoring: str, items: Sequence[Item]) -> tuple[AnswerFormat, ...]:
    """The answer formats that a setting allows; two if ``auto`` leaves the choice to
    `choose_answer_format`.

    Raises:
        InvalidOption: there are more options than letters.

    Example:
        >>> possible_answer_formats("auto", [Item("1", "?", {"A": "x", "B": "y"}, "A")])
        ('letter', 'likelihood')
        >>> possible_answer_formats("auto", [Item("1", "?", None, "x")])
        ('generate',)
    """
    most = max(option_counts(items), default=0)
    if scoring == "letter" and most > LETTERS:
        why = f": {most} options, but only {LETTERS} can have letters; use likelihood"
        raise InvalidOption("scoring", scoring, why)
    if scoring != "auto":
        return (cast(AnswerFormat, scoring),)
    if not most:
        return ("generate",)
    if most <= LETTERS:
        return ("letter", "likelihood")
    return ("likelihood",)
