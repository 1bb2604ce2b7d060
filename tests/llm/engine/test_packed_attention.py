"""Packed batches and their attention: against padded ones and the fused kernel."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, plain_ids, random_model
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.engine import packed_attention as packed
from pyswarmopt_llm.engine.batching import build_row, make_batch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.searching.training.trainer import loglikelihoods, training

HEADS, GROUPS, SIZE, PREFIX = 6, 2, 4, 3
CONTEXTS = [[5, 6, 7, 8], [7], [3, 4]]


def draw(*shape: int) -> Tensor:
    return torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))
    )


def by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(1, N, H, D): each token sees the prefix and its row up to itself."""
    attended, start = torch.zeros(1, query.shape[2], HEADS, SIZE, dtype=torch.float64), 0
    for context in CONTEXTS:
        for k in range(len(context)):
            seen = [*range(PREFIX), *range(PREFIX + start, PREFIX + start + k + 1)]
            for head in range(HEADS):
                group = head // (HEADS // GROUPS)
                weights = (key[0, group, seen] @ query[0, head, start + k] / SIZE**0.5).softmax(0)
                attended[0, start + k, head] = weights @ value[0, group, seen]
        start += len(context)
    return attended


def a_batch(dtype: torch.dtype) -> tuple[packed.Packing, list[Tensor], Tensor]:
    """Rows of these contexts after a prefix: how they are packed, query, key and value, the mask."""
    batch = make_batch([build_row(c, [(i, [9])]) for i, c in enumerate(CONTEXTS)], PREFIX)
    n = sum(map(len, CONTEXTS))
    shapes = (1, HEADS, n, SIZE), (1, GROUPS, PREFIX + n, SIZE), (2, 1, GROUPS, PREFIX + n, SIZE)
    inputs = [x.to(dtype) for x in (draw(*shapes[0]), draw(*shapes[1]), draw(*shapes[2])[0])]
    hidden = ~torch.nn.functional.pad(batch.allowed(), (PREFIX, 0), value=True)
    mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)
    return packed.Packing(batch), inputs, mask[:, None]


LAYER = SimpleNamespace(num_key_value_groups=HEADS // GROUPS)


@pytest.mark.parametrize(
    ("dtype", "gradients", "tolerance"),
    # the last: fused
    [(torch.float64, True, 1e-12), (torch.bfloat16, False, 0.03), (torch.float64, False, 1e-12)],
)
def test_each_token_attends_to_the_prefix_and_its_own_row(
    dtype: torch.dtype, gradients: bool, tolerance: float
) -> None:
    packing, inputs, mask = a_batch(dtype)
    with torch.set_grad_enabled(gradients):
        attended, _ = packed.packed_attention(LAYER, *inputs, mask, packing=packing)
    expected = by_hand(*(x.double() for x in inputs))
    torch.testing.assert_close(attended.double(), expected, atol=tolerance, rtol=0)


def test_no_padding_goes_through_a_linear_layer(tiny_base: Path) -> None:
    engine = TransformersEngine(*load_tiny(tiny_base), batch_tokens=1000)
    pairs = [
        (context, " yes")
        for context in ("A", "A much longer question than the first one", "Be brief")
    ]
    rows = 0

    def count(_module: Any, inputs: tuple[Tensor, ...]) -> None:
        nonlocal rows
        rows += inputs[0].shape[:-1].numel()

    engine.model.model.layers[0].mlp.up_proj.register_forward_pre_hook(count)
    engine.loglikelihood(pairs)
    assert rows == engine.tokens_fed


def test_attention_with_soft_caps_keeps_the_kernel_of_transformers() -> None:
    assert packed.use_packed_attention(random_model("llama", 50))
    capped = random_model("gemma2", 50)
    before = capped.config._attn_implementation
    assert not packed.use_packed_attention(capped) and capped.config._attn_implementation == before


Pair = tuple[str, str]

CORPUS = Path(__file__).with_name("pairs.jsonl").read_text(encoding="utf-8").splitlines()
EVERYTHING = [(context, option) for line in CORPUS for context, option in json.loads(line)["pairs"]]
NAME = "model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def tiny(tiny_base: Path) -> tuple[Any, Any]:
    model, tokenizer = load_tiny(tiny_base, torch.float64)
    return model, tokenizer


def padded(model: Any, tokenizer: Any, pairs: Sequence[Pair]) -> Tensor:
    """log P(continuation | context), one row per pair, right-padded, in one pass of eager
    attention.
    """
    encode = plain_ids(tokenizer)
    rows = [
        (len(encode(context)), [*encode(context), *encode(continuation)])
        for context, continuation in pairs
    ]
    width = max(len(ids) for _, ids in rows)
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for _, row in rows])
    seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for _, row in rows])
    model.set_attn_implementation("eager")
    logprobs = model(input_ids=ids, attention_mask=seen, use_cache=False).logits.log_softmax(-1)
    at = [torch.arange(start, len(row)) for start, row in rows]
    return torch.stack([logprobs[r, k - 1, ids[r, k]].sum() for r, k in enumerate(at)])


def change(seed: int) -> LowRank:
    draws = torch.Generator().manual_seed(seed)
    b, a = (
        torch.randn(shape, dtype=torch.float64, generator=draws) for shape in ((32, 2), (2, 32))
    )
    return LowRank(b=b, a=a)


def gradients_of_padded_pass(
    tiny: tuple[Any, Any], parts: Mapping[str, Tensor], weights: Tensor
) -> list[Tensor]:
    """By autograd through transformers' own pass, with B A added to a weight of the model."""
    leaf = {name: part.clone().requires_grad_() for name, part in parts.items()}
    model = copy.deepcopy(tiny[0]).requires_grad_(False)
    layer = model.get_submodule(NAME)
    base = layer.weight.detach()
    del layer.weight
    layer.weight = base + leaf["b"] @ leaf["a"]
    (padded(model, tiny[1], EVERYTHING) * weights).sum().backward()
    return [leaf[name].grad for name in ("a", "b")]


@pytest.mark.parametrize("batch_tokens", [40, 10**6])
def test_gradients_are_those_of_a_padded_pass(tiny: tuple[Any, Any], batch_tokens: int) -> None:
    start = change(2)
    weights = torch.randn(
        len(EVERYTHING), dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    expected = gradients_of_padded_pass(tiny, {"a": start.a, "b": start.b}, weights)
    a, b = start.a.clone().requires_grad_(), start.b.clone().requires_grad_()
    engine = TransformersEngine(copy.deepcopy(tiny[0]), tiny[1], batch_tokens)
    with training(engine.model, {NAME: lambda x: x @ a.T @ b.T}):
        for indices, values in loglikelihoods(engine, EVERYTHING):
            (values * weights[list(indices)]).sum().backward()
    for slope, right in zip((a.grad, b.grad), expected, strict=True):
        torch.testing.assert_close(slope, right, atol=3e-5, rtol=1e-5)
