"""The difference of combined scores, against enumeration, the delta method, and what is known for
means.
"""

from __future__ import annotations

from itertools import product
from statistics import fmean

import numpy as np
import pytest

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import compare_differences, compare_paired, score_of
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.metrics.combines import arithmetic, harmonic
from pyswarmopt_llm.searching.scoring.combined import combined_difference


def right(rng: np.random.Generator, share: float, count: int) -> Score:
    return score_of((rng.random(count) < share).astype(float).tolist())


@pytest.mark.parametrize("combine", [arithmetic, harmonic])
def test_the_p_value_is_that_of_all_ways_to_swap(combine: Combine) -> None:
    first = {"a": score_of([0.9, 0.5, 0.8, 0.3]), "b": score_of([0.2, 0.9, 0.7])}
    second = {"a": score_of([0.1, 0.6, 0.2, 0.1]), "b": score_of([0.1, 0.4, 0.8])}
    result = combined_difference(first, second, combine, alike=False)
    assert result is not None
    gains = []
    for swaps in product((False, True), repeat=7):
        sides = []
        for flipped in (False, True):
            means, rest = [], iter(swaps)
            for name, score in first.items():
                pairs = zip(score.per_item, second[name].per_item, strict=True)
                means.append(fmean(pair[next(rest) != flipped] for pair in pairs))
            sides.append(combine([Score(mean, (), 1, 0.0) for mean in means]).value)
        gains.append(sides[0] - sides[1])
    assert result.difference == pytest.approx(gains[0])
    exact = np.mean([abs(gain) >= abs(gains[0]) - 1e-9 for gain in gains])
    assert result.p_value == pytest.approx(exact, abs=1e-9 if combine is arithmetic else 0.03)


def test_of_two_scores_of_the_same_items_the_mean_is_tested_as_one_score() -> None:
    """The second nearly takes back what the first gains, so that it matters which go together."""
    rng = np.random.default_rng(5)
    ours, theirs = rng.random(60), rng.random(60)
    first = {"a": score_of(ours.tolist()), "b": score_of((1 - 0.8 * ours).tolist())}
    second = {"a": score_of(theirs.tolist()), "b": score_of((1 - 0.8 * theirs).tolist())}
    result = combined_difference(first, second, arithmetic, alike=True)
    means = [((x + 1 - 0.8 * x) / 2).tolist() for x in (ours, theirs)]
    expected = compare_paired(*means)
    assert result is not None and result.n == 60
    assert result.difference == pytest.approx(expected.difference)
    assert result.interval == pytest.approx(expected.interval, abs=1e-6)
    assert result.p_value == pytest.approx(expected.p_value)
    apart = combined_difference(first, second, arithmetic, alike=False)
    assert apart is not None and apart.n == 120
    assert np.ptp(apart.interval) > 3 * np.ptp(result.interval)


def test_the_interval_of_a_harmonic_mean_is_that_of_the_delta_method() -> None:
    rng = np.random.default_rng(6)
    first = {"a": right(rng, 0.7, 400), "b": right(rng, 0.5, 300)}
    second = {"a": right(rng, 0.6, 400), "b": right(rng, 0.4, 300)}
    result = combined_difference(first, second, harmonic, alike=False)
    totals = [harmonic(list(scores.values())) for scores in (first, second)]
    # the items of both are drawn independently here, so that their variances add up
    half = 1.96 * np.hypot(totals[0].stderr, totals[1].stderr)
    assert result is not None
    assert result.difference == pytest.approx(totals[0].value - totals[1].value)
    assert np.ptp(result.interval) / 2 == pytest.approx(half, rel=0.1)
    assert np.mean(result.interval) == pytest.approx(result.difference, abs=0.1 * half)


def test_where_all_items_are_alike_the_interval_is_that_of_few_items() -> None:
    all_right, none = score_of([1.0] * 20), score_of([0.0] * 20)
    result = combined_difference(
        {"a": all_right, "b": all_right}, {"a": none, "b": none}, harmonic, alike=False
    )
    assert result is not None and 0.5 < result.interval[0] < result.difference == 1.0
    same = combined_difference({"a": none, "b": none}, {"a": none, "b": none}, harmonic, False)
    assert same is not None and (same.difference, same.sign, same.p_value) == (0, 0, 1)


def test_of_two_models_that_never_differ_the_interval_is_of_the_greatest_difference() -> None:
    right_and_wrong = score_of([1.0, 0.0] * 10)
    both = dict.fromkeys("ab", right_and_wrong)
    result = combined_difference(both, both, arithmetic, alike=True)
    expected = compare_differences(np.zeros(20), largest=1.0)
    assert result is not None and result.interval == pytest.approx(expected.interval, abs=1e-6)
    assert expected.interval[1] > 0.05


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": score_of([0.5, 1.0])}, {"a": score_of([0.5, 0.0])}),  # a single task
        ({}, {}),
        ({"a": score_of([0.5, 1.0]), "b": Score(0.3, (), 1, 0.0)},) * 2,  # without items
        ({"a": score_of([0.5, 1.0]), "b": Score(0.3, (0.5, 0.5), 2, 0.0)},) * 2,  # not their mean
        ({"a": score_of([0.5, 1.0]), "b": score_of([1.0, 1.0])}, {"a": score_of([0.5, 1.0])}),
    ],
)
def test_what_has_no_combined_difference(first: dict[str, Score], second: dict[str, Score]) -> None:
    assert combined_difference(first, second, arithmetic, alike=False) is None
