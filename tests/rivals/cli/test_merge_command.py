"""Weights of a merge."""

from __future__ import annotations

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


def test_weights_are_in_the_order_of_the_experts(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experts = tiny_experts[:3]
    given = ("--base", tiny_base, "--experts", *experts, "--method", "task-arithmetic")
    merged = swarm_llm(
        capsys, "merge", *given, "--weights", "0.75,0,-0.25", "--out", tmp_path / "merged"
    )
    assert merged[0] == 0 and "task-arithmetic with weights 0.75,0,-0.25 of 3 experts" in merged[1]
    first, third = (
        changes(path, read_adapter(path).modules[MODULE].scale) for path in experts[::2]
    )
    for name, value in changes(tmp_path / "merged", 1.0).items():
        wanted = 0.75 * first[name] - 0.25 * third[name]
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-6)
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "--weights 0.75,0,-0.25" in card
    assert "base_model:" not in card  # a folder is no id of the hub
    summed = swarm_llm(
        capsys, "merge", *given[:-2], "--weights", "0.75,0,-0.25", "--out", tmp_path / "summed"
    )
    assert "sum with weights 0.75,0,-0.25 of 3 experts" in summed[1] and "soup" not in summed[1]
