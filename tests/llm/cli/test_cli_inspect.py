"""inspect on real adapters of a tiny base: a table, a line per problem, an answer per space."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from search_helpers import exit_code, louder


def test_experts_of_one_kind_can_be_mixed_anyhow(
    tiny_base: Path,
    tiny_experts: list[Path],
    capsys: pytest.CaptureFixture[str],
    columns: Callable[[int], None],
) -> None:
    columns(200)
    assert exit_code("inspect", *tiny_experts, "--base", tiny_base) == 0
    out = capsys.readouterr().out
    # 2 layers; A is (4, in), B is (out, 4); hidden 32, q and o 32 x 32, k and v 16 x 32.
    parameters = 2 * (2 * (4 * 32 + 32 * 4) + 2 * (4 * 32 + 16 * 4))
    lines = out.splitlines()
    assert sum(f" {parameters:,} parameters" in line for line in lines) == 3
    assert [line.split(":")[0] for line in lines[:3]] == ["ant", "bee", "cat"]
    assert "--space factor can mix these" in out
    assert "--space delta can mix these" in out
    *_, last = lines
    assert last.startswith("Next: swarm-llm search --base ")
    assert last.endswith(f"{tiny_experts[2]} --task TASK.json --out runs/first")


def test_json_says_the_same(
    tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an expert with another alpha: mixable as weights, not as factors."""
    (loud,) = louder(tiny_experts[1:2], tmp_path, alpha=16)
    assert exit_code("inspect", tiny_experts[0], loud, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [row["expert"] for row in record["experts"]] == ["ant", "bee"]
    assert [(p["expert"], p["spaces"]) for p in record["problems"]] == [("bee", ["factor"])]
    assert record["errors"] == {"factor": 1, "delta": 0} and record["recommended"] == "delta"
