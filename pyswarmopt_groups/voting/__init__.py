"""Voting: one answer from several members' answers or rankings.

Every rule returns an `Outcome`. A member abstains with None, a blank text or an empty ranking; if
all do, the answer is None. A tie goes to the answer given first, by the first-listed member.
Invalid input is a `ValueError`.

Example:
    >>> from pyswarmopt_groups import voting
    >>> voting.majority(["12", "12 apples", "13"]).answer
    '12'
    >>> voting.condorcet([["A", "B", "C"], ["B", "C", "A"], ["B", "A", "C"]]).answer
    'B'
"""

from __future__ import annotations

from pyswarmopt_groups.voting.ballots import (
    Outcome,
    cluster,
    confidence,
    equivalent,
    log_odds,
    majority,
    weighted,
)
from pyswarmopt_groups.voting.calibration import calibrated, fit_temperature
from pyswarmopt_groups.voting.rankings import borda, condorcet, duels, strongest_paths

__all__ = [
    "Outcome",
    "borda",
    "calibrated",
    "cluster",
    "condorcet",
    "confidence",
    "duels",
    "equivalent",
    "fit_temperature",
    "log_odds",
    "majority",
    "strongest_paths",
    "weighted",
]
