"""Combines the scores of several tasks into one that increases with each, see `find_combine`; a
single score stays unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

import numpy as np

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import unknown

Combine = Callable[[Sequence[Score]], Score]
SHORT = 10.0  # penalty, in points of the value, for each point below the floor
_STEP = 1e-6  # of a difference that stands for a slope


def combined_value(combine: Combine, scores: Sequence[float]) -> float:
    """The combined value of values, without items.

    Example:
        >>> combined_value(arithmetic, [0.25, 0.75])
        0.5
    """
    return combine([Score(score, (score,), 1, 0.0) for score in scores]).value


def slopes(combine: Combine, values: Sequence[float]) -> list[float]:
    """Slopes of the combined value with respect to each of these values.

    Example:
        >>> [round(slope, 6) for slope in slopes(arithmetic, [0.25, 0.5])]
        [0.5, 0.5]
    """

    steps = _STEP * np.eye(len(values))
    ends = [[combined_value(combine, values + sign * step) for step in steps] for sign in (1, -1)]
    return ((np.array(ends[0]) - np.array(ends[1])) / (2 * _STEP)).tolist()


def find_combine(spec: str, n_tasks: int) -> Combine:
    """``harmonic``, ``arithmetic``, or ``keep:0.62`` with a floor for the last task.

    Raises:
        UserError: the name is unknown, the floor is not a number, or there is only one task.

    Example:
        >>> find_combine("arithmetic", 2) is arithmetic
        True
    """
    if spec == "harmonic":
        return harmonic
    if spec == "arithmetic":
        return arithmetic
    kind, _, text = spec.partition(":")
    if kind != "keep":
        raise unknown("combine", spec, ["harmonic", "arithmetic", "keep:0.62"])
    try:
        floor = float(text)
    except ValueError:
        floor = math.nan
    if n_tasks < 2 or not math.isfinite(floor):
        why = ": use a number as floor for the last of several tasks (keep:0.62)"
        raise InvalidOption("combine", spec, why)
    return partial(keeping, floor=floor)


def harmonic(scores: Sequence[Score]) -> Score:
    """The harmonic mean of the tasks' values (Feng et al. 2024, section 3, multi-task objectives).

    It rewards balance, and is 0 if any task's value is. The standard error is by the delta method,
    d H / d v_i = H^2 / (m v_i^2).

    Example:
        >>> harmonic([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)]).value
        0.6666666666666666
    """
    if len(scores) == 1:
        return scores[0]
    if any(score.value <= 0 for score in scores):
        return together(scores, 0.0, math.nan)
    value = len(scores) / math.fsum(1 / score.value for score in scores)
    parts = (score.stderr * value**2 / (len(scores) * score.value**2) for score in scores)
    return together(scores, value, math.hypot(*parts))


def arithmetic(scores: Sequence[Score]) -> Score:
    """The mean of the tasks' values; one task can compensate for another.

    Example:
        >>> arithmetic([Score(0.5, (), 10, 0.0), Score(1.0, (), 10, 0.0)]).value
        0.75
    """
    error = math.hypot(*(score.stderr for score in scores)) / len(scores)
    return together(scores, fmean(score.value for score in scores), error)


def keeping(scores: Sequence[Score], floor: float) -> Score:
    """The mean value of all tasks but the last, which must only stay above the floor: its shortfall
    counts `SHORT` times (an exact penalty: Nocedal & Wright 2006, section 17.2).

    So a candidate falls below the floor by at most a tenth of the others' gain.

    Example:
        >>> searched, good, bad = (Score(value, (), 10, 0.0) for value in (0.5, 0.8, 0.6))
        >>> keeping([searched, good], 0.7).value, round(keeping([searched, bad], 0.7).value, 6)
        (0.5, -0.5)
    """
    *others, kept = scores
    total = arithmetic(others)
    short = floor - kept.value
    if short <= 0:
        return together(scores, total.value, total.stderr)
    stderr = math.hypot(total.stderr, SHORT * kept.stderr)
    return together(scores, total.value - SHORT * short, stderr)


def together(scores: Sequence[Score], value: float, stderr: float) -> Score:
    """A combined score with the items of all tasks."""
    per_item = tuple(item for score in scores for item in score.per_item)
    return Score(value, per_item, sum(score.n for score in scores), stderr)
