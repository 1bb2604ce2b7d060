"""Combine the scores on several tasks into one; every combination increases with each task's value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pyswarmopt_llm.common.interfaces import Score

Combine = Callable[[Sequence[Score]], Score]


def harmonic(scores: Sequence[Score]) -> Score:
    """The harmonic mean of the tasks' values (Feng et al. 2024, section 3, multi-task objectives).

    It rewards balance, and is 0 if any task's value is. The standard error is by the delta method,
    d H / d v_i = H^2 / (m v_i^2).

    Raises:
        ValueError: no scores.

    Example:
        >>> harmonic([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)]).value
        0.6666666666666666
    """
    if not scores:
        raise ValueError("no scores to combine")
    if len(scores) == 1:
        return scores[0]
    if any(score.value <= 0 for score in scores):
        return _together(scores, 0.0, math.nan)
    value = len(scores) / math.fsum(1 / score.value for score in scores)
    parts = (score.stderr * value**2 / (len(scores) * score.value**2) for score in scores)
    return _together(scores, value, math.hypot(*parts))


def arithmetic(scores: Sequence[Score]) -> Score:
    """The mean of the tasks' values; one task can compensate for another.

    Example:
        >>> arithmetic([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)]).value
        0.75
    """
    share = 1 / len(scores)
    value = math.fsum(share * score.value for score in scores)
    return _together(scores, value, math.hypot(*(share * score.stderr for score in scores)))


def _together(scores: Sequence[Score], value: float, stderr: float) -> Score:
    per_item = tuple(item for score in scores for item in score.per_item)
    return Score(value, per_item, sum(score.n for score in scores), stderr)


COMBINE: dict[str, Combine] = {"harmonic": harmonic, "arithmetic": arithmetic}
