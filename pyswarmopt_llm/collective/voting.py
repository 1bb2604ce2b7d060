"""Voting: one answer from the answers or the rankings of several members.

Every strategy returns an `Outcome` with the answer, the ballots, the scores and the agreement. A member abstains with
None, a blank text or an empty ranking; if all do, the answer is None. A tie goes to the answer given first, that is by
the first-listed member; `Outcome.tied` says when that decided. Wrong input is a `ValueError`.

Example:
    >>> from pyswarmopt_llm.collective import voting
    >>> voting.majority(["12", "12 apples", "13"]).answer
    '12'
    >>> voting.condorcet([["A", "B", "C"], ["B", "C", "A"], ["B", "A", "C"]]).answer
    'B'
"""

from __future__ import annotations

from .calibration import calibrated, fit_temperature
from .equivalence import cluster, equivalent
from .outcome import Outcome
from .plurality import confidence, majority, weighted
from .rankings import borda, condorcet, copeland, duels, reciprocal_rank, strongest_paths
from .weights import log_odds

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
