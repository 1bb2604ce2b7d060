"""The outcome of a vote, and the tie rule of all strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

BallotT = TypeVar("BallotT")

# Sums of the same weights in another order differ by rounding: that must not decide a vote.
_TIE = 1e-9


@dataclass(frozen=True)
class Outcome(Generic[BallotT]):
    """The result of a vote.

    Attributes:
        answer: the winner; None if every member abstained.
        ballots: one per member, in the order of the members: the answer it was counted for (None: it abstained), or
            its ranking, best first (empty: it abstained).
        scores: what each answer got, in the order in which the answers were first given; the unit is the strategy's.
        tied: the answers that share the best score, in the same order. More than one means that the tie rule decided.
        agreement: share of all members, those who abstained included, whose (first) choice is `answer`; 0 to 1.
            Unweighted, so that strategies are comparable.
    """

    answer: str | None
    ballots: tuple[BallotT, ...]
    scores: Mapping[str, float]
    tied: tuple[str, ...]
    agreement: float


def settle(
    ballots: Sequence[BallotT], first_choices: Sequence[str | None], scores: Mapping[str, float], scale: float
) -> Outcome[BallotT]:
    """The outcome in which the best score wins and a tie goes to the answer that was given first.

    Args:
        ballots: one per member.
        first_choices: each member's first choice, None where it abstained.
        scores: in the order in which the answers were first given (reading the members one after the other, a ranking
            from its best on). That order is the tie rule: the first-listed member decides, and where it has not named
            any of the tied answers the next one does.
        scale: size of the scores; those within 1e-9 of it from the best are tied.

    Example:
        >>> settle(["b", "a"], ["b", "a"], {"b": 1.0, "a": 1.0}, scale=2.0).answer
        'b'
    """
    if not scores:
        return Outcome(None, tuple(ballots), {}, (), 0.0)
    best = max(scores.values())
    tied = tuple(answer for answer, score in scores.items() if score >= best - _TIE * scale)
    agreement = sum(choice == tied[0] for choice in first_choices) / len(first_choices)
    return Outcome(tied[0], tuple(ballots), dict(scores), tied, agreement)


__all__ = ["Outcome", "settle"]
