"""Attention over packed batches, against softmax written out token by token."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, random_model
from torch import Tensor

from pyswarmopt_llm.engine import packed_attention as packed
from pyswarmopt_llm.engine.batching import build_row, make_batch
from pyswarmopt_llm.engine.transformers import TransformersEngine

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


@pytest.mark.parametrize(
    ("dtype", "gradients", "tolerance"),
    # the last: fused
    [(torch.float64, True, 1e-12), (torch.bfloat16, False, 0.03), (torch.float64, False, 1e-12)],
)
def test_each_token_attends_to_the_prefix_and_its_own_row(
    dtype: torch.dtype, gradients: bool, tolerance: float
) -> None:
    batch = make_batch([build_row(c, [(i, [9])]) for i, c in enumerate(CONTEXTS)], PREFIX)
    n = sum(map(len, CONTEXTS))
    shapes = (1, HEADS, n, SIZE), (1, GROUPS, PREFIX + n, SIZE), (2, 1, GROUPS, PREFIX + n, SIZE)
    query, key, value = (
        x.to(dtype) for x in (draw(*shapes[0]), draw(*shapes[1]), draw(*shapes[2])[0])
    )
    hidden = ~torch.nn.functional.pad(batch.allowed(), (PREFIX, 0), value=True)
    mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)[
        :, None
    ]
    layer = SimpleNamespace(num_key_value_groups=HEADS // GROUPS)
    with torch.set_grad_enabled(gradients):
        attended, _ = packed.packed_attention(
            layer, query, key, value, mask, packing=packed.Packing(batch)
        )
    expected = by_hand(query.double(), key.double(), value.double())
    torch.testing.assert_close(attended.double(), expected, atol=tolerance, rtol=0)


def test_training_keeps_what_goes_in_and_has_the_gradients_of_the_formula() -> None:
    batch = make_batch([build_row(c, [(i, [9])]) for i, c in enumerate(CONTEXTS)], PREFIX)
    n = sum(map(len, CONTEXTS))
    shapes = (1, HEADS, n, SIZE), (1, GROUPS, PREFIX + n, SIZE), (2, 1, GROUPS, PREFIX + n, SIZE)
    inputs = [x.requires_grad_() for x in (draw(*shapes[0]), draw(*shapes[1]), draw(*shapes[2])[0])]
    hidden = ~torch.nn.functional.pad(batch.allowed(), (PREFIX, 0), value=True)
    mask = torch.zeros(hidden.shape, dtype=torch.float64).masked_fill(hidden, -1e300)[:, None]
    layer = SimpleNamespace(num_key_value_groups=HEADS // GROUPS)
    sizes = list[int]()

    def keep(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        attended, _ = packed.packed_attention(layer, *inputs, mask, packing=packed.Packing(batch))
    factors = draw(*attended.shape)
    found = torch.autograd.grad((attended * factors).sum(), inputs)
    expected = torch.autograd.grad((by_hand(*inputs) * factors).sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert HEADS * mask.numel() not in sizes  # the scores of all tokens and keys


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
