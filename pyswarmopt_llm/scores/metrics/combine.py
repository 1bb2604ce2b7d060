"""Combines the scores of several tasks into one that increases with each, see `find_combine`; a
single score stays unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter, mul
from statistics import fmean

import numpy as np

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import unknown

FIRST = "first"
SHORT = 10.0  # penalty, in points of the value, for each point below the floor
_STEP = 1e-6  # of a difference that stands for a slope


@dataclass(frozen=True)
class Combine:
    """Combines scores by a function of their values.

    The standard error is by the delta method: each score's error times the slope of the combined
    value with respect to it.

    Attributes:
        value: the combined value of the tasks' values.

    Example:
        >>> both = arithmetic([Score(0.5, (), 10, 0.3), Score(1.0, (), 10, 0.4)])
        >>> both.value, round(both.stderr, 6), both.n
        (0.75, 0.25, 20)
    """

    value: Callable[[Sequence[float]], float]

    def __call__(self, scores: Sequence[Score]) -> Score:
        """The combined score, with the items of all tasks."""
        if len(scores) == 1:
            return scores[0]
        values = [score.value for score in scores]
        slopes = zip(self.slopes(values), scores, strict=True)
        stderr = math.hypot(*(slope * score.stderr for slope, score in slopes))
        per_item = tuple(item for score in scores for item in score.per_item)
        return Score(self.value(values), per_item, sum(score.n for score in scores), stderr)

    def slopes(self, values: Sequence[float]) -> list[float]:
        """Slopes of the combined value with respect to each of these values.

        Example:
            >>> [round(slope, 6) for slope in arithmetic.slopes([0.25, 0.5])]
            [0.5, 0.5]
        """
        steps = _STEP * np.eye(len(values))
        rises = [self.value(values + step) - self.value(values - step) for step in steps]
        return [float(rise / (2 * _STEP)) for rise in rises]


def find_combine(spec: str, n_tasks: int) -> Combine:
    """``harmonic``, ``arithmetic``, ``weighted:1,0.01`` with a weight for each task, ``keep:0.62``
    with a floor for the last one, or ``first``, which a search for a front has.

    Raises:
        UserError: the name is unknown, the floor or a weight is not a number, or there is only one
            task.

    Example:
        >>> find_combine("arithmetic", 2) is arithmetic
        True
    """
    if spec in (named := {"harmonic": harmonic, "arithmetic": arithmetic}):
        return named[spec]
    if spec == FIRST:
        return first
    kind, _, text = spec.partition(":")
    if kind == "weighted":
        return Combine(partial(weighted, weights=_weights(spec, text, n_tasks)))
    if kind != "keep":
        raise unknown("combine", spec, [*named, "weighted:1,0.01", "keep:0.62"])
    try:
        floor = float(text)
    except ValueError:
        floor = math.nan
    if n_tasks < 2 or not math.isfinite(floor):
        why = ": use a number as floor for the last of several tasks (keep:0.62)"
        raise InvalidOption("combine", spec, why)
    return Combine(partial(keeping, floor=floor))


def _weights(spec: str, text: str, count: int) -> list[float]:
    """The weights of so many scores.

    Raises:
        InvalidOption: there are more or fewer weights, or one is not a number above 0.
    """
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != count or not all(0 < weight < math.inf for weight in weights):
        why = f": use a number above 0 for each of the {count} scores (weighted:1,0.01)"
        raise InvalidOption("combine", spec, why)
    return weights


def weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    """The weighted sum; a score with "lower is better" has the other sign.

    Example:
        >>> weighted([0.75, -50.0], [1.0, 0.01])
        0.25
    """
    return math.fsum(map(mul, values, weights))


def harmonic_mean(values: Sequence[float]) -> float:
    """The harmonic mean of the tasks' values (Feng et al. 2024, section 3, multi-task objectives).

    It rewards balance, and is 0 if any task's value is.

    Example:
        >>> harmonic_mean([0.5, 1.0])
        0.6666666666666666
    """
    if min(values) <= 0:
        return 0.0
    return len(values) / math.fsum(1 / value for value in values)


def keeping(values: Sequence[float], floor: float) -> float:
    """The mean value of all tasks but the last, which must only stay above the floor: its shortfall
    counts `SHORT` times (an exact penalty: Nocedal & Wright 2006, section 17.2).

    So a candidate falls below the floor by at most a tenth of the others' gain.

    Example:
        >>> keeping([0.5, 0.8], 0.7), round(keeping([0.5, 0.6], 0.7), 6)
        (0.5, -0.5)
    """
    *others, kept = values
    return fmean(others) - SHORT * max(0.0, floor - kept)


harmonic = Combine(harmonic_mean)
first = Combine(itemgetter(0))
arithmetic = Combine(fmean)  # one task can compensate for another
