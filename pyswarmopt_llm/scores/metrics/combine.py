"""Combine the scores on several tasks into one that increases with each of them: the harmonic mean of
the paper; the others are in `other_combines`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import lazy

Combine = Callable[[Sequence[Score]], Score]
other_combine: Callable[[str, int], Combine] = lazy(
    "pyswarmopt_llm.scores.metrics.other_combines:other_combine"
)


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
        return together(scores, 0.0, math.nan)
    value = len(scores) / math.fsum(1 / score.value for score in scores)
    parts = (score.stderr * value**2 / (len(scores) * score.value**2) for score in scores)
    return together(scores, value, math.hypot(*parts))


def find_combine(spec: str, n_tasks: int) -> Combine:
    """``harmonic``, or another one of `other_combine`.

    Example:
        >>> find_combine("harmonic", 2) is harmonic
        True
    """
    return harmonic if spec == "harmonic" else other_combine(spec, n_tasks)


def combined_value(combine: Combine, scores: Sequence[float]) -> float:
    """The combination of values whose items are not looked at.

    Example:
        >>> combined_value(harmonic, [0.5, 0.25])
        0.3333333333333333
    """
    return combine([Score(score, (score,), 1, 0.0) for score in scores]).value


def together(scores: Sequence[Score], value: float, stderr: float) -> Score:
    """The combined score with the items of all tasks."""
    per_item = tuple(item for score in scores for item in score.per_item)
    return Score(value, per_item, sum(score.n for score in scores), stderr)
