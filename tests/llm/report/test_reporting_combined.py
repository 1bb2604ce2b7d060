"""Combined scores and their differences, against swaps, the delta method, and what is known for
means.
"""

from __future__ import annotations

import numpy as np
import pytest

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.combined import combined_difference, combined_interval
from pyswarmopt_llm.scores.metrics.combine import Combine, arithmetic, harmonic


def right(rng: np.random.Generator, share: float, count: int) -> Score:
    return score_of((rng.random(count) < share).astype(float).tolist())


@pytest.mark.parametrize("combine", [arithmetic, harmonic])
def test_questions_that_are_repeated_in_each_task_count_once(combine: Combine) -> None:
    rng = np.random.default_rng(2)
    once = [{"a": right(rng, 0.6, 40), "b": right(rng, 0.5, 40)} for _ in range(2)]
    twice = [
        {name: score_of([*score.per_item, *score.per_item]) for name, score in side.items()}
        for side in once
    ]
    asked = {name: [*range(40), *range(40)] for name in "ab"}
    expected = combined_difference(*once, combine)
    found = combined_difference(*twice, combine, questions=asked)
    assert expected is not None and found is not None
    assert found.interval == pytest.approx(expected.interval)
    assert found.p_value == pytest.approx(expected.p_value)
    single = combined_interval(twice[0], combine, questions=asked)
    assert single == pytest.approx(combined_interval(once[0], combine))


def test_the_interval_of_a_harmonic_mean_is_that_of_the_delta_method() -> None:
    rng = np.random.default_rng(6)
    first = {"a": right(rng, 0.7, 400), "b": right(rng, 0.5, 300)}
    second = {"a": right(rng, 0.6, 400), "b": right(rng, 0.4, 300)}
    result = combined_difference(first, second, harmonic)
    totals = [harmonic(list(scores.values())) for scores in (first, second)]
    # the items of both are drawn independently here, so that their variances add up
    half = 1.96 * np.hypot(totals[0].stderr, totals[1].stderr)
    assert result is not None
    assert result.difference == pytest.approx(totals[0].value - totals[1].value)
    assert np.ptp(result.interval) / 2 == pytest.approx(half, rel=0.1)
    assert np.mean(result.interval) == pytest.approx(result.difference, abs=0.1 * half)
