"""Blocks of a large array, to avoid temporaries of its size."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 2**16  # numbers in a block; with its temporaries it fits a cache of 1 or 2 MiB
EVERY = slice(None)


def blocks(n: int, dim: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks of an (n, dim) array, in memory order: some rows, or a part of
    one.

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
