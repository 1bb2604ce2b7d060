"""Memory for a swarm's large arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Array, DType, is_tensor


def empty(shape: tuple[int, ...], dtype: DType, device: Any = "cpu") -> Array:
    """An uninitialised array, or a tensor if the dtype is torch's.

    Raises:
        ValueError: not enough memory.

    Example:
        >>> empty((3, 4), np.dtype("float32")).shape
        (3, 4)
    """
    try:
        if isinstance(dtype, np.dtype):
            return np.empty(shape, dtype)
        import torch

        return torch.empty(shape, dtype=dtype, device=device)
    except (MemoryError, RuntimeError, ValueError) as error:
        raise too_large(shape) from error


def copied(source: Array, device: Any = None) -> Array:
    """A contiguous copy; of a tensor on the same device unless `device` is given."""
    if not is_tensor(source):
        return source.copy()
    copy = empty(tuple(source.shape), source.dtype, device or source.device)
    return copy.copy_(source.detach())


def too_large(shape: tuple[int, ...]) -> ValueError:
    """Error for an array of this shape that does not fit into memory."""
    numbers = " x ".join(map(str, shape))
    return ValueError(f"{numbers} numbers find no memory: use fewer particles or coordinates")
