"""Statistics of scores, and of two models on the same items."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import (
    Floats,
    assumed_scale,
    compare_paired,
    interval,
    items_needed,
    paired_test,
    score_interval,
    score_of,
)
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.metrics.combines import harmonic
from pyswarmopt_llm.searching.scoring.combined import combined_difference


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=9))
def test_the_exact_test_is_brute_force(differences: list[float]) -> None:
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    expected = np.mean([total >= observed - 1e-9 for total in sums])
    assert paired_test(differences).p_value == pytest.approx(expected)


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
    ours = paired_test(x.astype(float) - y).p_value
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)


def test_p_values_of_equals_are_uniform() -> None:
    rng = np.random.default_rng(3)
    found = [paired_test(rng.normal(size=40)).p_value for _ in range(120)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_ties_that_round_differently_are_ties() -> None:
    """0.1 + 0.2 - 0.3 is not 0 in floating point, but the sign patterns whose sum is 0 are all as
    extreme as it.
    """
    assert paired_test([0.1, 0.2, -0.3]).p_value == 1.0


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


GRADES = st.lists(st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.3, 1.0]), min_size=1, max_size=40)


@given(GRADES, st.sampled_from([0.05, 0.01, 0.05 / 7]))
def test_the_interval_holds_0_exactly_if_p_is_not_below_the_level(
    differences: list[float], level: float
) -> None:
    p_value, (low, high) = paired_test(differences, level)
    assert (p_value >= level) is (low <= 0 <= high)
    assert low <= np.mean(differences) <= high and high - low > 0


@given(GRADES)
def test_the_other_way_round_it_is_the_mirror_image(differences: list[float]) -> None:
    there, back = paired_test(differences), paired_test([-d for d in differences])
    assert there.p_value == pytest.approx(back.p_value, rel=0.1, abs=1e-3)  # drawn above 16
    if len(differences) <= 16:
        assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))


def test_of_right_and_wrong_the_test_is_mcnemars_exact_one() -> None:
    gained, lost, same = 21, 10, 169
    found = paired_test([1.0] * gained + [-1.0] * lost + [0.0] * same)
    assert found.p_value == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    # Agresti and Min's (2005) interval, half an item in each cell
    b, c, n = gained + 0.5, lost + 0.5, 202
    half = 1.96 * np.sqrt(b + c - (b - c) ** 2 / n) / n
    assert found.interval == pytest.approx(((b - c) / n - half, (b - c) / n + half), abs=0.006)


def test_of_grades_the_interval_is_all_shifts_that_the_test_does_not_reject() -> None:
    """All nine items differ, so that the share of those that do adds little: it is between 0.7 and 1."""
    d = np.array([0.3, 0.11, 0.25, -0.07, 0.19, 0.42, 0.05, 0.23, 0.31])

    def p_of(shift: float) -> float:
        moved = d - shift
        sums = [abs(np.dot(signs, moved)) for signs in product((-1, 1), repeat=d.size)]
        return float(np.mean(np.array(sums) >= abs(moved.sum()) - 1e-12))

    kept = [shift for shift in np.linspace(-0.2, 0.5, 701) if p_of(shift) >= 0.05]
    low, high = paired_test(d).interval
    assert high == pytest.approx(kept[-1], abs=0.001)
    assert 0 < low < kept[0] and kept[0] - low < 0.03


def test_if_nothing_is_lost_the_upper_end_is_that_of_the_share_gained() -> None:
    high = paired_test([1.0] * 8 + [0.0] * 12).interval[1]
    wilson = stats.binomtest(8, 20).proportion_ci(method="wilson")
    assert high == pytest.approx(wilson.high)


def test_with_many_items_the_interval_of_grades_is_students() -> None:
    d = np.random.default_rng(3).normal(0.05, 0.3, 3000)
    half = 1.96 * d.std() / np.sqrt(d.size)
    assert paired_test(d).interval == pytest.approx((d.mean() - half, d.mean() + half), abs=0.001)


# Simulations of the second tier: coverage of the interval, size of the test

Draw = Callable[[np.random.Generator, int], Floats]


def cells(gained: float, lost: float) -> tuple[Draw, float]:
    shares = [gained, lost, 1 - gained - lost]
    return lambda rng, n: rng.choice([1.0, -1.0, 0.0], n, p=shares), gained - lost


GAINED = [(0.02, 0.0), (0.01, 0.01), (0.1, 0.0), (0.1, 0.1), (0.15, 0.05), (0.3, 0.3), (0.5, 0.1)]
GAINED += [(0.45, 0.45), (0.9, 0.05), (0.98, 0.0), (1.0, 0.0)]
GRADE = [0, 0.25, 0.5, 1]
PAIRS: dict[str, tuple[Draw, float]] = {
    **{f"gained {up}, lost {down}": cells(up, down) for up, down in GAINED},
    "grades": (lambda rng, n: rng.choice(GRADE, n) - rng.choice(GRADE, n), 0),
    "grades at the ends": (lambda rng, n: rng.beta(0.5, 0.5, n) - rng.beta(0.5, 0.5, n), 0.0),
    "nearly perfect": (lambda rng, n: rng.beta(30, 1, n) - rng.beta(20, 1, n), 30 / 31 - 20 / 21),
    "rarely different": (lambda rng, n: rng.random(n) * (rng.random(n) < 0.04), 0.02),
    "rarely worse": (lambda rng, n: rng.choice([0.9, -0.1], n, p=[0.1, 0.9]), 0.0),
}


@pytest.mark.parametrize("items", [20, 50, 200])
@pytest.mark.parametrize("name", PAIRS)
def test_coverage_and_size_are_as_the_documentation_says(name: str, items: int) -> None:
    """2,000 samples of right and wrong (few of which are unlike), 400 of grades, whose standard error
    is 1.1%.
    """
    draw, mean = PAIRS[name]
    rng, seen = np.random.default_rng(11), dict[bytes, tuple[float, tuple[float, float]]]()
    samples, held, wrong = (2000 if name.startswith("gained") else 400), 0, 0
    for _ in range(samples):
        d = np.sort(draw(rng, items))
        key = d.tobytes()
        if key not in seen:
            seen[key] = paired_test(d)
        p_value, (low, high) = seen[key]
        held += low - 1e-9 <= mean <= high + 1e-9
        wrong += p_value < 0.05
    slack = 0.0 if name.startswith("gained") else 0.02
    least = {"rarely worse": 0.86 if items < 200 else 0.93}.get(name, 0.9)
    assert held / samples >= least - slack
    if mean == 0:
        most = {"rarely worse": 0.14 if items < 200 else 0.07}.get(name, 0.06)
        assert wrong / samples <= most + slack


@pytest.mark.parametrize(
    ("combine", "ours", "theirs", "items", "least"),
    [
        (harmonic, (0.6, 0.6), (0.6, 0.6), 20, 0.92),
        (harmonic, (0.8, 0.4), (0.4, 0.8), 100, 0.92),
        (harmonic, (0.9, 0.1), (0.9, 0.1), 20, 0.85),  # hardly an item of the second task is right
    ],
)
def test_coverage_of_combined_scores(
    combine: Combine, ours: tuple[float, ...], theirs: tuple[float, ...], items: int, least: float
) -> None:
    rng, held = np.random.default_rng(4), 0
    totals = [combine([Score(v, (v,), 1, 0.0) for v in side]).value for side in (ours, theirs)]

    def scores(shares: tuple[float, ...], common: Floats) -> dict[str, Score]:
        own = np.where(rng.random(common.shape) < 0.6, common, rng.random(common.shape))
        return {str(k): score_of((own[k] < share).astype(float)) for k, share in enumerate(shares)}

    for _ in range(100):
        common = rng.random((len(ours), items))
        found = combined_difference(scores(ours, common), scores(theirs, common), combine, False)
        assert found is not None
        held += found.interval[0] <= totals[0] - totals[1] <= found.interval[1]
    assert held / 100 >= least - 0.05


@pytest.mark.parametrize(
    "seen",
    [
        [1.0] * 10 + [0.0] * 90,  # the normal approximation says 72, of which 67.5% are enough
        [1.0] * 25 + [-1.0] * 15 + [0.0] * 60,
        [0.4, 0.1, -0.2, 0.3, 0.0, 0.25, -0.35, 0.15] * 5,
    ],
)
def test_items_needed_have_the_power_that_is_said(seen: list[float]) -> None:
    n = items_needed(seen)
    assert n is not None
    rng = np.random.default_rng(8)
    found = [paired_test(rng.choice(seen, n)).p_value < 0.05 for _ in range(400)]
    assert 0.75 < np.mean(found) < 0.86


# Scales


def test_the_scale_of_a_judge_is_used() -> None:
    """9 or 1, a tenth of ones: with the values as the ends of the scale 85% of samples hold the mean."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(400):
        low, high = interval(rng.choice([9.0, 1.0], 20, p=[0.9, 0.1]).tolist(), scale=(1, 10))
        held += low <= 8.2 <= high
        assert low >= 1 and high <= 10
    assert held >= 368
    assert interval([1.0] * 20, scale=(1, 10))[0] == 1


def test_small_scores_have_small_intervals() -> None:
    values = np.random.default_rng(1).random(50) * 1e-3
    low, high = interval(values.tolist())
    assert high - low < 5e-4 and low < values.mean() < high
    assert assumed_scale([0.2, 0.3]) == (0, 1) and assumed_scale([0.0]) == (0, 1)
    assert interval((1000 * values).tolist()) == pytest.approx((1000 * low, 1000 * high), rel=1e-6)


def test_the_largest_difference_is_that_of_the_scale() -> None:
    same = compare_paired([7.0] * 20, [7.0] * 20, (1, 10)).interval
    unit = compare_paired([0.7] * 20, [0.7] * 20).interval
    assert same == pytest.approx(tuple(9 * end for end in unit))


def test_a_score_that_is_no_mean_of_its_items_has_the_interval_of_its_standard_error() -> None:
    score = Score(0.95, (1.0,) * 20 + (0.0,) * 20, 40, 0.01)
    assert score_interval(score) == pytest.approx((0.95 - 0.0196, 0.95 + 0.0196))
    unknown = Score(0.95, (1.0,) * 20 + (0.0,) * 20, 40, math.nan)
    assert score_interval(unknown) is None
    mean = score_of(unknown.per_item)
    assert score_interval(mean) == interval(mean.per_item)
