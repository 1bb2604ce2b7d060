"""`research/benchmarks/several_experts.py`: its rows are those of a search and a comparison, each run once."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from laboratory import script
from search_helpers import louder, questions, write_task

several = script("several_experts")


@pytest.fixture
def place(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> argparse.Namespace:
    """A task of two files, and three experts."""
    louder(tiny_experts, tmp_path / "experts")
    names = tuple(expert.name for expert in tiny_experts)
    folder = tmp_path / "out" / "tasks" / "both"
    folder.mkdir(parents=True)
    for k, file in enumerate(("first", "second")):
        write_task(folder / f"{file}.json", questions(20, seed=k), questions(8, seed=20 + k))
    task = SimpleNamespace(files=("first", "second"), experts=names)
    monkeypatch.setattr(several, "TASKS", {"both": task})
    return argparse.Namespace(
        base=str(tiny_base),
        out=tmp_path / "out",
        experts=tmp_path / "experts",
        tasks=["both"],
        rows=["default", "soups", "lorahub"],
        seeds=[0],
        dtype="float32",
        threads=1,
    )


def test_rows_are_run_once_and_are_those_of_the_search(
    place: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    several.run(place)
    log = place.out / "outcomes.jsonl"
    rows = {row["rows"]: row["outcomes"] for row in map(json.loads, log.read_text().splitlines())}
    assert [*rows] == ["default", "soups"]  # LoraHub takes one task
    result = json.loads((place.out / "runs" / "both-0-default" / "result.json").read_text())
    scores = {method: several._score(values) for method, values in rows["default"].items()}
    assert scores["best-single"] == pytest.approx(result["best_single_test"])  # harmonic
    assert scores["item-model"] == pytest.approx(result["mixture_test"])
    assert scores["item-model+dev"] == pytest.approx(result["trained_test"])
    assert scores["finetune-once"] == pytest.approx(result["base_tuned_test"])
    assert scores["finetune-best-once"] == pytest.approx(result["expert_tuned_test"])
    before = log.read_text()
    monkeypatch.setattr(several, "ROWS", dict.fromkeys(several.ROWS))  # nothing is called
    several.run(place)
    assert log.read_text() == before
    assert "| sum soup, fine-tuned |" in several.table(place.out)
