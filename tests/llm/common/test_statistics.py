"""Statistics of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.statistics import by_question, interval


def _graded(
    values: list[float], shares: list[float]
) -> tuple[Callable[[np.random.Generator, int], Floats], float]:
    """A law of scores that take few values, and its mean."""
    return lambda rng, n: rng.choice(values, n, p=shares), float(np.dot(values, shares))


LAWS: dict[str, tuple[Callable[[np.random.Generator, int], Floats], float]] = {
    "skewed": (lambda rng, n: rng.beta(8, 1, n), 8 / 9),
    "five grades": _graded([0, 1 / 3, 0.5, 2 / 3, 1], [0.2] * 5),
    "rarely high": _graded([0.1, 0.9], [0.95, 0.05]),
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


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), min_size=2, max_size=12))
def test_questions_that_are_repeated_unequally_leave_the_mean_as_it_is(
    items: list[tuple[int, float]],
) -> None:
    asked, values = zip(*items, strict=True)
    mean = np.mean(values)
    assert by_question(values, asked).mean() == pytest.approx(mean)
    assert by_question(values, asked).size == len(set(asked))
    low, high = interval(values, questions=asked)
    assert low - 1e-9 <= mean <= high + 1e-9
