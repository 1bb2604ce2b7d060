"""Memory for the large tensors of a swarm, or an error that says how much was asked for."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """A tensor of that shape whose numbers are still to be set.

    Raises:
        ValueError: there is no such memory.

    Example:
        >>> import torch
        >>> empty((3, 4), torch.float32).shape
        torch.Size([3, 4])
    """
    import torch

    size = math.prod(shape) * dtype.itemsize
    if size > sys.maxsize:
        raise too_large(shape, size)
    try:
        return torch.empty(shape, dtype=dtype, device=device)
    except (MemoryError, RuntimeError) as error:
        raise too_large(shape, size) from error


def copied(source: Tensor, device: torch.device | None = None) -> Tensor:
    """A contiguous copy, on the same device unless another one is given."""
    copy = empty(tuple(source.shape), source.dtype, device or source.device)
    return copy.copy_(source.detach())


def too_large(shape: tuple[int, ...], size: int) -> ValueError:
    """Error for an array of that shape and of `size` bytes that finds no memory."""
    numbers = " x ".join(map(str, shape))
    return ValueError(
        f"{numbers} numbers ({size / 1e9:.3g} GB) find no memory: use fewer particles or "
        "coordinates"
    )
