"""Blocks and rows of a large array, worked through without temporaries of its size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 2**16  # numbers in a block; it and its temporaries fit a cache of 1 or 2 MiB
EVERY = slice(None)
FEW_COLUMNS = 512  # up to which a masked copy of all rows beats one copy per row
ZERO = np.zeros((1, 1), np.float32)


def blocks(n: int, dim: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks of an (n, dim) array, in the order of memory: some rows, or a
    part of one.

    Example:
        >>> [(rows.start, rows.stop) for rows, columns in blocks(100, 1000)]
        [(0, 65), (65, 100)]
    """
    if dim <= BLOCK:
        height = BLOCK // max(dim, 1)
        for i in range(0, n, height):
            yield slice(i, min(i + height, n)), EVERY
    else:
        for i in range(n):
            for j in range(0, dim, BLOCK):
                yield slice(i, i + 1), slice(j, min(j + BLOCK, dim))


def copy_rows(source: Any, target: Any, rows: npt.NDArray[np.bool_]) -> None:
    """Copy some rows, (N,) mask, or `ZERO` to them, in NumPy without a temporary."""
    if not isinstance(target, np.ndarray):
        import torch

        chosen = torch.from_numpy(np.flatnonzero(rows)).to(target.device)
        target[chosen] = 0.0 if source is ZERO else source[chosen]
    elif target.shape[1] < FEW_COLUMNS:
        np.copyto(target, source, where=rows[:, None])
    else:
        for i in np.flatnonzero(rows):
            target[i] = source[i if len(source) > 1 else 0]
