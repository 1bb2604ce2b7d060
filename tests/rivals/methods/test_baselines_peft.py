"""What peft's `add_weighted_adapter` also computes, on the factors and on the changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_rivals.methods import load_method
from pyswarmopt_rivals.methods.changes import as_adapter

WEIGHTS = (0.7, 0.4, -0.3)
DENSITY = 0.21  # not a whole number of entries


def merged_by_peft(
    base: Path, experts: list[Path], kind: str, **options: object
) -> dict[str, torch.Tensor]:
    """Module -> dense change of the combination that peft makes of the adapters."""
    import peft
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    names = [f"e{i}" for i in range(len(experts))]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, experts[0], adapter_name=names[0])
    for name, path in zip(names[1:], experts[1:], strict=True):
        model.load_adapter(path, adapter_name=name)
    model.add_weighted_adapter(names, list(WEIGHTS), "merged", combination_type=kind, **options)
    return {
        name.removeprefix("base_model.model."): layer.get_delta_weight("merged").detach()
        for name, layer in model.named_modules()
        if isinstance(layer, LoraLayer)
    }


def merged_here(
    experts: list[Path], method: str, space: str, **options: Any
) -> dict[str, torch.Tensor]:
    rule = load_method(method)
    loaded = [load_adapter(read_adapter(path)) for path in experts]
    merged = rule.execute(loaded, rule.settings(len(experts), space, **options))
    patch = as_adapter(merged, loaded, options.get("rank")).patch
    return {name.removesuffix(".weight"): change.dense() for name, change in patch.low_rank.items()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for module, change in expected.items():
        assert change.abs().max() > 1e-3
        torch.testing.assert_close(found[module], change, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "kind", "density"),
    [
        ("task-arithmetic", "linear", None),
        ("ties", "ties", DENSITY),
        ("magnitude-prune", "magnitude_prune", DENSITY),
    ],
)
@pytest.mark.parametrize("rank", [None, 3, 12])  # None: in space factor
def test_weighted_sums_and_trimmed_ones(
    method, kind, density, rank, tiny_base: Path, tiny_experts: list[Path]
) -> None:
    more = {"density": density}
    if rank is not None:
        kind, more["svd_rank"] = "svd" if kind == "linear" else f"{kind}_svd", rank
    expected = merged_by_peft(tiny_base, tiny_experts, kind, **more)
    space = "delta" if rank else "factor"
    options = {"weights": WEIGHTS, "density": density, "rank": rank}
    assert_same(merged_here(tiny_experts, method, space, **options), expected)


@pytest.mark.parametrize(
    ("method", "kind"), [("dare-linear", "dare_linear"), ("dare-ties", "dare_ties")]
)
@pytest.mark.parametrize("space", ["factor", "delta"])
def test_dare_with_the_same_draws(
    method, kind, space, tiny_base: Path, make_expert: Callable[..., Path], monkeypatch
) -> None:
    """peft draws from the global state, mask by mask; here it is handed the masks of our generator,
    one module.
    """
    one = {"target_modules": ["q_proj"], "layers_to_transform": [1]}
    experts = [make_expert(f"e{seed}", seed, **one) for seed in range(3)]
    generator = torch.Generator().manual_seed(11)
    shapes = [(3, 4, 32), (3, 32, 4)] if space == "factor" else [(3, 32, 32)]
    drawn = [torch.rand(shape, generator=generator) < DENSITY for shape in shapes]
    masks = [mask.float() for kind in drawn for mask in kind]
    monkeypatch.setattr(torch, "bernoulli", lambda input: masks.pop(0))
    kind, more = (f"{kind}_svd", {"svd_rank": 12}) if space == "delta" else (kind, {})
    expected = merged_by_peft(tiny_base, experts, kind, density=DENSITY, **more)
    assert not masks
    options = {"weights": WEIGHTS, "density": DENSITY, "seed": 11}
    assert_same(merged_here(experts, method, space, **options), expected)
