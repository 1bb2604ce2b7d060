"""Voting: one answer from the answers or the rankings of several members.

Every strategy returns an `Outcome` with the answer, the ballots, the scores and the agreement. A member abstains with
None, a blank text or an empty ranking; if all do, the answer is None. A tie goes to the answer given first, that is by
the first-listed member; `Outcome.tied` says when that decided. Wrong input is a `ValueError`.

Example:
    >>> from pyswarmopt_llm.groups import voting
    >>> voting.majority(["12", "12 apples", "13"]).answer
    '12'
    >>> voting.condorcet([["A", "B", "C"], ["B", "C", "A"], ["B", "A", "C"]]).answer
    'B'
"""

from __future__ import annotations

from pyswarmopt_llm.groups.voting.rules.calibration import calibrated, fit_temperature
from pyswarmopt_llm.groups.voting.rules.equivalence import cluster, equivalent
from pyswarmopt_llm.groups.voting.rules.outcome import Outcome
from pyswarmopt_llm.groups.voting.rules.plurality import confidence, majority, weighted
from pyswarmopt_llm.groups.voting.rules.rankings import (
    borda,
    condorcet,
    copeland,
    duels,
    reciprocal_rank,
    strongest_paths,
)
from pyswarmopt_llm.groups.voting.rules.weights import log_odds

__all__ = [
    "Outcome",
    "borda",
    "calibrated",
    "cluster",
    "condorcet",
    "confidence",
    "copeland",
    "duels",
    "equivalent",
    "fit_temperature",
    "log_odds",
    "majority",
    "reciprocal_rank",
    "strongest_paths",
    "weighted",
]
