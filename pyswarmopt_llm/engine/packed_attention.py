"""Attention on CPUs as plain matrix products, over batches packed without padding.

Linear layers and norms work on single tokens, so a packed batch is one row of tokens; only
attention pads it again. Query heads that share a key head are rows of one product (grouped-query
attention without repeated keys). For texts as long as questions, this takes two thirds of the fused
kernel's time in bfloat16, with the backward pass a fifth (seven tenths in float32); values are
equal up to rounding. Unpacked inputs, as in generation, keep the fused kernel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pyswarmopt_llm.engine.batching import Batch

NAME = "packed"
# Their attention has no soft caps, sinks or position biases, and passes keyword arguments through.
_MODELS = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gpt2"})
_MOST_SCORES = 2**20


class Packing:
    """Indices of the N tokens of a batch among the (B, L) cells of its padded rows.

    Args:
        batch: batch of a plan.

    Attributes:
        shape: (B, L).
        indices: index of each token, ascending, (N,) int64.
        tokens: token at each index, (B * L,) int64; 0 at padding.

    Example:
        >>> from pyswarmopt_llm.engine.batching import build_row, make_batch
        >>> rows = [build_row(context, [(i, [9])]) for i, context in enumerate([[5, 6], [7]])]
        >>> packing = Packing(make_batch(rows, 0))
        >>> packing.indices.tolist(), packing.tokens.tolist()
        ([0, 1, 2], [0, 1, 2, 0])
    """

    def __init__(self, batch: Batch) -> None:
        self.shape = tuple(batch.input_ids.shape)
        lengths = torch.tensor([len(row.tokens) for row in batch.rows])
        real = (torch.arange(self.shape[1]) < lengths[:, None]).flatten()
        self.indices = real.nonzero().squeeze(1)
        self.tokens = torch.zeros(real.numel(), dtype=torch.int64)
        self.tokens[self.indices] = torch.arange(len(self.indices))

    def padded(self, x: Tensor) -> Tensor:
        """Packed heads (1, H, N, D) as (B, H, L, D); padding repeats the first token."""
        heads = x.shape[1]
        at = self.tokens.view(self.shape[0], 1, -1) * heads + torch.arange(heads)[:, None]
        return F.embedding(at, x[0].transpose(0, 1).flatten(0, 1))

    def packed(self, x: Tensor) -> Tensor:
        """The inverse of `padded`, with heads last: (1, N, H, D)."""
        heads, length = x.shape[1:3]
        row = self.indices[:, None] // length
        column = self.indices[:, None] % length
        at = (row * heads + torch.arange(heads)) * length + column
        return F.embedding(at, x.flatten(0, 2))[None]


def use_packed_attention(model: Any) -> None:
    """Let a model on a CPU accept packed batches (`packing=` of its forward pass), if its
    architecture is supported.
    """
    if model.device.type == "cpu" and model.config.get_text_config().model_type in _MODELS:
        AttentionInterface.register(NAME, packed_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def products_win(scores: int, dtype: torch.dtype) -> bool:
    """Whether matrix products are faster than the fused kernel, given the number of scores per
    layer (B * H * L * K).

    Without gradients, products win in bfloat16, and for few scores (the kernel does not store
    them). In the backward pass they win in any dtype.
    """
    return torch.is_grad_enabled() or (dtype == torch.bfloat16 and scores <= _MOST_SCORES)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers; dropout is not applied to packed batches.

    Args:
        module: the attention layer.
        query: (1, H, N, D).
        key: (1, G, P + N, D), after a prefix visible to all rows, G a divisor of H.
        value: as `key`.
        attention_mask: (B, 1, L, P + L), added to the scores.
        scaling: factor of the scores; default: 1 / sqrt(D).
        packing: indices of the tokens; None: the fused kernel is called with all arguments.
        options: for the fused kernel.

    Returns:
        (1, N, H, D), and None for the weights.
    """
    if packing is None or attention_mask is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    n_prefix = key.shape[2] - query.shape[2]
    key, value = (_after_prefix(x, n_prefix, packing) for x in (key, value))
    query = packing.padded(query)
    scores = query.shape[:3].numel() * key.shape[2]
    if products_win(scores, query.dtype):
        inputs = (query, key, value, attention_mask, scaling or query.shape[3] ** -0.5)
        if scores <= _MOST_SCORES:
            attended = _products(*inputs)
        else:  # training stores only the inputs and recomputes the scores in the backward pass
            attended = checkpoint(_products, *inputs, use_reentrant=False, preserve_rng_state=False)
    else:
        fused, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling
        )
        attended = fused.transpose(1, 2)
    return packing.packed(attended), None


def _after_prefix(x: Tensor, n_prefix: int, packing: Packing) -> Tensor:
    """Keys or values (1, G, P + N, D) as (B, G, P + L, D)."""
    prefix = x[:, :, :n_prefix].expand(packing.shape[0], -1, -1, -1)
    return torch.cat([prefix, packing.padded(x[:, :, n_prefix:])], 2)


def _products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """softmax(scaling Q K^T + mask) V, (B, H, L, D).

    The queries of the heads that share a key head are rows of one product.
    """
    groups = key.shape[1]
    length = mask.shape[2]
    rows = query.unflatten(1, (groups, -1)).flatten(2, 3)
    scores = ((rows * scaling) @ key.transpose(2, 3)).unflatten(2, (-1, length))
    weights = (scores + mask[:, :, None]).flatten(2, 3).softmax(-1)
    return (weights @ value).view(query.shape)
