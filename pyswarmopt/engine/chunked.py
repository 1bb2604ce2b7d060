"""The move of `reference` in NumPy, block by block.

For few numbers, NumPy takes a third of torch's time: a small swarm is one block. A large swarm is
cut into blocks that fit the cache, so that no temporary has the swarm's size and each number
crosses the memory bus once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Ints, as_array, beside
from pyswarmopt.base.blocks import BLOCK as BLOCK  # `choose` reads it here
from pyswarmopt.base.blocks import EVERY
from pyswarmopt.engine.random_factors import FEW_COORDINATES, RandomFactors
from pyswarmopt.parts.boundary import Boundary, Box, contained
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms

Block = tuple[slice, slice]  # rows and columns
WHOLE: Block = (EVERY, EVERY)


def move(
    at: Snapshot,
    out: Any,
    informants: Ints | None,
    recipe: Recipe,
    factors: RandomFactors,
    generator: np.random.Generator,
    box: Box | None,
) -> None:
    """Move all particles of a swarm.

    Args:
        at: the swarm's arrays; v receives the new velocities.
        out: receives the new positions, (N, D); may be x.
        informants: index of each particle's attractor among the personal bests, (N,); None: at.g
            holds the attractors, (1, D) or (N, D).
        recipe: recipe with a sum of terms as velocity.
        factors: random factors of the sum.
        generator: random source of the boundary.
        box: box of the boundary, if any.
    """
    rule = cast(SumOfTerms, recipe.velocity)
    step = recipe.schedule(at.move)
    coefficients = factors.next(at.move)
    for block in blocks_of(*at.x.shape, rule.looks_at):
        s = _part(at, informants, block)
        v = rule.on(s, factors.per_block(coefficients[:, block[0]], s.x.shape[1]))
        x = s.x + (v if step == 1 else step * v)
        if box is not None and not _within(x, box.core):
            contain(x, v, box, block[1], recipe.boundary, generator)
        out[block] = x
        at.v[block] = v


def _part(at: Snapshot, informants: Ints | None, block: Block) -> Snapshot:
    """A block's snapshot; attractors are looked up by block, since all together would have the
    swarm's size. Short rows are slow to broadcast: each particle gets its own copy.
    """
    rows, columns = block
    x, v, p, g, w, fx, fp, k, around = at
    if informants is not None and columns == EVERY:
        g = p.take(informants[rows], axis=0)  # faster than an index
    elif informants is not None:
        g = p[informants[rows], columns]
    else:
        g = g[block] if len(g) > 1 else g[:, columns]
    if block is not WHOLE:
        x = x[block]
        v = v[block]
        p = p[block]
        w = w[:, columns]
        fx = fx[rows]
        fp = fp[rows]
        around = None if around is None else around[rows]
    if x.shape[1] <= FEW_COORDINATES:
        same = _zeros(len(x))
        g = g if len(g) > 1 else g.take(same, axis=0)
        w = w.take(same, axis=0)
    return Snapshot(x, v, p, g, w, fx, fp, k, around)


@functools.lru_cache(maxsize=32)
def _zeros(n: int) -> Ints:
    return np.zeros(n, dtype=np.int64)


@functools.lru_cache(maxsize=32)
def blocks_of(n: int, dim: int, looks_at: str) -> list[Block]:
    """The blocks: some particles, a part of one, or some columns if a term looks at columns."""
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


def contain(
    x: Any, v: Any, box: Box, columns: slice, boundary: Boundary, generator: np.random.Generator
) -> None:
    """Apply the boundary to the outside coordinates of a contiguous block, as one row."""
    low, high = (wall[columns] for wall in box.walls)
    outside = ((x < low) | (x > high)).reshape(-1).nonzero()[0]
    if not outside.size:
        return
    at = outside % x.shape[1]
    flat_x = x.reshape(-1)  # a view
    flat_v = v.reshape(-1)
    row = flat_x[outside][None], flat_v[outside][None], low[at], high[at]
    # a boundary sees tensors if the swarm uses tensors
    row_x, row_v, *sides = (beside(part, box.low) for part in row)
    new_x, new_v = contained(boundary, row_x, row_v, Box(*sides), generator)
    flat_x[outside] = as_array(new_x[0])
    flat_v[outside] = as_array(new_v[0])
