"""A language model as judge: ratings from 1 to 10 against a rubric, and pairs compared in both orders.

The judge is an OpenAI-compatible endpoint, or any function from prompts to texts. An answer that cannot be read is an
error, never a made-up number: a search that silently scored nonsense would be worthless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.metrics.judge.chat_client import ChatClient, Endpoint
from pyswarmopt_llm.tasks import Item

JUDGED_TOKENS = 512  # most tokens of a reply, as in the Model Swarms reference

RUBRIC = "1 is the worst, 10 the best: helpful, correct, clear, and to the point."

_RATING = re.compile(r"rating\W{0,6}(\d+(?:\.\d+)?)(?:\s*/\s*10)?(?![\d.]*\d)", re.IGNORECASE)
_CHOICE = re.compile(r"better\W{0,6}(A|B|tie)\b", re.IGNORECASE)

Complete = Callable[[Sequence[str]], list[str]]


class Judge:
    """Rates and compares replies by a function from prompts to answers, and by a rubric in words."""

    def __init__(self, complete: Complete, rubric: str = RUBRIC) -> None:
        self.complete, self._rubric = complete, rubric

    def ratings(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """A rating from 1 to 10 of each reply; an answer without one is a `UserError`."""
        prompts = [self._rating_prompt(item.question, text) for item, text in zip(items, texts, strict=True)]
        return self._rate(prompts, items)

    def win_rate(self, items: Sequence[Item], first: Sequence[str], second: Sequence[str]) -> Score:
        """How often the `first` replies are judged better than the `second`; each pair is shown in both orders.

        Per item 1 for a win in both orders, 0 for a loss in both, else 0.5, which cancels a judge's position bias
        (Zheng et al. 2023, arXiv 2306.05685, section 3.4). An answer that names no side is a `UserError`.
        """
        triples = list(zip(items, first, second, strict=True))
        prompts = [self._pair_prompt(item.question, a, b) for item, a, b in triples]
        prompts += [self._pair_prompt(item.question, b, a) for item, a, b in triples]
        points = self._prefer(prompts, [*items, *items])
        in_order, swapped = points[: len(items)], points[len(items) :]
        return score_of([(a + 1.0 - b) / 2 for a, b in zip(in_order, swapped, strict=True)])

    def _rate(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """The rating that each answer gives."""
        return [_rating(answer, item) for answer, item in zip(self.complete(prompts), items, strict=True)]

    def _prefer(self, prompts: Sequence[str], items: Sequence[Item]) -> list[float]:
        """1 where the answer prefers reply A, 0 for B, 0.5 for a tie."""
        return [_points(answer, item) for answer, item in zip(self.complete(prompts), items, strict=True)]

    def _rating_prompt(self, question: str, reply: str) -> str:
        return (
            "Rate the reply to an instruction on a scale from 1 to 10.\n"
            f"Rubric: {self._rubric}\n\nInstruction: {question}\n\nReply: {reply}\n\n"
            'Begin your answer with "Rating: N/10", then give the reason in one sentence.'
        )

    def _pair_prompt(self, question: str, a: str, b: str) -> str:
        return (
            "Which of two replies to an instruction is better?\n"
            f"Rubric: {self._rubric}\n\nInstruction: {question}\n\nReply A: {a}\n\nReply B: {b}\n\n"
            'Begin your answer with "Better: A", "Better: B" or "Better: tie", then give the reason in one sentence.'
        )


def load_judge(rubric: str | None = None, cache: Path | None = None) -> tuple[Judge, ChatClient]:
    """The judge of the environment (`Endpoint.from_environment`) and its client; `rubric` is a text file.

    Raises:
        UserError: a variable or the file is missing.
    """
    text = RUBRIC
    if rubric is not None:
        try:
            text = user_path(rubric).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidOption("metric", f"judge:{rubric}", f"cannot be read ({error}); give a text file") from error
    client = ChatClient(Endpoint.from_environment(), cache)
    return Judge(client, text), client


def _rating(answer: str, item: Item) -> float:
    match = _RATING.search(answer)
    value = float(match[1]) if match else 0.0
    if not 1.0 <= value <= 10.0:
        raise UserError(f"the judge gave item {item.id} no rating from 1 to 10 but {answer[:80]!r}; use a better judge")
    return value


def _points(answer: str, item: Item) -> float:
    """1 if A is better, 0 if B is."""
    match = _CHOICE.search(answer)
    if match is None:
        raise UserError(
            f"the judge named no better reply for item {item.id} but said {answer[:80]!r}; use a better judge"
        )
    return {"a": 1.0, "b": 0.0}.get(match[1].lower(), 0.5)
