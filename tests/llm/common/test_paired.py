"""Two models on the same items, by brute force and by scipy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pyswarmopt_llm.common.paired import (
    PairedComparison,
    compare_paired,
    corrected,
    items_needed,
    paired_test,
)
from pyswarmopt_llm.common.statistics import interval


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=9))
def test_the_exact_test_is_brute_force(differences: list[float]) -> None:
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    expected = np.mean([total >= observed - 1e-9 for total in sums])
    assert paired_test(differences).p_value == pytest.approx(expected)


def test_of_grades_it_is_students_test_of_the_items_and_two_more() -> None:
    d = np.random.default_rng(2).normal(0.1, 0.3, 40)
    whole = [*d, 0.5**0.5, -(0.5**0.5)]
    theirs = stats.ttest_1samp(whole, 0.0)
    found = paired_test(d)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval()))


@pytest.mark.parametrize(("wins", "losses", "n"), [(2, 1, 100), (12, 4, 60), (30, 20, 200)])
def test_the_items_needed_give_four_fifths_power(wins: int, losses: int, n: int) -> None:
    """The exact power of McNemar's test at that number, summed over all outcomes."""
    needed = items_needed([1.0] * wins + [-1.0] * losses + [0.0] * (n - wins - losses))
    assert needed is not None
    differ = (wins + losses) / n
    power = 0.0
    counts = np.arange(needed + 1)
    likely = stats.binom.pmf(counts, needed, differ)
    for count in counts[likely > 1e-6]:
        won = np.arange(count + 1)
        p = 2 * np.minimum(stats.binom.cdf(won, count, 0.5), stats.binom.sf(won - 1, count, 0.5))
        chances = stats.binom.pmf(won, count, wins / (wins + losses))
        power += likely[count] * chances[p < 0.05].sum()
    assert 0.74 < power < 0.82


def test_the_items_needed_of_repeated_questions_are_more() -> None:
    d = [1.0, 0.0, -1.0, 1.0, 0.0]
    once = items_needed(d)
    twice = items_needed(d * 2, [*range(5)] * 2)
    assert once is not None and twice is not None
    assert twice == 2 * once
    assert items_needed([0.0] * 5) is None


def test_what_rounding_leaves_is_no_difference() -> None:
    """0.1 + 0.2 is not 0.3 in floating point."""
    found = compare_paired([0.1 + 0.2] * 12, [0.3] * 12)
    assert (found.p_value, found.gained, found.lost, found.sign) == (1.0, 0, 0, 0)
    assert found.difference == 0.0
    assert paired_test([0.1, 0.2, -0.3]).p_value == pytest.approx(1.0)


GRADES = st.lists(st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.3, 1.0]), min_size=1, max_size=40)


@given(GRADES, st.sampled_from([0.05, 0.01, 0.05 / 7]))
def test_the_interval_holds_0_exactly_if_p_is_not_below_the_level(
    differences: list[float], level: float
) -> None:
    p_value, (low, high) = paired_test(differences, level)
    assert (p_value >= level) is (low <= 0 <= high)
    assert low <= np.mean(differences) <= high and high - low > 0


def test_of_right_and_wrong_the_test_is_mcnemars_exact_one() -> None:
    gained, lost, same = 21, 10, 169
    found = paired_test([1.0] * gained + [-1.0] * lost + [0.0] * same)
    assert found.p_value == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    # Agresti and Min's (2005) interval, half an item in each cell
    b, c, n = gained + 0.5, lost + 0.5, 202
    half = 1.96 * np.sqrt(b + c - (b - c) ** 2 / n) / n
    assert found.interval == pytest.approx(((b - c) / n - half, (b - c) / n + half), abs=0.006)


# Repeated questions


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=9), st.data())
def test_a_question_that_is_repeated_is_one_piece_of_evidence(
    values: list[float], data: st.DataObject
) -> None:
    twice = [*values, *values]
    asked = [*range(len(values)), *range(len(values))]
    assert interval(twice, questions=asked) == pytest.approx(interval(values))
    other = data.draw(st.permutations(values))
    once = compare_paired(values, other)
    found = compare_paired(twice, [*other, *other], questions=asked)
    assert found.p_value == pytest.approx(once.p_value)
    assert found.interval == pytest.approx(once.interval)
    assert compare_paired(values, other, questions=[*range(len(values))]) == once


# Several tests that are read together


def test_several_tests_are_corrected_as_holm_says() -> None:
    """Worked by hand: 4 x 0.001 and 3 x 0.015 are below 5%, 2 x 0.03 is not, nor what follows."""
    p_values = {"a": 0.03, "b": 0.001, "c": 0.04, "d": 0.015}
    levels: dict[str, float] = {}

    def at_level(name: str, level: float) -> PairedComparison:
        levels[name] = level
        return tests[name]

    tests = {name: PairedComparison(0.1, (0.0, 0.2), p, 9, 1, 0) for name, p in p_values.items()}
    found = {name: pair.p_value for name, pair in corrected(tests, at_level).items()}
    assert found == pytest.approx({"a": 0.06, "b": 0.004, "c": 0.06, "d": 0.045})
    assert levels == pytest.approx({"a": 0.025, "b": 0.0125, "c": 0.025, "d": 0.05 / 3})
