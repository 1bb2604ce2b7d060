"""Voting: one answer from several members' answers or rankings.

Every rule returns an `ElectionOutcome`. A member abstains with None, a blank text or an empty ranking; if
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

from collections.abc import Callable, Sequence
from typing import Any

from pyswarmopt_groups.voting.ballots import (
    ElectionOutcome,
    cluster,
    confidence,
    equivalent,
    log_odds,
    majority,
    weighted,
)
from pyswarmopt_groups.voting.calibration import calibrated, fit_temperature
from pyswarmopt_groups.voting.rankings import borda, condorcet, duels, strongest_paths

_RULES: dict[str, Callable[..., ElectionOutcome]] = {
    rule.__name__: rule for rule in (majority, weighted, confidence, borda, condorcet)
}


def vote(
    ballots: Sequence[Any], *more: Any, rule: str = "majority", **options: Any
) -> ElectionOutcome:
    """One answer from the members' answers or rankings, by the named rule.

    Args:
        ballots: one answer per member; for ``borda`` and ``condorcet`` one ranking per member, best
            first.
        more: other positional arguments of the rule: weights for ``weighted``, confidences for
            ``confidence``.
        rule: name of one of the rules above.
        options: keyword arguments of the rule.

    Raises:
        ValueError: the rule is unknown, or the input is invalid.

    Example:
        >>> vote(["A", "B", "B"]).answer, vote(["A", "B", "B"], [3.0, 1.0, 1.0], rule="weighted").answer
        ('B', 'A')
    """
    if rule not in _RULES:
        raise ValueError(f"unknown rule {rule!r}; use one of {', '.join(_RULES)}")
    return _RULES[rule](ballots, *more, **options)


__all__ = [
    "ElectionOutcome",
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
    "vote",
    "weighted",
]
