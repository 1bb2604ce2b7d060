"""The move of `reference` in NumPy, block by block.

NumPy takes a third of torch's time for few numbers: a small swarm is one block. A large swarm is
cut into blocks that fit the cache, so that no temporary is as large as the swarm and each number
crosses the memory bus once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pyswarmopt.base.arrays import Ints
from pyswarmopt.base.blocks import BLOCK as BLOCK  # re-exported: `choose` reads it here
from pyswarmopt.base.blocks import EVERY
from pyswarmopt.engine.random_factors import FEW_COORDINATES, Factors
from pyswarmopt.parts.boundary import Boundary, Box
from pyswarmopt.parts.velocity import BlockRule, Snapshot

WHOLE = (EVERY, EVERY)
Block = tuple[slice, slice]  # rows and columns


class Move(NamedTuple):
    """One move of a swarm, for the backends that work on NumPy arrays."""

    rule: BlockRule
    s: Snapshot  # the swarm, whole; v receives the new velocities; with informants, g is p
    # index of each particle's attractor among the rows of g, (N,); None: g is (1, D) or (N, D)
    informants: Ints | None
    coefficients: npt.NDArray[Any]  # (terms, N, D or 1), as `Factors` gives them
    step: float
    out: npt.NDArray[Any]  # receives the new positions; may be x
    box: Box | None
    boundary: Boundary
    generator: torch.Generator  # for the boundary


def move(m: Move, factors: Factors | None, cut: Sequence[Block]) -> None:
    """Make the move; `factors` gives each block's factors per coordinate, if the coefficients do
    not hold them.
    """
    for block in cut:
        s, c, target = _whole(m) if block == WHOLE else _part(m, block)
        if factors is not None:
            c = factors.per_block(m.rule.sum, c, s.x.shape[1])
        v = m.rule.on(s, c)
        x = np.add(s.x, v if m.step == 1 else m.step * v, out=target)
        if m.box is not None and not _within(x, m.box.core):
            contain(m, x, v, block[1])
        if target is None:
            m.out[block] = x
        m.s.v[block] = v


def _whole(m: Move) -> tuple[Snapshot, Any, npt.NDArray[Any]]:
    """Snapshot, coefficients and memory for new positions of one block that is the swarm."""
    x, v, p, g, w = m.s
    if m.informants is not None:
        g = p.take(m.informants, axis=0)
    if x.shape[1] <= FEW_COORDINATES:  # rows of few numbers are slow to broadcast
        same = _zeros(len(x))
        g, w = (g if len(g) > 1 else g.take(same, axis=0)), w.take(same, axis=0)
    return Snapshot(x, v, p, g, w), m.coefficients, m.out


def _part(m: Move, block: Block) -> tuple[Snapshot, Any, None]:
    """The same for a block that is a part of the swarm; its new positions need memory of their
    own.
    """
    (rows, columns), (x, v, p, g, w) = block, m.s
    # looked up by block: the attractors of all would be as large as the swarm
    if m.informants is not None:
        g = _bests(p, m.informants[rows], columns)
    else:
        g = g[block] if len(g) > 1 else g[:, columns]
    return Snapshot(x[block], v[block], p[block], g, w[:, columns]), m.coefficients[:, rows], None


def _bests(p: Any, informants: Ints, columns: slice) -> Any:
    """Personal bests of the informants of some particles, some columns of them."""
    if columns == EVERY:
        return p.take(informants, axis=0)  # faster than an index
    first = int(informants[0])
    return p[first : first + 1, columns] if len(informants) == 1 else p[informants, columns]


@functools.lru_cache(maxsize=32)
def _zeros(n: int) -> Ints:
    return np.zeros(n, dtype=np.int64)


# ---- blocks ----


@functools.lru_cache(maxsize=32)
def blocks_of(n: int, dim: int, looks_at: str) -> list[Block]:
    """The blocks: some particles, a part of one, or some columns where a term looks at those."""
    if n * dim <= BLOCK:
        return [WHOLE]
    if looks_at == "column":
        return [(EVERY, columns) for columns in _parts(dim, n)]
    if dim <= BLOCK:
        return [(rows, EVERY) for rows in _parts(n, dim)]
    return [(slice(i, i + 1), columns) for i in range(n) for columns in _parts(dim, 1)]


def _parts(count: int, size: int) -> Iterator[slice]:
    """Cut `count` lines of `size` numbers into parts of equal length, up to one."""
    parts = math.ceil(count / max(BLOCK // size, 1))
    for k in range(parts):
        yield slice(count * k // parts, count * (k + 1) // parts)


# ---- walls ----


def _within(x: Any, core: tuple[float, float]) -> bool:
    """Whether all coordinates are between two numbers."""
    flat = x.reshape(-1)
    return bool(flat.item(flat.argmin()) >= core[0] and flat.item(flat.argmax()) <= core[1])


def contain(m: Move, x: Any, v: Any, columns: slice) -> None:
    """Apply the boundary to those coordinates of a contiguous block that are outside, as one
    row.
    """
    if m.box is None:
        return
    low, high = (wall[columns] for wall in m.box.walls)
    outside = np.flatnonzero((x < low) | (x > high))  # many times faster than nonzero
    if not outside.size:
        return
    at = outside if len(x) == 1 else outside % x.shape[1]
    box = Box(torch.from_numpy(low[at]), torch.from_numpy(high[at]))
    flat_x, flat_v = x.reshape(-1), v.reshape(-1)  # views
    row_x, row_v = (torch.from_numpy(flat[outside][None]) for flat in (flat_x, flat_v))
    new_x, new_v = m.boundary(row_x, row_v, box, m.generator)
    flat_x[outside], flat_v[outside] = new_x[0].numpy(), new_v[0].numpy()
