"""`sl.merge` from Python writes what the command writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from search_helpers import swarm_llm

from pyswarmopt_llm.experts.adapter import read_adapter

MODULE = "model.layers.0.self_attn.q_proj"


def changes(folder: Path, scale: float) -> dict[str, torch.Tensor]:
    """Module -> scale B A, from the file."""
    stored = load_file(folder / "adapter_model.safetensors")
    pairs = {key.partition(".lora_A")[0]: a for key, a in stored.items() if "lora_A" in key}
    return {name: scale * stored[f"{name}.lora_B.weight"] @ a for name, a in pairs.items()}


def test_weights_come_from_a_file_by_the_experts_names(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mixture.json"
    experts = tiny_experts[:3]
    numbers = {experts[2].name: -0.25, experts[0].name: 0.75}  # in no order; one is not named
    file.write_text(json.dumps(numbers))
    given = ("--base", tiny_base, "--experts", *experts, "--method", "task-arithmetic")
    merged = swarm_llm(capsys, "merge", *given, "--weights", file, "--out", tmp_path / "merged")
    assert merged[0] == 0
    first, third = (
        changes(path, read_adapter(path).modules[MODULE].scale) for path in experts[::2]
    )
    for name, value in changes(tmp_path / "merged", 1.0).items():
        wanted = 0.75 * first[name] - 0.25 * third[name]
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-6)
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "--weights 0.75,0.0,-0.25" in card
    assert "base_model:" not in card  # a folder is no id of the hub


@pytest.mark.parametrize(
    "content", ['{"nobody": 1}', "[0.5, 0.5]", '{"expert-0": "much"}', "{", None]
)
def test_a_file_of_weights_that_says_nothing_is_refused_in_one_line(
    content: str | None,
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "mixture.json"
    if content is not None:
        file.write_text(content)
    given = ("--base", tiny_base, "--experts", *tiny_experts[:2], "--method", "task-arithmetic")
    code, _, told = swarm_llm(
        capsys, "merge", *given, "--weights", file, "--out", tmp_path / "merged"
    )
    assert code == 2 and told.count("\n") == 1 and "mixture.json" in told
    assert not (tmp_path / "merged").exists()
