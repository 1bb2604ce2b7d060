"""Attention over planned batches: masks, the keys and values of a shared prefix, which
architectures support them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from pyswarmopt_llm.engine.batching import Batch


def attention_windows(model: Any) -> dict[str, int | None] | None:
    """The kinds of attention layers of a model, as transformers names them, and their windows.

    Only the mask and the position ids separate the branches of a tree, so every layer must respect
    both.

    Args:
        model: a transformers causal LM.

    Returns:
        Kind -> window in tokens, including the token itself (None: unlimited). None where a layer is
        recurrent (Mamba, linear attention), measures distance by index (ALiBi, GPT-Neo's local
        layers) or attends to fixed chunks.

    Example:
        >>> from transformers import MistralConfig, MistralForCausalLM
        >>> size = dict(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        ...             num_key_value_heads=1)
        >>> attention_windows(MistralForCausalLM(MistralConfig(**size, sliding_window=512)))
        {'sliding_attention': 512}
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    windows = {"full_attention": None, "sliding_attention": window}
    # Without a list every layer slides if there is a window (as in transformers' own caches).
    kinds = getattr(config, "layer_types", None) or [
        "full_attention" if window is None else "sliding_attention"
    ]
    unfit = (
        not windows.keys() >= set(kinds)
        or "position_ids" not in inspect.signature(model.forward).parameters
        or getattr(config, "alibi", False)
        or "local" in getattr(config, "attention_layers", ())
    )
    return None if unfit else {kind: windows[kind] for kind in sorted(set(kinds))}


def attention_mask(
    batch: Batch, n_prefix: int, windows: Mapping[str, int | None], model: Any
) -> Tensor | dict[str, Tensor]:
    """Additive mask: 0 where a token of the batch sees a token of the prefix or of its row, else
    the dtype's minimum.

    A window counts tokens on the path to the token (difference of position ids), not columns.

    Args:
        batch: B rows of L tokens.
        n_prefix: number P of prefix tokens, visible to all tokens of every row.
        windows: from `attention_windows`.
        model: for its dtype and device.

    Returns:
        (B, 1, L, P + L); one per kind of layer if there are several, as transformers expects.
    """
    seen = torch.nn.functional.pad(batch.allowed(), (n_prefix, 0), value=True)
    rows = batch.position_ids
    columns = torch.cat([torch.arange(n_prefix).expand(len(rows), -1), rows], dim=1)
    return additive_mask(seen, rows[:, :, None] - columns[:, None, :], windows, model)


def additive_mask(
    seen: Tensor, distance: Tensor, windows: Mapping[str, int | None], model: Any
) -> Tensor | dict[str, Tensor]:
    """Masks as `attention_mask` gives them.

    Args:
        seen: which token may see which, without windows, (B, L, K) bool.
        distance: by how many positions one precedes the other, (B, L, K).
        windows: from `attention_windows`.
        model: for its dtype and device.
    """
    masks = {}
    hidden = torch.finfo(model.dtype).min
    for kind, window in windows.items():
        near = seen if window is None else seen & (distance < window)
        mask = torch.zeros(near.shape, dtype=model.dtype).masked_fill_(~near, hidden)
        masks[kind] = mask.unsqueeze(1).to(model.device)
    return masks if len(masks) > 1 else next(iter(masks.values()))


class PrefixCache(Cache):
    """The keys and values of `cache` (a batch of one) for batches of any size, reusable."""

    def __init__(self, cache: DynamicCache) -> None:
        super().__init__(layers=[_SharedLayer(layer.keys, layer.values) for layer in cache.layers])


class _SharedLayer(DynamicLayer):
    """The prefix of one layer, (1, heads, P, head_dim); `update` concatenates a batch without
    storing it.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        n = key_states.shape[0]
        keys = torch.cat([self.keys.expand(n, -1, -1, -1), key_states], dim=-2)
        values = torch.cat([self.values.expand(n, -1, -1, -1), value_states], dim=-2)
        return keys, values
