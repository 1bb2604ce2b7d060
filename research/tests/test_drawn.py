"""`research/benchmarks/functions/drawn.py`: landscapes are those of the paper, the lowest value is
known, problems are repeatable.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from laboratory import RESEARCH, script

pytest.importorskip("sklearn")

bbob_table = script("bbob_table")
drawn = script("drawn")


def literally(a: float, mu: tuple[float, float], w: tuple[float, ...]) -> float:
    """Equation 2 of the paper for one number."""
    if a > 0:
        return math.exp(
            math.log(a) + mu[0] * (math.sin(w[0] * math.log(a)) + math.sin(w[1] * math.log(a)))
        )
    if a < 0:
        b = -a
        return -math.exp(
            math.log(b) + mu[1] * (math.sin(w[2] * math.log(b)) + math.sin(w[3] * math.log(b)))
        )
    return 0.0


def test_transformation_is_the_papers() -> None:
    a, mu, w = [2.5, -0.3, 0.0, 1.0, -7.0], (0.4, 0.2), (5.0, 12.0, 7.0, 21.0)
    found = drawn.transformed(np.array(a), mu, w)
    assert found.tolist() == pytest.approx([literally(each, mu, w) for each in a])


def test_a_component_by_hand() -> None:
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])  # (1, 2) -> (2, -1)
    basin = drawn.Component(3.0, np.array([1.0, 0.0]), turn, np.array([4.0, 9.0]), 0.5)
    assert basin(np.array([2.0, 2.0])) == pytest.approx(3 + math.sqrt(4 * 4 + 9 * 1))
    assert basin(np.array([1.0, 0.0])) == 3.0


@pytest.mark.parametrize("number", [0, 3])
def test_nothing_is_below_the_lowest_value(number: int) -> None:
    for kind in drawn.KINDS:
        (problem, best), (again, _) = drawn.drawn(kind, number), drawn.drawn(kind, number)
        shares = np.random.default_rng(1).random((300, len(problem.space)))
        points = [
            [r.at(u) for r, u in zip(problem.space, row, strict=True)] for row in shares.tolist()
        ]
        values = [problem.truth(point) for point in points]
        assert values == [again.truth(point) for point in points]
        assert len(set(values)) > 3 and min(values) > problem.truth(best)
        assert (problem.noise > 0) == (kind == "noise")


def test_adjusted_p_values_by_hand() -> None:
    # 3 x .01; 2 x .03; 1 x .04, but not below the one before
    assert bbob_table.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert bbob_table.holm([0.5, 0.9]) == [1.0, 1.0]


def test_mean_rank_is_counted_from_the_outcomes() -> None:
    text = (RESEARCH / "evidence" / "drawn.jsonl").read_text(encoding="utf-8")
    values: dict[Any, dict[str, float]] = {}
    for row in map(json.loads, text.splitlines()):
        values.setdefault((row["kind"], row["number"]), {})[row["solver"]] = row["values"]["200"]
    assert len(values) == 36 and {len(by) for by in values.values()} == {8}
    ranks = []
    for by in values.values():
        ours, others = by["pyswarmopt"], [v for s, v in by.items() if s != "pyswarmopt"]
        ranks.append(1 + sum(v < ours for v in others) + sum(v == ours for v in others) / 2)
    assert f"| {sum(ranks) / 36:.2f} |" in bbob_table.drawn(200).splitlines()[2]
