"""The axes of pictures."""

from __future__ import annotations

import math

STEPS = (1, 2, 2.5, 5)  # between the marks of an axis, times a power of ten


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that span an axis, at most `most` or a few more.

    Example:
        >>> ticks(0.03, 0.49), ticks(1, 40)
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 10.0, 20.0, 30.0, 40.0])
    """
    extent = (high - low) or max(abs(high), 1.0) / 10
    power = 10.0 ** math.floor(math.log10(extent / most))
    step = next(s * power for s in (*STEPS, 10) if extent / (s * power) <= most)
    first = math.floor(low / step)
    last = math.ceil((low + extent) / step)
    return [round(number * step, 10) for number in range(first, last + 1)]
