"""Votes with one answer per member: unweighted, weighted, or by confidence; and equivalence of
answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyswarmopt_llm.scores.tasks.answers import stated_answer
from pyswarmopt_llm.scores.tasks.quantities import Quantity
from pyswarmopt_llm.scores.words import same_words

Answers = Sequence[str | float | None]

# Sums in another order differ by rounding, which must not decide a vote.
_TIE = 1e-9


def equivalent(a: str, b: str) -> bool:
    """Whether two texts state the same answer, as read by `pyswarmopt_llm.scores.tasks.answers`.

    The answer is the text after "the answer is" or in a LaTeX box, a number that ends a sentence
    ("The sum is 24."), or else the whole text. Numbers are compared as in
    `pyswarmopt_llm.scores.tasks.quantities`, other texts as in `pyswarmopt_llm.scores.words`.

    Example:
        >>> equivalent("The answer is $1,200.", "1200.00"), equivalent("Lima", "lima.")
        (True, True)
        >>> equivalent("5", "3 + 5"), equivalent("Lima", "not Lima")
        (False, False)
    """
    first = stated_answer(a)
    second = stated_answer(b)
    if isinstance(first, Quantity) and isinstance(second, Quantity):
        return bool(first.same(second))
    if isinstance(first, Quantity) or isinstance(second, Quantity):
        return False
    return same_words(first, second)


def cluster(answers: Answers) -> list[str | None]:
    """Each answer replaced by the first-listed `equivalent` one; None for an abstention (None or
    blank).

    Raises:
        ValueError: `answers` is a single string.

    Example:
        >>> cluster(["42", "**42**", " 42.0 ", "", None])
        ['42', '42', '42', None, None]
    """
    if isinstance(answers, str):
        raise ValueError(
            f"answers must be a list with one answer per member, not the string {answers!r}"
        )
    ballots: list[str | None] = []
    for answer in answers:
        if answer is None or not str(answer).strip():
            ballots.append(None)
            continue
        text = str(answer).strip()
        same = (other for other in filter(None, ballots) if equivalent(text, other))
        ballots.append(next(same, text))
    return ballots


@dataclass(frozen=True)
class ElectionOutcome:
    """The result of a vote.

    Attributes:
        answer: the winner; None if every member abstained.
        ballots: the answer that each member counts for (of a ranking, the first); None for an
            abstention.
        scores: answer -> score, in the order of first mention; the unit depends on the rule.
        tied: the answers with the best score, in the same order; if several, the tie rule decided.
        agreement: share of all members, abstentions included, whose (first) choice is `answer`; 0
            to 1, unweighted.
    """

    answer: str | None
    ballots: tuple[str | None, ...]
    scores: Mapping[str, float]
    tied: tuple[str, ...]
    agreement: float


def settle(
    ballots: Sequence[str | None], scores: Mapping[str, float], scale: float
) -> ElectionOutcome:
    """The outcome in which the best score wins; a tie goes to the answer given first.

    Args:
        ballots: one per member, None for an abstention.
        scores: in the order of first mention (member by member, each ranking from its best on),
            which is the tie rule.
        scale: magnitude of the scores; scores within 1e-9 of it are tied.

    Example:
        >>> settle(["b", "a"], {"b": 1.0, "a": 1.0}, scale=2.0).answer
        'b'
    """
    if not scores:
        return ElectionOutcome(None, tuple(ballots), {}, (), 0.0)
    best = max(scores.values())
    tied = tuple(answer for answer, score in scores.items() if score >= best - _TIE * scale)
    agreement = sum(ballot == tied[0] for ballot in ballots) / len(ballots)
    return ElectionOutcome(tied[0], tuple(ballots), dict(scores), tied, agreement)


def majority(answers: Answers) -> ElectionOutcome:
    """The answer given by most members (plurality vote; self-consistency if the members are samples
    of one model).

    Source: Wang et al. 2023, arXiv 2203.11171, section 2 (self-consistency).

    `equivalent` answers count as one, in the wording of the first-listed member. None and blank
    texts abstain. A tie goes to the answer given first. `scores` are votes.

    Raises:
        ValueError: there are no members, or an answer is not a text.

    Example:
        >>> outcome = majority(["Lyon", "Paris", "paris.", None])
        >>> outcome.answer, dict(outcome.scores), outcome.agreement
        ('Paris', {'Lyon': 1.0, 'Paris': 2.0}, 0.5)
    """
    return weighted(answers, [1.0] * len(answers))


def weighted(answers: Answers, weights: Sequence[float]) -> ElectionOutcome:
    """The answer with the greatest sum of its members' weights.

    `log_odds` gives the optimal weights for members with independent errors. A negative weight
    counts against the answer. `scores` are sums of weights; otherwise as `majority`.

    Raises:
        ValueError: there are no members, there is not one weight for each, or a weight is not
            finite.

    Example:
        >>> weighted(["A", "B", "B"], [3, 1, 1]).answer
        'A'
    """
    ballots = cluster(answers)
    _check_numbers(weights, len(ballots), "weights")
    cast: dict[str, list[float]] = {}
    for ballot, weight in zip(ballots, weights, strict=True):
        if ballot is not None:
            cast.setdefault(ballot, []).append(float(weight))
    scores = {answer: math.fsum(parts) for answer, parts in cast.items()}
    return settle(ballots, scores, scale=math.fsum(abs(w) for w in weights))


def confidence(answers: Answers, confidences: Sequence[float]) -> ElectionOutcome:
    """The answer with the greatest sum of its members' confidences, that is, the expected number of
    right members.

    Source: the weighted vote of Taubenfeld et al. 2025, arXiv 2502.06233, without their softmax
    over the members, which would undo the calibration.

    A confidence is a member's probability, 0 to 1, that its answer is right; calibrate each member
    on dev first (`fit_temperature`). `scores` are sums of confidences; otherwise as `majority`.

    Raises:
        ValueError: there are no members, there is not one confidence for each, or one is not
            between 0 and 1.

    Example:
        >>> confidence(["A", "B", "B"], [0.9, 0.3, 0.4]).answer
        'A'
    """
    for i, value in enumerate(confidences):
        if not 0 <= value <= 1:
            raise ValueError(f"confidences[{i}] must be a probability between 0 and 1, got {value}")
    _check_numbers(confidences, len(answers), "confidences")
    return weighted(answers, confidences)


def log_odds(accuracies: Sequence[float], items: int, options: int = 2) -> list[float]:
    """The optimal weights of `weighted` for members with independent errors.

    Source: Nitzan and Paroush 1982; Shapley and Grofman 1984: w = log(p / (1 - p)) for two options.
    With K options, all wrong ones equally likely, Bayes' rule gives log((K - 1) p / (1 - p)).

    A member at chance gets weight 0, one below chance a negative weight. Counts are smoothed by one
    item at chance (1 / K right and 1 - 1 / K wrong), which keeps the weights finite (for K = 2, the
    half of Haldane 1956 and Anscombe 1956).

    Args:
        accuracies: accuracy of each member on dev.
        items: number of dev items.
        options: number K of options, at least 2.

    Raises:
        ValueError: an accuracy is not between 0 and 1.

    Example:
        >>> [round(w, 2) for w in log_odds([0.9, 0.5, 0.2], items=100)]
        [2.15, 0.0, -1.37]
    """
    weights = []
    for i, accuracy in enumerate(accuracies):
        if not 0 <= accuracy <= 1:
            raise ValueError(f"accuracies[{i}] must be between 0 and 1, got {accuracy}")
        right = accuracy * items + 1 / options
        wrong = (1 - accuracy) * items + 1 - 1 / options
        weights.append(math.log((options - 1) * right / wrong))
    return weights


def _check_numbers(numbers: Sequence[float], members: int, name: str) -> None:
    if members == 0:
        raise ValueError("a vote needs at least one answer (None counts as one)")
    if len(numbers) != members:
        raise ValueError(
            f"got {len(numbers)} {name} for {members} answers; pass one per member, including those that abstain"
        )
    for i, number in enumerate(numbers):
        if not math.isfinite(number):
            raise ValueError(f"{name}[{i}] must be a finite number, got {number}")
