"""Memory for a swarm's large arrays, or an error that names the requested size."""

from __future__ import annotations

import math
import sys
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
    size = math.prod(shape) * dtype.itemsize
    if size > sys.maxsize:
        raise too_large(shape, size)
    try:
        if isinstance(dtype, np.dtype):
            return np.empty(shape, dtype)
        import torch

        return torch.empty(shape, dtype=dtype, device=device)
    except (MemoryError, RuntimeError) as error:
        raise too_large(shape, size) from error


def copied(source: Array, device: Any = None) -> Array:
    """A contiguous copy; of a tensor on the same device unless `device` is given."""
    if is_tensor(source):
        copy = empty(tuple(source.shape), source.dtype, device or source.device)
        return copy.copy_(source.detach())
    copy = empty(source.shape, source.dtype)
    copy[...] = source
    return copy


def too_large(shape: tuple[int, ...], size: int) -> ValueError:
    """Error for an array of this shape and of `size` bytes that does not fit into memory."""
    numbers = " x ".join(map(str, shape))
    return ValueError(
        f"{numbers} numbers ({size / 1e9:.3g} GB) find no memory: use fewer particles or "
        "coordinates"
    )
