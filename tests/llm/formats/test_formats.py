"""Rounding of weights: as the formats are specified, and as their own packages hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from engine_reference import random_model

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import missing_extra
from pyswarmopt_llm.common.options import FORMATS
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.gguf_types import rounded

BLOCKS = {"Q4_0": (4, False), "Q4_1": (4, True), "Q5_0": (5, False), "Q5_1": (5, True)}
HERE = [name for name in FORMATS if name != "q4_k_m"]
llama_cpp = pytest.mark.skipif(
    missing_extra("llama_cpp") is not None, reason="llama-cpp-python is not installed"
)


def matrix(rows: int = 4, width: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 0.05


def by_hand(block: np.ndarray, bits: int, offset: bool) -> np.ndarray:
    """A block of 32 values as ggml-quants.c has it, value by value."""
    levels = 2**bits - 1
    if offset:
        step = np.float32(block.max() - block.min()) / np.float32(levels)
        start = np.float32(block.min())
    else:
        largest = block[np.argmax(np.abs(block))]
        step = largest / -np.float32(2 ** (bits - 1))
        start = None
    held = np.float32(np.float16(step))
    values = []
    for value in block:
        shift = value - start if offset else value
        middle = np.float32(0.5 if offset else 2 ** (bits - 1) + 0.5)
        code = min(int(np.float32(shift / step) + middle), levels) if step else 0
        if offset:
            values.append(code * held + np.float32(np.float16(start)))
        else:
            values.append((code - 2 ** (bits - 1)) * held)
    return np.array(values, np.float32)


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_are_rounded_as_specified(kind: str) -> None:
    values = matrix().numpy()

    found = rounded(torch.from_numpy(values), kind).numpy()

    expected = [by_hand(block, *BLOCKS[kind]) for block in values.reshape(-1, 32)]
    step = np.ptp(values) / 2 ** BLOCKS[kind][0]
    # a value in the middle between two codes may be rounded either way
    same = np.isclose(found.reshape(-1, 32), np.stack(expected), atol=1e-6)
    assert same.mean() > 0.98
    assert np.abs(found - values).max() < step


def test_eight_bits_are_rounded_as_specified() -> None:
    block = torch.linspace(-1.27, 1.27, 32)[None]
    step = float(np.float16(0.01))
    expected = torch.round(block / 0.01) * step
    torch.testing.assert_close(rounded(block, "Q8_0"), expected)


@pytest.mark.parametrize("name", [name for name in HERE if name not in ("nf4", "int8")])
def test_what_lies_on_the_grid_keeps_its_codes(name: str) -> None:
    kind = gguf.GGMLQuantizationType[name.upper()]
    value = matrix(48, 96)
    held = rounded(value, name.upper())
    codes = [gguf.quantize(each.numpy(), kind) for each in (value, held)]
    assert np.array_equal(*codes)


@pytest.mark.parametrize("name", ["nf4", "int8"])
def test_bitsandbytes_layers_hold_the_same_values(name: str) -> None:
    layers = pytest.importorskip("bitsandbytes").nn
    value = matrix(8, 64)
    if name == "nf4":
        plain = {"quant_type": "nf4", "compress_statistics": False}  # as in transformers
        weight = layers.Params4bit(value.clone(), **plain).to("cpu")
        functional = pytest.importorskip("bitsandbytes.functional")
        expected = functional.dequantize_4bit(weight.data, weight.quant_state)
    else:
        scale = value.half().float().abs().amax(1, keepdim=True) / 127
        expected = torch.round(value.half().float() / scale) * scale

    found = find_format(name).rounded(value, name)

    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3 if name == "int8" else 1e-6)


# Which type holds which matrix


def tiny(tied: bool, **sizes: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    common = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "vocab_size": 40}
    common |= {"num_attention_heads": 2, "num_key_value_heads": 2, **sizes}
    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(tie_word_embeddings=tied, **common))


ATTENTION = [f"model.layers.0.self_attn.{name}_proj.weight" for name in "qkvo"]
UP = [f"model.layers.0.mlp.{name}_proj.weight" for name in ("gate", "up")]
DOWN = "model.layers.0.mlp.down_proj.weight"  # rows of 48
WORDS, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.mark.parametrize("tied", [True, False])
def test_llama_cpp_keeps_a_head_finer_and_odd_rows_in_half_precision(tied: bool) -> None:
    usual = dict.fromkeys([*ATTENTION, *UP], "Q4_1")
    head = {WORDS: "Q8_0"} if tied else {WORDS: "Q4_1", HEAD: "Q8_0"}
    assert find_format("q4_1").layout(tiny(tied)) == {**usual, **head, DOWN: "F16"}


def test_a_head_of_whole_blocks_has_six_bits_where_they_can_be_written(
    without: Callable[..., None],
) -> None:
    without("llama_cpp")
    layout = find_format("q4_0").layout(tiny(False, hidden_size=256))
    assert layout[WORDS] == "Q4_0" and HEAD not in layout
    assert find_format("q8_0").layout(tiny(False, hidden_size=256))[HEAD] == "Q8_0"


@pytest.mark.parametrize("tied", [True, False])
def test_bitsandbytes_leaves_embeddings_and_head_alone(tied: bool) -> None:
    assert find_format("nf4").layout(tiny(tied)) == dict.fromkeys([*ATTENTION, *UP, DOWN], "nf4")


def test_norms_biases_and_positions_are_left_alone() -> None:
    model = random_model("opt", 40)
    layout = find_format("q8_0").layout(model)
    assert not [name for name in layout if "norm" in name or "bias" in name or "positions" in name]
    assert "model.decoder.embed_tokens.weight" in layout


def test_fused_experts_are_refused() -> None:
    model = tiny(True)
    model.model.layers[0].mlp.experts = torch.nn.Parameter(torch.zeros(2, 3, 4))
    with pytest.raises(UserError, match=r"mlp\.experts is not a matrix"):
        find_format("q4_0").layout(model)


def test_a_format_that_nobody_knows_is_refused_with_the_list() -> None:
    with pytest.raises(InvalidOption, match=r"q4 is unknown; use one of: q4_0, .*, q4_k_m"):
        find_format("q4")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("q4_0", "gguf", "llm"),
        ("nf4", "bitsandbytes", "quantised"),
        ("q4_k_m", "llama_cpp", "llama-cpp"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    name: str, package: str, extra: str, without: Callable[..., None]
) -> None:
    without(package)
    with pytest.raises(UserError, match=rf'{name} needs {package}: install the extra "{extra}"'):
        find_format(name)


@llama_cpp
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_llama_cpp_holds_the_same_values(kind: str) -> None:
    from pyswarmopt_llm.formats import gguf_types

    of_file = gguf.GGMLQuantizationType[kind]
    value = matrix(8, 256)
    codes = gguf_types._packed_by_llama_cpp(value.numpy(), of_file)
    assert np.array_equal(gguf.dequantize(codes, of_file), rounded(value, kind).numpy())
