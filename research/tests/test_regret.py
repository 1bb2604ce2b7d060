"""Regret on real tasks: what a job stores, on a tiny model, and regret by halves, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import script
from search_helpers import questions, write_task

from pyswarmopt_llm.common.interfaces import LowRank, Patch

regret = script("regret")


def test_a_job_trains_both_starts_and_averages_them(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(40, 1), questions(12, 2))
    study = regret.Study(str(tiny_base), [*map(str, tiny_experts)], task, 0)
    row = study.row()
    models = row["models"]
    assert set(models) == {
        *("base", "base tuned", "expert", "expert tuned"),
        *("halves", "sum", "predictions"),
    }
    assert {len(model["test"]) for model in models.values()} == {12}
    assert {len(model["dev"]) for model in models.values() if "dev" in model} == {40}
    assert models["halves"]["dev"] != models["expert tuned"]["dev"]
    assert regret.handed_over(models) in regret.HANDED


def test_the_mean_of_two_models_has_the_mean_of_their_changes() -> None:
    rng = torch.Generator().manual_seed(0)

    def model(names: str) -> Patch:
        return Patch(
            {
                name: LowRank(
                    b=torch.randn(4, 2, generator=rng), a=torch.randn(2, 3, generator=rng)
                )
                for name in names
            }
        )

    one, other = model("uv"), model("vw")
    found = regret.mean_of(one, other).low_rank
    zero = torch.zeros(4, 3)
    for name in "uvw":
        changes = [p.low_rank[name].dense() if name in p.low_rank else zero for p in (one, other)]
        torch.testing.assert_close(found[name].dense(), sum(changes) / 2)


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
