"""The result of an ensemble: it answers items, and is not one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_rivals.bench import Bench
from pyswarmopt_rivals.panel import Pairs


@dataclass(eq=False)
class Answerer:
    """Answers items.

    Attributes:
        answers: returns the chosen letter of each item, or a text (``generate``).
        models: models run per item; None: all experts.
    """

    answers: Callable[[Accuracy], list[str]]
    models: int | None = None

    rank = None  # it is not one model
    error = 0.0

    def score(self, bench: Bench, split: str) -> Score:
        """The score on a split."""
        questions = bench.accuracy[split]
        return score_of(questions.judge(self.answers(questions)))


class LikelihoodAnswerer(Answerer):
    """Has a log-likelihood for every option (like `Engine.loglikelihood`), and so chooses like a
    single model.
    """

    def __init__(self, loglikelihood: Callable[[Pairs], list[float]]) -> None:
        super().__init__(lambda questions: list(questions(self).answers))  # type: ignore[arg-type]
        self.loglikelihood = loglikelihood
