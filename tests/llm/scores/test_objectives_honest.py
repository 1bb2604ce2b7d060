"""Paired tests, items needed, ways to combine tasks, archive and fronts, against other libraries
and brute force.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.optimizers import recipe_options
from pyswarmopt_llm.common.statistics import compare_tasks
from pyswarmopt_llm.scores.metrics.combine import find_combine, harmonic
from pyswarmopt_llm.scores.metrics.other_combines import arithmetic, weighted

# Permutation test


def test_tasks_are_compared_where_both_have_scores_of_the_same_items() -> None:
    def scores(p: float, n: int) -> list[float]:
        return [1.0] * round(p * n) + [0.0] * (n - round(p * n))

    ours = {"quiz": scores(0.6, 500), "one": [1.0], "alone": [1.0, 0.0], "more": [1.0] * 3}
    theirs = {"quiz": scores(0.5, 500), "one": [0.0], "more": [1.0] * 4}
    found = compare_tasks(ours, theirs)
    assert list(found) == ["quiz"]
    assert found["quiz"].p_value < 0.001 and found["quiz"].gained == 50
    assert compare_tasks(theirs, ours)["quiz"].lost == 50
    assert compare_tasks({"f": []}, {"f": []}) == {}


# Several tasks


@given(
    st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 0.3)), min_size=2, max_size=4),
    st.data(),
)
def test_combinations_by_definition(pairs: list[tuple[float, float]], data: Any) -> None:
    scores = [Score(v, (v,), 1, e) for v, e in pairs]
    values, errors = np.array(pairs).T
    weights = data.draw(st.lists(st.floats(0.1, 5.0), min_size=len(pairs), max_size=len(pairs)))
    assert arithmetic(scores).value == pytest.approx(values.mean())
    assert arithmetic(scores).stderr == pytest.approx(np.sqrt((errors**2).sum()) / len(pairs))
    assert weighted(scores, weights).value == pytest.approx(np.average(values, weights=weights))
    # Each rises with every task's value.
    i = data.draw(st.integers(0, len(pairs) - 1))
    raised = [*scores[:i], Score(scores[i].value + 0.1, (1.0,), 1, 0.0), *scores[i + 1 :]]
    for combine in (
        harmonic,
        arithmetic,
        find_combine("weighted:" + ",".join(map(str, weights)), len(pairs)),
    ):
        assert combine(raised).value >= combine(scores).value
        assert combine(scores).n == len(pairs)


@pytest.mark.parametrize(
    "spec", ["mean", "weighted:1", "weighted:1,0", "weighted:a,b", "weighted:1,2,3", "weighted"]
)
def test_unknown_combinations(spec: str) -> None:
    with pytest.raises(UserError, match=f"combine {spec}"):
        find_combine(spec, 2)


# Coefficients


def test_recipe_options() -> None:
    assert recipe_options(["inertia=0.1", "restart-patience=3", "randomness=none"]) == {
        "inertia": 0.1,
        "restart_patience": 3,
        "randomness": "none",
    }
    for bad, message in (
        ("speed=1", "no coefficient speed"),
        ("inertia=fast", "not a number"),
        ("inertia=-1", "must be finite and not negative"),
        ("patience=3", "no coefficient patience"),
    ):
        with pytest.raises(UserError, match=message):
            recipe_options([bad])
