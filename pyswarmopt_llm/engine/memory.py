"""Free memory of a device, and estimated memory of a pass over tokens and of a candidate.

Estimates are upper bounds for plain transformers. If one is wrong, batches are halved when memory
runs out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.engine.batching import KEYS_PER_TOKEN

LEAST_TOKENS = 1024  # of a batch whose size depends on the device
MOST_TOKENS = 16_384
_SHARE = 0.8  # share of free memory that a batch may take: the rest covers fragmentation
_FLOAT = 4  # bytes


def free_memory(device: torch.device) -> int | None:
    """Free bytes on a device; on a CPU, the bytes that a process may take without swapping.

    None if the system does not say. All memory queries go through this function.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model that determine the memory of a token.

    Attributes:
        hidden: size of a layer's input; inner: size of its feed-forward part, for each projection.
        keys: size of the keys of all heads, and of as many values.
        layers, vocabulary: numbers of layers and of tokens.
        itemsize: bytes of a number.
    """

    hidden: int
    inner: int
    keys: int
    layers: int
    vocabulary: int
    itemsize: int

    @classmethod
    def of(cls, model: Any) -> Sizes:
        """Read the sizes of a causal LM, which may have no values (device ``meta``)."""
        config = model.config.get_text_config()

        def number(name: str, default: int = 0) -> int:
            value = getattr(config, name, None) or default
            if isinstance(value, list | tuple):
                return max(value)
            return int(value)

        hidden = number("hidden_size")
        heads = number("num_attention_heads", 1)
        routed = number("moe_intermediate_size") * number("num_experts_per_tok", 1)
        return cls(
            hidden=hidden,
            inner=max(number("intermediate_size", 4 * hidden), routed),
            keys=number("num_key_value_heads", heads) * number("head_dim", hidden // heads),
            layers=number("num_hidden_layers"),
            vocabulary=number("vocab_size"),
            itemsize=model.dtype.itemsize,
        )

    def scoring(self, tokens: int) -> int:
        """Bytes of a pass over a batch, or of its keys and values during writing."""
        layer = 6 * self.hidden + 2 * self.keys + 3 * self.inner
        written = KEYS_PER_TOKEN * 2 * self.keys * self.layers
        return tokens * self.itemsize * max(layer + self.vocabulary, written)


def copies(model: Any, changed: Collection[str]) -> tuple[int, int]:
    """Bytes of the weights that candidates change, and of the largest one merged in float32."""
    sizes = [p.numel() for name, p in model.named_parameters() if name in changed]
    return sum(sizes) * model.dtype.itemsize, 2 * _FLOAT * max(sizes, default=0)


def batch_for(sizes: Sizes, free: int) -> int:
    """Padded tokens of a batch: the least number, doubled while it fits into this memory.

    Example:
        >>> small = Sizes(hidden=8, inner=16, keys=8, layers=1, vocabulary=16, itemsize=2)
        >>> batch_for(small, 10**6), batch_for(small, 10**9)
        (2048, 16384)
    """
    tokens = LEAST_TOKENS
    while tokens < MOST_TOKENS and sizes.scoring(2 * tokens) <= _SHARE * free:
        tokens *= 2
    return tokens


def decide(
    model: Any, mix: str, changed: Collection[str], batch_tokens: int | None
) -> tuple[dict[str, Any], str]:
    """Choose how candidates are mixed in, by the free memory of the model's device, and the batch
    size, by all of its memory.

    In half precision the last digits of a score depend on the batch size, so other programs must
    not change it.

    Returns:
        The settings mix and batch_tokens, and why candidates are not merged ("" if they are, or if
        `mix` was given).
    """
    free = free_memory(model.device)
    sizes = Sizes.of(model)
    why = ""
    kept, merging = copies(model, changed)
    if mix == "auto" and changed:
        mix = "merged"
        needed = kept + merging + sizes.scoring(LEAST_TOKENS)
        if free is not None and needed > free:
            mix = "runtime"
            why = (
                f"merging would need {needed / 1e9:.1f} GB in addition to the base model, but only "
                f"{free / 1e9:.1f} GB is free"
            )
    if batch_tokens is None:
        batch_tokens = LEAST_TOKENS
        if model.device.type == "cuda":
            weights = sum(p.numel() for p in model.parameters()) * model.dtype.itemsize
            if mix != "runtime":
                weights += kept
            whole = torch.cuda.mem_get_info(model.device)[1]
            batch_tokens = batch_for(sizes, whole - weights)
    decided: dict[str, Any] = {"batch_tokens": batch_tokens}
    if changed:  # candidates without known changed weights have no `mix`
        decided["mix"] = mix
    return decided, why
