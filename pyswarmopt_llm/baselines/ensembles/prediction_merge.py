"""Prediction merge: every expert answers, the answer that most of them give counts.

A trivial rival of Model Swarms (Feng et al. 2024, arXiv 2410.11163). A tie goes to the answer of the expert that is
listed first (`collective.voting.majority`); for items with choices the ballots are letters, else texts.
"""

from __future__ import annotations

from pyswarmopt_llm.baselines.ensembles.ensemble import Ensemble, Panel
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.metrics.accuracy import Accuracy


class Vote:
    """A `Voice`.

    Args:
        panel: the voters.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def answers(self, asked: Accuracy) -> list[str]:
        """The plurality's answer to each item."""
        ballots = zip(*self._panel.answers(asked), strict=True)
        return [voting.majority(list(answers)).answer or "" for answers in ballots]


METHOD = Ensemble(
    name="prediction-merge",
    paper="a trivial rival of Feng et al. 2024, arXiv 2410.11163",
    fit=lambda panel, dev, seed: Vote(panel),
    open_questions=True,
)
