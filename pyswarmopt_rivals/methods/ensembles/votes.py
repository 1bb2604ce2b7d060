"""Answers of whole experts: the most frequent one, or the option with the highest mean probability.

Prediction merge, a trivial baseline of Model Swarms (Feng et al. 2024, arXiv 2410.11163): every
expert answers, and the most frequent answer wins, on a tie that of the expert listed first.

Top-k, a control for merging (Dietterich 2000, Multiple Classifier Systems, LNCS 1857): the k best
experts on dev, each item's option probabilities averaged. This is what the experts give without a
search, for k times the cost in use. An expert's probabilities are the softmax of its own option
scores (log-probabilities of the letters, or log-likelihoods per byte), so that k = 1 is
`best-single`. Experts are ranked by dev accuracy, the earlier one first on a tie; k is the smallest
with the best dev accuracy of the ensemble.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pyswarmopt_groups import voting
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_rivals.methods.ensembles.panel import Answerer, Panel


class Vote(Answerer):
    """The plurality of a panel."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def answers(self, questions: Accuracy) -> list[str]:
        ballots = zip(*self._panel.answers(questions), strict=True)
        return [voting.majority(list(answers)).answer or "" for answers in ballots]


def prediction_merge(panel: Panel, dev: Accuracy, seed: int) -> Vote:
    """Nothing to fit."""
    return Vote(panel)


def probabilities(scores: Mapping[str, float]) -> dict[str, float]:
    """Letter -> softmax of the scores.

    Example:
        >>> {letter: round(p, 6) for letter, p in probabilities({"A": math.log(3) - 7, "B": -7.0}).items()}
        {'A': 0.75, 'B': 0.25}
    """
    highest = max(scores.values())
    weights = {letter: math.exp(score - highest) for letter, score in scores.items()}
    total = sum(weights.values())
    return {letter: weight / total for letter, weight in weights.items()}


def averaged(experts: Sequence[Mapping[str, float]]) -> str:
    """The letter with the highest mean probability for one item, the first on a tie; "" if a score
    is NaN.

    Example:
        >>> averaged([{"A": 0.0, "B": -0.1}, {"A": -9.0, "B": 0.0}])
        'B'
    """
    if any(math.isnan(score) for scores in experts for score in scores.values()):
        return ""
    rows = [probabilities(scores) for scores in experts]
    return max(rows[0], key=lambda letter: sum(row[letter] for row in rows))


class TopExperts(Answerer):
    """Some experts of a panel, given by index, averaged."""

    def __init__(self, panel: Panel, experts: Sequence[int]) -> None:
        self._panel, self.experts, self.models = panel, tuple(experts), len(experts)

    def answers(self, questions: Accuracy) -> list[str]:
        rows = [self._panel.option_scores(questions, expert) for expert in self.experts]
        return [averaged(scores) for scores in zip(*rows, strict=True)]


def top_k(panel: Panel, dev: Accuracy, seed: int) -> TopExperts:
    """Rank the experts, then choose how many."""

    def right(experts: Sequence[int]) -> float:
        return sum(dev.judge(TopExperts(panel, experts).answers(dev)))

    ranked = sorted(range(panel.n), key=lambda expert: -right([expert]))
    return TopExperts(panel, max((ranked[:k] for k in range(1, panel.n + 1)), key=right))
