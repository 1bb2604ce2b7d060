"""Regret on real tasks: regret by halves and the table of rules, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from laboratory import script

regret = script("regret")


def test_regret_by_halves_counts_no_luck() -> None:
    """A model that is right where the other is wrong, as often, is not better than it."""
    even = {"x": "10" * 50, "y": "01" * 50}
    assert regret.by_halves(even, "x") < 0.0  # the luck of one half is missed on the other
    assert regret.by_halves({"x": "1" * 100, "y": "1" * 60 + "0" * 40}, "y") == pytest.approx(0.4)


def made(expert: float, base_tuned: float, expert_tuned: float) -> dict[str, Any]:
    """Models whose margins of dev have these means, and a standard deviation of 1."""
    noise = {name: np.random.default_rng(k).normal(0, 1, 400) for k, name in enumerate("abc")}
    leads = zip(regret.HANDED, (expert, base_tuned, expert_tuned), noise.values(), strict=True)
    return {name: {"dev": list(lead + own), "test": "1"} for name, lead, own in leads}


@pytest.mark.parametrize(
    ("leads", "kept"),
    [((0, 0.6, 0.2), "base tuned"), ((0, 0.2, 0.6), "expert tuned"), ((0.9, 0.1, 0.2), "expert")],
)
def test_a_rule_with_the_searchs_numbers_keeps_what_the_search_keeps(
    leads: tuple[float, float, float], kept: str
) -> None:
    models = made(*leads)
    assert regret.handed_over(models) == regret.ruled(models) == kept


def test_rules_differ_where_they_say() -> None:
    harmful, close = made(0.9, 0.1, 0.6), made(0, 0.5, 0.48)
    assert regret.ruled(harmful) == "expert"
    assert regret.ruled(harmful, behind=math.inf) == "expert tuned"
    assert regret.ruled(close, hedge="halves") == "halves"
    assert regret.ruled(harmful, hedge="halves", behind=math.inf) == "expert tuned"
    assert regret.ruled(made(0, 0.9, 0.1), favour=math.inf) == "expert tuned"
    assert list(regret.right_or_wrong([-0.1, 0.2, 9.0])) == [0.0, 1.0, 1.0]


def test_the_table_of_rules_is_that_of_a_hand_worked_job() -> None:
    models = made(0, 0.6, 0.2)
    models["expert tuned"]["test"] = "11"
    models["base tuned"]["test"] = "10"
    rows = [{"job": "banking:50:0", "models": models}, {"job": "mmlu:50:0", "models": models}]
    lines = dict(line.strip("| ").split(" | ", 1) for line in regret.rules_table(rows))
    assert lines["the search's"] == "50.0, 50.0 (1) | 50.0, 50.0 (1)"
    assert lines["always the expert, fine-tuned"] == "0.0, 0.0 (1) | 0.0, 0.0 (1)"
