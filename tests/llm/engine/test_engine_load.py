"""Candidates on the resident base: the weights that peft merges, and the base again to the bit."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from engine_reference import load_tiny
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pyswarmopt_llm.common.hardware import keep_few_products, pick_dtype
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine

Q0 = "model.layers.0.self_attn.q_proj.weight"  # (32, 32)
K1 = "model.layers.1.self_attn.k_proj.weight"  # (16, 32)
EMBEDDING = "model.embed_tokens.weight"  # tied to the output


def expert_patch(adapter: Path, coefficient: float = 1.0) -> Patch:
    """The adapter's files, read without peft and without this library's reader."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    tensors = safetensors.torch.load_file(adapter / "adapter_model.safetensors")
    changes = {}
    for key, a in tensors.items():
        if key.endswith(".lora_A.weight"):
            b = tensors[key.replace("lora_A", "lora_B")].float() * (
                config["lora_alpha"] / config["r"]
            )
            name = key.removeprefix("base_model.model.").replace(".lora_A", "")
            changes[name] = LowRank(b=b * coefficient, a=a.float())
    return Patch(low_rank=changes)


def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def weights(model: Any) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def assert_same_bits(weights_now: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert weights_now.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(weights_now[name], expected[name])] == []


@pytest.fixture(scope="module")
def patches(tiny_experts: list[Path]) -> list[Patch]:
    """Of each kind one: nothing, experts, one that overlaps them in part, values, both."""
    return [
        Patch(),
        *(expert_patch(path) for path in tiny_experts),
        Patch(low_rank={Q0: LowRank(b=noise((32, 1), 1), a=noise((1, 32), 2))}),
        Patch(dense={Q0: noise((32, 32), 3), EMBEDDING: noise((258, 32), 4).bfloat16()}),
        Patch(
            low_rank={K1: LowRank(b=noise((16, 3), 5), a=noise((3, 32), 6))},
            dense={Q0: noise((32, 32), 7)},
        ),
        Patch(full_rank={K1: noise((16, 32), 8)}, dense={Q0: noise((32, 32), 7)}),
    ]


@pytest.fixture
def tiny(tiny_base: Path) -> tuple[Any, Any]:
    return load_tiny(tiny_base, torch.bfloat16)


@pytest.fixture(scope="module")
def alone(tiny_base: Path, patches: list[Patch]) -> list[dict[str, Tensor]]:
    """The weights that each patch stands for, written out: base + change in float32, rounded
    once.
    """
    base = weights(load_tiny(tiny_base, torch.bfloat16)[0])
    copies = []
    for patch in patches:
        made = dict(base)
        made |= {
            n: (base[n].float() + c.b @ c.a).to(torch.bfloat16) for n, c in patch.low_rank.items()
        }
        made |= {
            n: (base[n].float() + change).to(torch.bfloat16)
            for n, change in patch.full_rank.items()
        }
        made |= {n: value.to(torch.bfloat16) for n, value in patch.dense.items()}
        copies.append(made)
    return copies


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_weights_are_those_of_merge_and_unload_to_the_bit(
    tiny_base: Path, tiny_experts: list[Path], which: int, dtype: torch.dtype
) -> None:
    import peft

    merged = peft.PeftModel.from_pretrained(
        load_tiny(tiny_base, dtype)[0], tiny_experts[which]
    ).merge_and_unload()
    model, tokenizer = load_tiny(tiny_base, dtype)
    assert not torch.equal(weights(model)[Q0], weights(merged)[Q0])
    TransformersEngine(model, tokenizer).load(expert_patch(tiny_experts[which]))
    assert_same_bits(weights(model), weights(merged))


@given(st.lists(st.integers(0, 6), max_size=8))
def test_after_any_patches_only_the_last_is_on_the_base(
    tiny: tuple[Any, Any], patches: list[Patch], alone: list[dict[str, Tensor]], sequence: list[int]
) -> None:
    engine = TransformersEngine(*tiny)
    for which in [*sequence, 0]:
        engine.load(patches[which])
        assert_same_bits(weights(tiny[0]), alone[which])


def low(out: int, ranks: tuple[int, int], into: int) -> dict[str, LowRank]:
    return {K1: LowRank(b=torch.ones(out, ranks[0]), a=torch.ones(ranks[1], into))}


WIDE, TWICE = rf"{K1}: .*\(32, 16\), but .* \(16, 32\)", rf"several entries for {K1}"
GONE = "no parameter model.nothing"
MISFITS: list[tuple[Patch, type[Exception], str]] = [
    (Patch(dense={"model.nothing": torch.zeros(2)}), KeyError, GONE),
    (
        Patch(dense={"lm_head.weight": torch.zeros(258, 32)}),
        KeyError,
        "no parameter lm_head.weight",
    ),
    (Patch(dense={K1: torch.zeros(32, 16)}), ValueError, WIDE),
    (
        Patch(dense={K1: torch.zeros(1, 32)}),
        ValueError,
        rf"{K1}: .*\(1, 32\), but .* \(16, 32\)",
    ),
    (Patch(low(32, (2, 2), 16)), ValueError, WIDE),
    (Patch(low(16, (2, 2), 32), dense={K1: torch.zeros(16, 32)}), ValueError, TWICE),
    (Patch(low(16, (2, 2), 32), full_rank={K1: noise((16, 32), 0)}), ValueError, TWICE),
    (
        Patch(full_rank={K1: torch.zeros(16, 16)}),
        ValueError,
        rf"{K1}: .*\(16, 16\), but .* \(16, 32\)",
    ),
]


@pytest.mark.parametrize(("patch", "error", "message"), MISFITS)
def test_a_patch_that_does_not_fit_changes_nothing(
    tiny: tuple[Any, Any],
    patches: list[Patch],
    alone: list[dict[str, Tensor]],
    patch: Patch,
    error: type[Exception],
    message: str,
) -> None:
    engine = TransformersEngine(*tiny)
    engine.load(patches[3])
    half_good = Patch(
        low_rank={**patches[4].low_rank, **patch.low_rank},
        dense=patch.dense,
        full_rank=patch.full_rank,
    )
    with pytest.raises(error, match=message):
        engine.load(half_good)
    assert_same_bits(weights(tiny[0]), alone[3])
    engine.load(Patch())
    assert_same_bits(weights(tiny[0]), alone[0])


def test_bfloat16_is_never_chosen_where_the_cpu_emulates_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for feature in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, feature, lambda: False)
    assert pick_dtype("auto", torch.device("cpu")) is torch.float32


def test_caches_of_products_are_bounded_unless_the_environment_says_how(
    environ: MutableMapping[str, str],
) -> None:
    environ.clear()
    environ["LRU_CACHE_CAPACITY"] = "7"
    keep_few_products()
    assert environ == {"LRU_CACHE_CAPACITY": "7", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128"}


def test_a_model_leaves_memory_with_its_engine(tiny_base: Path) -> None:
    """At once, not when the garbage collector comes: the next model needs the room."""
    engine = TransformersEngine(*load_tiny(tiny_base))
    engine.loglikelihood([("a", "b")])
    model = weakref.ref(engine.model)
    gc.disable()
    try:
        del engine
        assert model() is None
    finally:
        gc.enable()
