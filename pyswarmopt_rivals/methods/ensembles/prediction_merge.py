"""Prediction merge: every expert answers, and the most frequent answer wins, on a tie that of the expert listed first.

A trivial baseline of Model Swarms (Feng et al. 2024, arXiv 2410.11163).
"""

from __future__ import annotations

from pyswarmopt_groups import voting
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_rivals.methods.ensembles.panel import Answerer, Panel


class Vote(Answerer):
    """The plurality of a panel."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def answers(self, questions: Accuracy) -> list[str]:
        ballots = zip(*self._panel.answers(questions), strict=True)
        return [voting.majority(list(answers)).answer or "" for answers in ballots]


def fit(panel: Panel, dev: Accuracy, seed: int) -> Vote:
    """Nothing to fit."""
    return Vote(panel)
