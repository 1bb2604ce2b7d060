"""Paired tests, items needed, ways to combine tasks, archive and fronts, against other libraries
and brute force.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from result_helpers import result_of
from scipy import stats

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.optimizers import recipe_options
from pyswarmopt_llm.common.paired import compare_paired, compare_tasks, items_needed
from pyswarmopt_llm.report.reading import best_row, emergence, origin, searched
from pyswarmopt_llm.scores.metrics.combine import arithmetic, find_combine, harmonic, weighted
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.selection import FRONT, TOP, Archive

# Permutation test


def test_items_needed_do_find_the_difference() -> None:
    rng = np.random.default_rng(1)
    seen = rng.choice([1.0, 0.0, -1.0], 400, p=[0.25, 0.6, 0.15])
    n = items_needed(seen)
    assert n is not None
    found = [stats.ttest_1samp(rng.choice(seen, n), 0.0).pvalue < 0.05 for _ in range(400)]
    assert 0.73 < np.mean(found) < 0.87  # 80% power
    assert items_needed([0.0, 0.0]) is None and items_needed([1.0]) is None


def test_comparison() -> None:
    ours, theirs = [1.0, 1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0]
    found = compare_paired(ours, theirs)
    assert (found.difference, found.n, found.p_value) == (pytest.approx(0.6), 5, 0.25)
    assert found.interval[0] < 0.6 < found.interval[1]
    low, high = compare_paired(ours, ours).interval
    assert low == -high < 0
    with pytest.raises(ValueError, match="same items"):
        compare_paired([1.0], [])


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


# Archive


def row(key: int, a: float, b: float, **more: Any) -> Row:
    items: dict[str, Any] = {"a": [a], "b": [b]}
    return Row(
        "search", 0, 0, str(key), [], value=(a + b) / 2, n=2, seconds=0.0, items=items, **more
    )


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=120))
def test_the_archive_against_all_that_was_seen(points: list[tuple[int, int]]) -> None:
    archive = Archive(["a", "b"])
    for key, (a, b) in enumerate(points):
        archive.add(torch.tensor([float(key)]), row(key, a / 10, b / 10))
    best = sorted(((a + b) / 20 for a, b in points), reverse=True)[:TOP]
    assert [c.value for c in archive.top] == pytest.approx(best)
    front = {
        (a, b)
        for a, b in points
        if not any(c >= a and d >= b and (c, d) != (a, b) for c, d in points)
    }
    assert {(round(10 * c.tasks["a"]), round(10 * c.tasks["b"])) for c in archive.front} == front
    assert len(archive.front) == len(front)
    spread = archive.spread(without=archive.top[0])
    assert len(spread) <= FRONT and all(
        not c.position.equal(archive.top[0].position) for c in spread
    )


# Analyses


def journal() -> tuple[list[Row], Result]:
    def line(iteration: int, particle: int, items: str, mixture: list[float]) -> Row:
        value = items.count("1") / len(items)
        both: dict[str, Any] = {"t": items, "real": [0.5, 0.25]}
        return Row("search", iteration, particle, "", mixture, value, n=8, seconds=0.0, items=both)

    rows = [
        line(0, 0, "110000", [1.0, 0.0]),
        line(0, 1, "101000", [0.0, 1.0]),
        line(0, 2, "111110", [0.5, 0.5]),  # no expert: its items do not count as known
        line(1, 1, "100111", [0.3, 0.7]),
        replace(line(1, 0, "111111", [0.6, 0.4]), phase="confirm"),
    ]
    return searched(rows), result_of(coefficients={"x": 0.3, "y": 0.7})


def test_emergence_by_hand() -> None:
    experts = {"x": "110000", "y": "101000"}
    result = result_of(items={"best_dev": "100111"}, experts=experts)
    case = emergence(result)["t"]
    # Known to an expert: items 1 to 3. The best is right on 1, 4, 5, 6.
    assert (case.kept, case.lost, case.emerged, case.never) == (1, 2, 3, 0)
    assert case.share == 1.0
    graded = result_of(items={"best_dev": [0.5, *[1.0] * 5]}, experts=experts)
    assert emergence(graded) == {}  # items that are not right or wrong
    dropped = result_of(items={"best_dev": "100111"}, experts={"x": "110000", "y": "10????"})
    assert emergence(dropped) == {}  # what y knows is unknown


def test_origin_by_hand() -> None:
    rows, result = journal()
    start = origin(rows, result)
    assert (start.particle, start.rank, start.population, start.iteration) == (1, 2.5, 3, 1)
    assert start.start == pytest.approx(2 / 6) and start.value == pytest.approx(4 / 6)
    assert start.weak_to_strong and not start.proposed
    assert best_row(rows[:3], result_of(coefficients={"x": 9.0, "y": 9.0})).particle == 2


def test_what_the_item_model_proposed_has_no_start() -> None:
    rows, _ = journal()
    proposed = replace(rows[-1], iteration=2, particle=3, coefficients=[0.2, 0.9], value=1.0)
    start = origin([*rows, proposed], result_of(coefficients={"x": 0.2, "y": 0.9}))
    assert start.proposed and not start.weak_to_strong
    assert (start.value, start.iteration, start.population) == (1.0, 2, 3)


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
