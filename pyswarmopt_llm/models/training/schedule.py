"""The learning rate over the steps of a training run."""

from __future__ import annotations

import math

_WARMUP = 0.05  # fraction of the steps
_FLOOR = 0.05  # fraction of the peak learning rate at the last step


def warmup_cosine(step: int, steps: int) -> float:
    """Fraction of the peak learning rate: linear warm-up, then cosine decay to a small floor."""
    warmup = max(1, int(_WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


__all__ = ["warmup_cosine"]
