"""Votes with one answer per member: unweighted, weighted, or by confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyswarmopt_groups.voting.ballots import Outcome, Same, cluster, equivalent, settle

Answers = Sequence[str | None]


def majority(answers: Answers, same: Same = equivalent) -> Outcome[str | None]:
    """The answer that most members give (plurality vote; self-consistency where the members are samples of one model).

    Source: Wang et al. 2023, arXiv 2203.11171, section 2 (self-consistency).

    Answers that are the `same` count as one, worded as by the first-listed member. None and blank texts abstain. A tie
    goes to the answer given first. `scores` are votes.

    Raises:
        ValueError: no members, or an answer that is no text.

    Example:
        >>> outcome = majority(["Lyon", "Paris", "paris.", None])
        >>> outcome.answer, dict(outcome.scores), outcome.agreement
        ('Paris', {'Lyon': 1.0, 'Paris': 2.0}, 0.5)
    """
    return weighted(answers, [1.0] * len(answers), same)


def weighted(answers: Answers, weights: Sequence[float], same: Same = equivalent) -> Outcome[str | None]:
    """The answer with the greatest sum of its members' weights.

    `log_odds` gives the optimal weights for members with independent errors. A negative weight counts against the
    answer. `scores` are sums of weights; otherwise as `majority`.

    Raises:
        ValueError: no members, the wrong number of weights, or a weight that is not finite.

    Example:
        >>> weighted(["A", "B", "B"], [3, 1, 1]).answer
        'A'
    """
    ballots = cluster(answers, same)
    _check_numbers(weights, len(ballots), "weights")
    cast: dict[str, list[float]] = {}
    for ballot, weight in zip(ballots, weights, strict=True):
        if ballot is not None:
            cast.setdefault(ballot, []).append(float(weight))
    scores = {answer: math.fsum(parts) for answer, parts in cast.items()}
    return settle(ballots, ballots, scores, scale=math.fsum(abs(w) for w in weights))


def confidence(answers: Answers, confidences: Sequence[float], same: Same = equivalent) -> Outcome[str | None]:
    """The answer with the greatest sum of its members' confidences, the expected number of members who are right.

    Source: the weighted vote of Taubenfeld et al. 2025, arXiv 2502.06233, without their softmax over the members,
    which would undo the calibration.

    A confidence is a member's probability, 0 to 1, that its answer is right; calibrate each member on dev first
    (`fit_temperature`). `scores` are sums of confidences; otherwise as `majority`.

    Raises:
        ValueError: no members, the wrong number of confidences, or a confidence outside 0 to 1.

    Example:
        >>> confidence(["A", "B", "B"], [0.9, 0.3, 0.4]).answer
        'A'
    """
    for i, value in enumerate(confidences):
        if not 0 <= value <= 1:
            raise ValueError(f"confidences[{i}] is {value}: a confidence is a probability, 0 to 1")
    _check_numbers(confidences, len(answers), "confidences")
    return weighted(answers, confidences, same)


def log_odds(accuracies: Sequence[float], items: int, options: int = 2) -> list[float]:
    """The optimal weights of `weighted` for members with independent errors.

    Source: Nitzan and Paroush 1982; Shapley and Grofman 1984: w = log(p / (1 - p)) for two options. With K options,
    all wrong ones equally likely, Bayes' rule gives log((K - 1) p / (1 - p)).

    A member at chance weighs 0, one below chance less. Counts are smoothed by one item at chance, 1 / K right and
    1 - 1 / K wrong, which keeps the weights finite (K = 2: the half of Haldane 1956 and Anscombe 1956).

    Args:
        accuracies: of each member on dev.
        items: number of dev items.
        options: number K of options.

    Raises:
        ValueError: an accuracy outside 0 to 1, fewer than 1 item or 2 options.

    Example:
        >>> [round(w, 2) for w in log_odds([0.9, 0.5, 0.2], items=100)]
        [2.15, 0.0, -1.37]
    """
    if items < 1:
        raise ValueError(f"items is {items}: accuracies come from at least 1 dev item")
    if options < 2:
        raise ValueError(f"options is {options}: a vote needs at least 2 answers to choose from")
    weights = []
    for i, accuracy in enumerate(accuracies):
        if not 0 <= accuracy <= 1:
            raise ValueError(f"accuracies[{i}] is {accuracy}: an accuracy is a share, 0 to 1")
        right = accuracy * items + 1 / options
        wrong = (1 - accuracy) * items + 1 - 1 / options
        weights.append(math.log((options - 1) * right / wrong))
    return weights


def _check_numbers(numbers: Sequence[float], members: int, name: str) -> None:
    if members == 0:
        raise ValueError("no members: a vote needs at least one answer, be it None")
    if len(numbers) != members:
        raise ValueError(f"{len(numbers)} {name} for {members} answers: give one per member, abstentions included")
    for i, number in enumerate(numbers):
        if not math.isfinite(number):
            raise ValueError(f"{name}[{i}] is {number}: give finite numbers")
