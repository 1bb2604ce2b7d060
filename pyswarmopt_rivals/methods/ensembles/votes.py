"""Answers of several experts: the most frequent one, or the option with the highest mean
probability.

Prediction merge, a trivial baseline of Model Swarms (Feng et al. 2024, arXiv 2410.11163): every
expert answers, and the most frequent answer wins, on a tie the first-listed expert's.

Top-k, a control for merging (Dietterich 2000, Multiple Classifier Systems, LNCS 1857): the k best
experts on dev, with each item's option probabilities averaged. It shows what the experts give
without a search, for k times the cost in use. An expert's probabilities are the softmax of its own
option scores (log-probabilities of letters, or log-likelihoods per byte), so k = 1 is
`best-single`. Experts are ranked by dev accuracy, on a tie the earlier one first; k is the smallest
with the ensemble's best dev accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from scipy.special import softmax

from pyswarmopt_groups import voting
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_rivals.methods.ensembles.answerer import Answerer
from pyswarmopt_rivals.methods.method import Settings
from pyswarmopt_rivals.panel import Panel


def prediction_merge(settings: Settings) -> Answerer:
    """Needs no fitting."""
    panel = settings.trial.bench.panel
    return Answerer(lambda questions: plurality(panel.answers(questions)))


def plurality(answers: Sequence[Sequence[str]]) -> list[str]:
    """The most frequent answer to each item, given each expert's answers.

    Example:
        >>> plurality([["A", "B"], ["B", "B"], ["C", "A"]])
        ['A', 'B']
    """
    return [voting.majority(ballots).answer or "" for ballots in zip(*answers, strict=True)]


def top_k(settings: Settings) -> Answerer:
    """Rank the experts, then choose how many."""
    panel = settings.trial.bench.panel
    dev = settings.trial.bench.labelled

    def right(experts: Sequence[int]) -> float:
        return sum(dev.judge(by_mean(panel, experts, dev)))

    ranked = sorted(range(panel.n), key=lambda expert: -right([expert]))
    best = max((ranked[:k] for k in range(1, panel.n + 1)), key=right)
    return Answerer(partial(by_mean, panel, best), len(best))


def by_mean(panel: Panel, experts: Sequence[int], questions: Accuracy) -> list[str]:
    """The answers of these experts of a panel, by mean probability."""
    rows = [panel.option_scores(questions, expert) for expert in experts]
    return [averaged(scores) for scores in zip(*rows, strict=True)]


def averaged(experts: Sequence[Mapping[str, float]]) -> str:
    """The letter with the highest mean probability for one item, the first on a tie; "" if a score
    is NaN.

    Example:
        >>> averaged([{"A": 0.0, "B": -0.1}, {"A": -9.0, "B": 0.0}])
        'B'
    """
    scores = np.array([list(of_expert.values()) for of_expert in experts])
    if np.isnan(scores).any():
        return ""
    return list(experts[0])[int(softmax(scores, axis=1).sum(0).argmax())]
