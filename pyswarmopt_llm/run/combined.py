"""Combined scores: their intervals, and the difference of two models' combined scores.

A harmonic mean is not a mean over items. Each item still has an effect on it: the item's distance
from its task's mean, times the slope of the combination there (delta method). Every task gets a
pseudo-observation at each end of its scale, as a single score does, so that no slope is taken at 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.paired import (
    PSEUDO,
    PairedComparison,
    compare_paired,
    compare_whole,
    needed_for,
    without_rounding,
)
from pyswarmopt_llm.common.statistics import (
    LEVEL,
    Ends,
    Estimate,
    Questions,
    Scored,
    assumed_scale,
    bounds_of,
    by_question,
    estimate,
    score_interval,
)
from pyswarmopt_llm.scores.metrics.combine import Combine, arithmetic

if TYPE_CHECKING:
    from pyswarmopt.base.arrays import Floats


def combined_interval(
    scores: Mapping[str, Score],
    combine: Combine,
    scales: Mapping[str, Ends | None] = {},
    questions: Mapping[str, Questions] = {},
) -> Ends | None:
    """A 95% interval of a combined score; of a single task, see `interval`.

    Simulated with 20 and 100 items in each of 2 and 3 tasks, with accuracies of 5% to 97%, it
    covers the score in at least 92% of samples.

    Args:
        scores: task name -> score.
        combine: combination of the tasks' scores.
        scales: task name -> the least and the greatest score of an item, where known.
        questions: task name -> question of each item.

    Returns:
        None if a task has a single item, or no item has an effect, or a score of all items together
        was not resampled.

    Example:
        >>> from pyswarmopt_llm.common.statistics import score_of
        >>> from pyswarmopt_llm.scores.metrics.combine import harmonic
        >>> low, high = combined_interval(dict(a=score_of([0.0] * 20), b=score_of([1.0] * 20)), harmonic)
        >>> low, round(high, 2)
        (0.0, 0.26)
    """
    if min(score.n for score in scores.values()) < 2:
        return None
    if len(scores) == 1:
        ((name, score),) = scores.items()
        return score_interval(score, scales.get(name), questions.get(name))
    if any(score.whole for score in scores.values()):
        return _by_errors(list(scores.values()), combine)
    ends = {}
    for name, score in scores.items():
        ends[name] = scales.get(name) or assumed_scale(score.per_item)
    found = estimate(*_effects(scores, combine, ends, questions))
    if not found.error:
        return None
    total = combine.value([score.value for score in scores.values()])
    every = np.concatenate([[total], *(score.per_item for score in scores.values())])
    return _around(total, found.interval(scale=bounds_of(every)))


def combined_difference(
    first: Mapping[str, Scored],
    second: Mapping[str, Scored],
    combine: Combine,
    scales: Mapping[str, Ends | None] = {},
    questions: Mapping[str, Questions] = {},
    level: float = LEVEL,
) -> PairedComparison | None:
    """Compare two models' combined scores by Student's test of the items' effects; of a single task,
    see `compare_paired`.

    The pseudo-observations are as in `paired_test`.

    Simulated with 20 and 100 items in each of 2 and 3 tasks, with accuracies of 5% to 97%, equal
    models, and models that trade one task for another: the test is wrong in at most 6% of samples,
    and the interval covers the difference in at least 94%.

    Args:
        first: task name -> score.
        second: scores of another model, to be subtracted.
        combine: combination of the tasks' scores.
        scales: task name -> the least and the greatest score of an item, where known.
        questions: task name -> question of each item.
        level: level of the test.

    Returns:
        None if the models' items differ, or a task has a single one, or one of several tasks is
        scored by all items together.

    Example:
        >>> from pyswarmopt_llm.common.statistics import score_of
        >>> from pyswarmopt_llm.scores.metrics.combine import harmonic
        >>> better, worse = score_of([0.75] * 40), score_of([0.5] * 20 + [0.0] * 20)
        >>> gain = combined_difference(dict(a=better, b=better), dict(a=better, b=worse), harmonic)
        >>> gain.difference, gain.sign, gain.p_value < 0.001, gain.n
        (0.375, 1, True, 80)
        >>> one, none, rest = score_of([1.0] + [0.0] * 19), score_of([0.0] * 20), score_of([1.0] * 20)
        >>> gain = combined_difference(dict(a=one, b=rest), dict(a=none, b=rest), harmonic)
        >>> gain.sign, gain.p_value > 0.4  # one right answer tells little
        (0, True)
    """
    if len(first) == 1 and (score := next(iter(first.values()))).whole:
        return compare_whole(score, next(iter(second.values())), level)
    for name, score in first.items():
        if not len(score.per_item) == len(second[name].per_item) > 1:
            return None
    if len(first) == 1:
        scale, asked = scales.get(name), questions.get(name)
        return compare_paired(score.per_item, second[name].per_item, scale, asked, level)
    ours = {}
    theirs = {}
    changes = []
    for name in first:
        a, b = np.array(first[name].per_item), np.array(second[name].per_item)
        low, high = scales.get(name) or assumed_scale(np.append(a, b))
        reach = PSEUDO * (high - low) / 2
        middle = (low + high) / 2
        ours[name] = (middle + reach, middle - reach)
        theirs[name] = (middle - reach, middle + reach)
        changes.append(without_rounding(a - b, high - low))
    value, effects = _effects(first, combine, ours, questions)
    other, of_other = _effects(second, combine, theirs, questions)
    found = estimate(value - other, [x - y for x, y in zip(effects, of_other, strict=True)])
    gain = combine.value([score.value for score in first.values()])
    gain -= combine.value([score.value for score in second.values()])
    signs = np.sign(np.concatenate(changes))
    return PairedComparison(
        gain,
        _around(gain, found.interval(level)),
        found.p_value(),
        signs.size,
        int((signs > 0).sum()),
        int((signs < 0).sum()),
        needed_for(gain, found.error, signs.size),
    )


def difference(
    first: Scored,
    second: Scored,
    scale: Ends | None = None,
    questions: Questions | None = None,
    level: float = LEVEL,
) -> PairedComparison | None:
    """Compare two models' scores of one task; see `combined_difference`."""
    return combined_difference(
        {"": first}, {"": second}, arithmetic, {"": scale}, {"": questions or ()}, level
    )


def _by_errors(scores: Sequence[Score], combine: Combine) -> Ends | None:
    """An interval of a combined score by the scores' standard errors."""
    values = [score.value for score in scores]
    slopes = zip(combine.slopes(values), scores, strict=True)
    errors = [abs(slope * score.stderr) for slope, score in slopes]
    if not all(map(math.isfinite, errors)) or not any(errors):
        return None
    found = Estimate(combine.value(values), errors, [score.n - 1 for score in scores])
    return found.interval(scale=bounds_of(values))


def _effects(
    scores: Mapping[str, Scored],
    combine: Combine,
    ends: Mapping[str, Ends],
    questions: Mapping[str, Questions],
) -> tuple[float, list[Floats]]:
    """The combination of the tasks' means, and the effects of their items on it, task by task; `ends`
    are each task's pseudo-observations.
    """
    tables = []
    for name, score in scores.items():
        tables.append(np.append(by_question(score.per_item, questions.get(name)), ends[name]))
    means = [float(table.mean()) for table in tables]
    rises = zip(combine.slopes(means), tables, means, strict=True)
    effects = [slope * (table - mean) for slope, table, mean in rises]
    return combine.value(means), effects


def _around(value: float, ends: Ends) -> Ends:
    """An interval widened to hold its value, which is computed without pseudo-observations."""
    return min(ends[0], value), max(ends[1], value)
