"""Packed batches and their attention: against padded ones and the fused kernel."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, plain_ids, random_model, tokens_read
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.engine import packed_attention as packed
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.training.trainer import loglikelihoods, training


def test_no_padding_goes_through_a_linear_layer(tiny_base: Path) -> None:
    engine = TransformersEngine(*load_tiny(tiny_base), batch_tokens=1000)
    pairs = [
        (context, " yes")
        for context in ("A", "A much longer question than the first one", "Be brief")
    ]
    read = tokens_read(engine.model)
    engine.loglikelihood(pairs)
    texts = [len(engine.encode(context + option)) - 1 for context, option in pairs]
    assert sum(read) == sum(texts)


def test_attention_with_soft_caps_keeps_the_kernel_of_transformers() -> None:
    for kind, packs in (("llama", True), ("gemma2", False)):
        model = random_model(kind, 50)
        packed.use_packed_attention(model)
        assert (model.config._attn_implementation == packed.NAME) == packs


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
