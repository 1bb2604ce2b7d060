"""inspect on real adapters of a tiny base: a table, a line per problem, an answer per space."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from changed_copies import changed_copy, each
from search_helpers import exit_code, louder, swarm_llm

from pyswarmopt_llm.formats.gguf_types import rounded


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


def test_what_a_format_leaves_of_an_adapter_is_printed_and_strict_is_an_exit_code(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An adapter of a thousandth of its size, whose base lies on the grid of the format."""

    def on_grid(name: str, value: torch.Tensor) -> torch.Tensor:
        return rounded(value, "Q4_0") if name.endswith("proj.weight") else value.float()

    base = changed_copy(tiny_base, tmp_path / "base", each(on_grid))
    (faint,) = louder(tiny_experts[:1], tmp_path / "faint", alpha=0.008)
    words = ["inspect", faint, "--base", base, "--quantize", "q4_0,q8_0"]

    code, out, _ = swarm_llm(capsys, *words, "--strict")
    assert code == 1 and "Next" not in out
    assert "  q4_0: slope 0.00, correlation 0.00; least is left in model.layers." in out
    assert "In q4_0" in out and "search with --quantize" in out
    assert swarm_llm(capsys, *words)[0] == 0

    code, out, _ = swarm_llm(capsys, *words, "--json")
    (name,) = [row["expert"] for row in json.loads(out)["experts"]]
    four, _ = json.loads(out)["quantize"][name]
    assert four["format"] == "q4_0" and four["whole"]["slope"] == 0.0
    assert len(four["worst"]) == 3
