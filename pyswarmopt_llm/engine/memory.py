"""Free memory of a device, and estimated memory of a pass over tokens and of a candidate.

Estimates are upper bounds for plain transformers. If one is wrong, batches are halved when memory
runs out.
"""

from __future__ import annotations

from collections.abc import Collection
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


def token_bytes(model: Any) -> int:
    """Bytes that a token takes in a pass over a batch, or while replies to a batch are written.

    In a pass these are a layer's activations and the logits; in writing, the keys and values of all
    layers. Feed-forward parts count as four times as wide as the residual stream.

    Args:
        model: a causal LM; it may have no values (device ``meta``).
    """
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    keys = width * (getattr(config, "num_key_value_heads", None) or heads)
    layer = (6 + 3 * 4) * config.hidden_size + 2 * keys
    written = KEYS_PER_TOKEN * 2 * keys * config.num_hidden_layers
    numbers: int = max(layer + config.vocab_size, written)
    return model.dtype.itemsize * numbers


def batch_for(token: int, free: int) -> int:
    """Padded tokens of a batch, each of so many bytes: the least number, doubled while it fits into
    this memory.

    Example:
        >>> batch_for(192, 10**6), batch_for(192, 10**9)
        (4096, 16384)
    """
    tokens = LEAST_TOKENS
    while tokens < MOST_TOKENS and 2 * tokens * token <= _SHARE * free:
        tokens *= 2
    return tokens


def decide(
    model: Any, mix: str, changed: Collection[str], batch_tokens: int | None
) -> tuple[dict[str, Any], str]:
    """Choose how candidates are mixed in, by the free memory of the model's GPU, and the batch size,
    by all of its memory.

    In half precision the last digits of a score depend on the batch size, so other programs must
    not change it.

    Returns:
        The settings mix and batch_tokens, and why candidates are not merged ("" if they are, or if
        `mix` was given).
    """
    token = token_bytes(model)
    weights = {name: p.numel() for name, p in model.named_parameters()}
    copied = [numbers for name, numbers in weights.items() if name in changed]
    kept = sum(copied) * model.dtype.itemsize
    decided: dict[str, Any] = {}
    why = ""
    if changed:  # candidates without known changed weights have no `mix`
        if mix == "auto":
            mix = "merged"
            needed = kept + 2 * _FLOAT * max(copied, default=0) + LEAST_TOKENS * token
            free = free_memory(model.device)
            if free is not None and needed > free:
                mix = "runtime"
                why = (
                    f"merging would need {needed / 1e9:.1f} GB in addition to the base model, but only "
                    f"{free / 1e9:.1f} GB is free"
                )
        decided["mix"] = mix
    if batch_tokens is None:
        used = sum(weights.values()) * model.dtype.itemsize
        if mix != "runtime":
            used += kept
        whole = torch.cuda.mem_get_info(model.device)[1]
        batch_tokens = batch_for(token, whole - used)
    return {**decided, "batch_tokens": batch_tokens}, why
