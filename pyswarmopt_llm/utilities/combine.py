"""One number from the scores on several tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyswarmopt_llm.interfaces import Score


def harmonic(scores: Sequence[Score]) -> Score:
    """The harmonic mean of the tasks' values (Feng et al. 2024, section 3, multi-task objectives); of one task its own.

    The harmonic mean rewards balance: it is 0 if any task is. The standard error follows from the tasks' by the
    delta method, d H / d v_i = H^2 / (m v_i^2).

    Raises:
        ValueError: without scores.

    Example:
        >>> harmonic([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)]).value
        0.6666666666666666
    """
    if not scores:
        raise ValueError("no scores to combine")
    if len(scores) == 1:
        return scores[0]
    per_item = tuple(value for score in scores for value in score.per_item)
    n = sum(score.n for score in scores)
    if any(score.value <= 0 for score in scores):
        return Score(0.0, per_item, n, math.nan)
    value = len(scores) / math.fsum(1 / score.value for score in scores)
    parts = (score.stderr * value**2 / (len(scores) * score.value**2) for score in scores)
    return Score(value, per_item, n, math.hypot(*parts))
