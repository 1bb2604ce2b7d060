"""From answers to an outcome: which answers are equivalent, and who wins by given scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyswarmopt_llm.tasks.answers import stated_answer

BallotT = TypeVar("BallotT")
Same = Callable[[str, str], bool]

# Sums of the same weights in another order differ by rounding: that must not decide a vote.
_TIE = 1e-9


def equivalent(a: str, b: str) -> bool:
    """Whether two texts state the same answer, as `pyswarmopt_llm.tasks.is_correct` reads them.

    The answer is what follows "the answer is" or stands in a LaTeX box, else the whole text. Numbers are compared by
    value, ignoring thousands separators, currency signs and units; other texts ignoring case and surrounding spaces and
    punctuation.

    Example:
        >>> equivalent("The answer is $1,200.", "1200.00"), equivalent("Lima", "lima.")
        (True, True)
        >>> equivalent("5", "3 + 5"), equivalent("Lima", "not Lima")
        (False, False)
    """
    return stated_answer(a) == stated_answer(b)


def cluster(answers: Sequence[str | None], same: Same = equivalent) -> list[str | None]:
    """Each answer replaced by the first-listed one with the same meaning; None for an abstention (None or blank).

    Clusters are the connected components of `same`, so they do not depend on the order of the members.

    Args:
        answers: one per member.
        same: whether two different texts mean the same; called once per pair, so it may be a model.

    Raises:
        ValueError: `answers` is a single string, or contains anything but strings and None.

    Example:
        >>> cluster(["42", "forty-two", " 42.0 ", "", None])
        ['42', 'forty-two', '42', None, None]
    """
    if isinstance(answers, str):
        raise ValueError(f"answers is the single text {answers!r}: give a list with one answer per member")
    for i, answer in enumerate(answers):
        if not (answer is None or isinstance(answer, str)):
            raise ValueError(f"answers[{i}] is {answer!r}: give a text, or None for a member that abstains")
    texts = [None if answer is None or not answer.strip() else answer.strip() for answer in answers]
    leader: dict[str, str] = {}
    for text in dict.fromkeys(text for text in texts if text is not None):
        joined = {leader[other] for other in leader if same(other, text)}
        first = next((other for other in leader if other in joined), text)
        leader = {other: first if old in joined else old for other, old in leader.items()} | {text: first}
    return [None if text is None else leader[text] for text in texts]


@dataclass(frozen=True)
class Outcome(Generic[BallotT]):
    """The result of a vote.

    Attributes:
        answer: the winner; None if every member abstained.
        ballots: per member the answer it was counted for (None: it abstained), or its ranking, best first (empty: it
            abstained).
        scores: per answer, in the order in which the answers were first given; the unit depends on the rule.
        tied: the answers with the best score, in the same order; with more than one, the tie rule decided.
        agreement: share of all members, abstentions included, whose (first) choice is `answer`; 0 to 1, unweighted.
    """

    answer: str | None
    ballots: tuple[BallotT, ...]
    scores: Mapping[str, float]
    tied: tuple[str, ...]
    agreement: float


def settle(
    ballots: Sequence[BallotT], first_choices: Sequence[str | None], scores: Mapping[str, float], scale: float
) -> Outcome[BallotT]:
    """The outcome in which the best score wins; a tie goes to the answer given first.

    Args:
        ballots: one per member.
        first_choices: each member's first choice, None where it abstained.
        scores: in the order in which the answers were first given (member by member, each ranking from its best on),
            which is the tie rule.
        scale: magnitude of the scores; scores within 1e-9 of it are tied.

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
