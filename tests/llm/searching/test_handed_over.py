"""What a search hands over works elsewhere: PEFT and transformers load it by itself, with nothing of
experts that are not in it, and its card says what it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import peft
import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from search_helpers import louder
from torch import Tensor
from transformers import AutoModelForCausalLM

from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace

TOKENS = torch.tensor([[3, 5, 7, 11, 13]])


@pytest.fixture
def strangers(experts: list[Path], tmp_path: Path) -> list[Path]:
    """Experts whose trainers had the base elsewhere."""
    copies = louder(experts, tmp_path / "strangers")
    for number, copy in enumerate(copies):
        file = copy / "adapter_config.json"
        stated = {"base_model_name_or_path": f"/data/of/{number}/base"}
        file.write_text(json.dumps({**json.loads(file.read_text()), **stated}))
    return copies


def space_of(experts: Sequence[Path], base: Path) -> DeltaSpace:
    return DeltaSpace(
        [Adapter(info) for info in inspect_experts(experts, resolve_base(str(base))).experts]
    )


def logits(model: torch.nn.Module) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model.eval()(TOKENS).logits
    return found


def by_hand(base: Path, experts: Sequence[Path], weights: Sequence[float]) -> Tensor:
    """Logits of the base with each expert's change added as PEFT has it, times its weight."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for expert, weight in zip(experts, weights, strict=True):
        fresh = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        merged = peft.PeftModel.from_pretrained(fresh, str(expert)).merge_and_unload()
        for name, value in merged.state_dict().items():
            state[name] += weight * (value - model.state_dict()[name])
    model.load_state_dict(state)
    return logits(model)


@pytest.mark.parametrize("weights", [(0.0, 1.0, 0.0), (0.5, 0.0, -0.25), (0.0, 0.0, 0.0)])
def test_what_is_saved_loads_by_itself_and_holds_no_expert_of_weight_0(
    weights: tuple[float, ...], strangers: list[Path], tiny_base: Path, tmp_path: Path
) -> None:
    space, out = space_of(strangers, tiny_base), tmp_path / "best"
    space.save(torch.tensor(weights, dtype=torch.float64), out)
    expected = by_hand(tiny_base, strangers, weights)
    alone = AutoPeftModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert torch.allclose(logits(alone), expected, atol=1e-4)
    plain = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert torch.allclose(logits(plain), expected, atol=1e-4)

    saved, used = load_file(out / "adapter_model.safetensors"), [w for w in weights if w]
    ranks = [json.loads((e / "adapter_config.json").read_text())["r"] for e in strangers]
    total = sum(rank for rank, weight in zip(ranks, weights, strict=True) if weight) or 1
    assert json.loads((out / "adapter_config.json").read_text())["r"] == total
    others = {
        tuple(row.tolist())
        for expert, weight in zip(strangers, weights, strict=True)
        if not weight
        for name, tensor in load_file(expert / "adapter_model.safetensors").items()
        if "lora_A" in name
        for row in tensor.float()
    }
    rows = {tuple(r.tolist()) for n, t in saved.items() if "lora_A" in n for r in t.float()}
    assert not rows & others and (used or not any(t.any() for t in saved.values()))
