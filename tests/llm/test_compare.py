"""`swarm-llm compare` end to end on a tiny random base: what it writes, what it counts, how it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_helpers import files, louder, questions, swarm_llm, write_task

from pyswarmopt_llm.compare import CompareConfig, compare
from pyswarmopt_llm.compare.contest import Step
from pyswarmopt_llm.compare.contestants import known_methods

SOME = ("uniform-soup", "best-single", "prediction-merge", "model-swarms", "nevergrad:RandomSearch")


@pytest.fixture
def given(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> dict[str, Any]:
    """What every call shares."""
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(12, 2))
    return {
        "base": str(tiny_base),
        "experts": tuple(map(str, experts)),
        "tasks": (str(task),),
        "out": str(tmp_path / "out"),
        "methods": SOME,
        "seeds": 2,
        "budget_items": 80,
        "threads": 1,
        "scoring": "likelihood",
    }


def lasting(folder: Path) -> list[dict[str, Any]]:
    """Outcomes without what a clock wrote, in any order."""
    rows = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]
    return sorted(({k: v for k, v in row.items() if k != "seconds"} for row in rows), key=str)


def test_every_method_takes_part_and_keeps_to_the_budget(given: dict[str, Any], tmp_path: Path) -> None:
    data = {name: tmp_path / f"{name}.jsonl" for name in ("ant", "bee", "cat")}
    for name, file in data.items():
        turns = [{"role": "user", "content": f"Question: {name}?"}, {"role": "assistant", "content": name}]
        file.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(6)))
    given |= {"methods": ("all",), "seeds": 1, "budget_items": 60, "data": tuple((n, str(f)) for n, f in data.items())}
    result = compare(CompareConfig(**given))
    assert set(result["methods"]) == set(known_methods()) and not result["left_out"]
    for name, row in result["methods"].items():
        assert 0 <= row["dev"] <= 1 and 0 <= row["test"] <= 1, name
        assert row["item_evaluations"] <= 60, name
        low, high = row["test_interval"]
        assert low <= row["test"] <= high, name
    assert result["methods"]["uniform-soup"]["item_evaluations"] == 0
    assert result["methods"]["model-swarms"]["item_evaluations"] == 56  # seven times eight dev items
    tests = [row["test"] for row in result["methods"].values()]
    assert tests == sorted(tests, reverse=True)
