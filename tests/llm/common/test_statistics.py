"""Intervals and tests, against SciPy, brute force and theory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pyswarmopt_llm.common.statistics import Floats, interval, permutation_test


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=9))
def test_the_exact_test_is_brute_force(differences: list[float]) -> None:
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    expected = np.mean([total >= observed - 1e-9 for total in sums])
    assert permutation_test(differences) == pytest.approx(expected)


def test_the_drawn_test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random(60) < 0.6, rng.random(60) < 0.45
    theirs = stats.permutation_test(
        (x.astype(float), y.astype(float)),
        lambda a, b: (a - b).sum(),
        permutation_type="samples",
        n_resamples=20_000,
        rng=rng,
    )
    ours = permutation_test(x.astype(float) - y)
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)


def test_p_values_of_equals_are_uniform() -> None:
    rng = np.random.default_rng(3)
    found = [permutation_test(rng.normal(size=40)) for _ in range(120)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_ties_that_round_differently_are_ties() -> None:
    """0.1 + 0.2 - 0.3 is not 0 in floating point, but the sign patterns whose sum is 0 are all as
    extreme as it.
    """
    assert permutation_test([0.1, 0.2, -0.3]) == 1.0


def _graded(
    values: list[float], shares: list[float]
) -> tuple[Callable[[np.random.Generator, int], Floats], float]:
    """A law of scores that take few values, and its mean."""
    return lambda rng, n: rng.choice(values, n, p=shares), float(np.dot(values, shares))


LAWS: dict[str, tuple[Callable[[np.random.Generator, int], Floats], float]] = {
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "skewed": (lambda rng, n: rng.beta(8, 1, n), 8 / 9),
    "at the ends": (lambda rng, n: rng.beta(0.5, 0.5, n), 0.5),
    "five grades": _graded([0, 1 / 3, 0.5, 2 / 3, 1], [0.2] * 5),
    "nearly always the same": _graded([0.5, 1.0], [0.95, 0.05]),
    "rarely high": _graded([0.1, 0.9], [0.95, 0.05]),
    "mostly perfect": _graded([1.0, 0.5, 0.0], [0.85, 0.1, 0.05]),
}


@pytest.mark.parametrize("items", [6, 12, 24, 100])
@pytest.mark.parametrize("law", LAWS)
def test_intervals_of_graded_scores_hold_the_mean(law: str, items: int) -> None:
    """95% of 400 samples; the standard error of that share is 1.1%."""
    draw, mean = LAWS[law]
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        low, high = interval(draw(rng, items).tolist())
        held += low <= mean <= high
    assert held >= 368


@pytest.mark.parametrize("values", [[0.5] * 12, [0.3] * 2, [-15.0] * 12, [3.0] * 24, [0.99] * 1000])
def test_items_that_are_all_the_same_have_no_interval_of_zero_width(values: list[float]) -> None:
    low, high = interval(values)
    assert low < values[0] < high
    assert high - low < 10 / len(values)


def test_with_many_items_the_interval_of_graded_scores_is_the_normal_one() -> None:
    values = np.random.default_rng(6).beta(2, 5, 20_000)
    low, high = interval(values.tolist())
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert [low, high] == pytest.approx([values.mean() - half, values.mean() + half], abs=1e-4)


def test_the_scale_is_that_of_the_values_where_they_leave_it() -> None:
    logits = [-15.2, -15.9, -14.8, -16.1, -15.5]
    low, high = interval(logits)
    assert low < np.mean(logits) < high < -14
