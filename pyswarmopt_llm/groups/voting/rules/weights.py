"""Weights of members from how often they are right on dev."""

from __future__ import annotations

import math
from collections.abc import Sequence


def log_odds(accuracies: Sequence[float], items: int, options: int = 2) -> list[float]:
    """The weights that make `weighted` the best possible rule for members who err independently.

    Source: Nitzan and Paroush 1982; Shapley and Grofman 1984: w = log(p / (1 - p)) for two options. With K options,
    all wrong ones equally likely, Bayes' rule gives log((K - 1) p / (1 - p)).

    A member at chance weighs 0, one below chance less. One item's worth of chance is added to what was counted, that
    is 1 / K right and 1 - 1 / K wrong answers, so that a member that is always right on few items has no infinite
    weight (K = 2: the half of Haldane 1956 and Anscombe 1956).

    Args:
        accuracies: share of right answers on dev, one per member.
        items: number of dev items that they were measured on.
        options: number K of answers to choose from.

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


__all__ = ["log_odds"]
