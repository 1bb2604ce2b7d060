"""Regret on real tasks: what a job stores, on a tiny model, and regret by halves, by hand."""

from __future__ import annotations

from pathlib import Path

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
