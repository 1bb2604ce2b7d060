"""One move of a swarm: velocities, positions, walls.

On the CPU a sum of terms moves a swarm block by block, in NumPy. A small swarm is one block: NumPy takes a third of
torch's time for few numbers. A large one is cut into blocks that fit the cache, so that no temporary is as large as
the swarm and each number crosses the memory bus once. Every other rule, dtype or device gets the whole swarm as torch
tensors. Both evaluate the same terms.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.blocks import BLOCK, EVERY
from pyswarmopt.base.state import Ints, State
from pyswarmopt.engine.numba import step as fused
from pyswarmopt.parts import boundary as boundaries
from pyswarmopt.parts.boundary import Boundary, Box
from pyswarmopt.parts.topology import ByInformants, Global
from pyswarmopt.parts.velocity import FEW_COORDINATES, BlockRule, Snapshot

WHOLE = (EVERY, EVERY)
SMALL = 2**12  # numbers in a swarm, up to which all factors are drawn before the move


def move(recipe: Recipe, state: State, box: Box | None, generator: torch.Generator, room: Tensor) -> None:
    """Move all particles once; the state's velocities change in place.

    Args:
        recipe: the algorithm.
        state: the swarm after an evaluation.
        box: the walls, if there are any.
        generator: a CPU generator.
        room: memory for the new positions, like the old ones; it may be that of the old ones.
    """
    number = state.age - 1
    step = recipe.schedule(number)
    if recipe.boundary is boundaries.none:
        box = None
    looks_at = getattr(recipe.velocity, "looks_at", "all")
    if looks_at == "all" or not state.in_numpy:
        _in_torch(recipe, state, number, step, box, generator, room)
    elif state.positions.numel() <= min(SMALL, BLOCK):
        _at_once(recipe, state, number, step, box, generator, room)
    else:
        _by_blocks(recipe, state, number, step, box, generator, room)
    state.positions = room


def _in_torch(
    recipe: Recipe, state: State, number: int, step: float, box: Box | None, generator: torch.Generator, room: Tensor
) -> None:
    x = state.positions
    g = recipe.topology(state, generator)
    snapshot = Snapshot(x, state.velocities, state.best_positions, g, state.worst_position.unsqueeze(0))
    if hasattr(recipe.velocity, "sum"):
        rule = cast(BlockRule, recipe.velocity)
        shape = x.shape[0], x.shape[1]
        v = rule.on(snapshot, state.factors.next(rule.sum, shape, np.float64, number, generator, whole=True))
    else:
        v = recipe.velocity(snapshot, number, generator)
    moved = x + step * v
    if box is not None:
        moved, v = recipe.boundary(moved, v, box, generator)
    room.copy_(moved)
    state.velocities.copy_(v)


def _at_once(
    recipe: Recipe, state: State, number: int, step: float, box: Box | None, generator: torch.Generator, room: Tensor
) -> None:
    x, v, p, g, w = state.arrays()
    out = x if room is state.positions else room.numpy()
    rule = cast(BlockRule, recipe.velocity)
    topology = recipe.topology
    informants = getattr(topology, "informants", None)  # to look for a base class takes ten times as long
    heard: Ints | None = None
    if informants is not None:
        g, heard = p, informants(state, generator)
    elif type(topology) is not Global:
        g = topology(state, generator).numpy()
    coefficients = state.factors.next(rule.sum, x.shape, x.dtype, number, generator, whole=True)
    loops = fused.for_small(state, rule)
    if loops is not None:
        snapshot = Snapshot(x, v, p, g, w)
        if fused.small_move(loops, rule.sum, snapshot, heard, out, coefficients, step, box, recipe.boundary):
            _contain(out, v, EVERY, box, recipe.boundary, generator)
        return
    if heard is not None:
        g = p.take(heard, axis=0)
    if x.shape[1] <= FEW_COORDINATES:  # rows of few numbers are slow to broadcast
        same = _zeros(len(x))
        g, w = (g if len(g) > 1 else g.take(same, axis=0)), w.take(same, axis=0)
    new_v = rule.on(Snapshot(x, v, p, g, w), coefficients)
    np.add(x, new_v if step == 1 else step * new_v, out=out)
    if box is not None and not _within(out, box.core):
        _contain(out, new_v, EVERY, box, recipe.boundary, generator)
    np.copyto(v, new_v)


@functools.lru_cache(maxsize=32)
def _zeros(n: int) -> Ints:
    return np.zeros(n, dtype=np.int64)


def _within(x: Any, core: tuple[float, float]) -> bool:
    """Whether all coordinates are between two numbers."""
    flat = x.reshape(-1)
    return bool(flat.item(flat.argmin()) >= core[0] and flat.item(flat.argmax()) <= core[1])


def _contain(x: Any, v: Any, columns: slice, box: Box | None, boundary: Boundary, generator: torch.Generator) -> None:
    """Let the boundary deal with what is outside."""
    if box is None:
        return
    low, high = (wall[columns] for wall in box.walls)
    outside = np.flatnonzero((x < low) | (x > high))  # many times faster than nonzero
    if outside.size:
        _bring_in(outside, x, v, boundary, low, high, generator)


def _by_blocks(
    recipe: Recipe, state: State, number: int, step: float, box: Box | None, generator: torch.Generator, room: Tensor
) -> None:
    x, v, p, heard, w = state.arrays()
    out = x if room is state.positions else room.numpy()
    rule = cast(BlockRule, recipe.velocity)
    topology = recipe.topology
    # Informants are looked up block by block: all that they know at once would be as large as the swarm.
    informed = isinstance(topology, ByInformants)
    if isinstance(topology, ByInformants):
        heard = topology.informants(state, generator)
    elif not isinstance(topology, Global):
        heard = topology(state, generator).numpy()
    coefficients = state.factors.next(rule.sum, x.shape, x.dtype, number, generator, whole=False)
    bits = state.factors.bits if rule.sum.per_coordinate else None
    blocks = _blocks(*x.shape, rule.looks_at)
    loops = fused.for_large(state, rule)
    if loops is not None:
        whole = Snapshot(x, v, p, p if informed else heard, w)
        who = heard if informed else None
        for k in fused.large_move(
            loops, rule.sum, whole, who, out, coefficients, bits, step, box, recipe.boundary, blocks
        ):
            block = blocks[k]
            new_x, new_v = out[block].copy(), v[block].copy()
            _contain(new_x, new_v, block[1], box, recipe.boundary, generator)
            out[block], v[block] = new_x, new_v
        return
    for block in blocks:
        rows, columns = block
        g = _bests(p, heard[rows], columns) if informed else _attractors(heard, block)
        snapshot = Snapshot(x[block], v[block], p[block], g, w[:, columns])
        c: Any = coefficients[:, rows]
        if bits is not None:
            c = rule.sum.with_bits(c, bits, snapshot.x.shape[1])
        new_v = rule.on(snapshot, c)
        new_x = snapshot.x + (new_v if step == 1 else step * new_v)
        if box is not None and not _within(new_x, box.core):
            _contain(new_x, new_v, columns, box, recipe.boundary, generator)
        out[block], v[block] = new_x, new_v


@functools.lru_cache(maxsize=32)
def _blocks(n: int, dim: int, looks_at: str) -> list[tuple[slice, slice]]:
    """Rows and columns of the blocks: some particles, a part of one, or some columns where a term looks at those."""
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


def _bests(p: Any, informants: Ints, columns: slice) -> Any:
    """Personal bests of the informants of some particles, some columns of them."""
    if columns == EVERY:
        return p.take(informants, axis=0)  # faster than an index
    first = int(informants[0])
    return p[first : first + 1, columns] if len(informants) == 1 else p[informants, columns]


def _attractors(g: Any, block: tuple[slice, slice]) -> Any:
    """A block of g, (N, D) or (1, D)."""
    return g[block] if len(g) > 1 else g[:, block[1]]


def _bring_in(
    outside: Ints, x: Any, v: Any, boundary: Boundary, low: Any, high: Any, generator: torch.Generator
) -> None:
    """Let the boundary deal with those coordinates of x and v that are outside, numbered row by row, as one row."""
    columns = outside if len(x) == 1 else outside % x.shape[1]
    box = Box(torch.from_numpy(low[columns]), torch.from_numpy(high[columns]))
    flat_x, flat_v = x.reshape(-1), v.reshape(-1)  # views
    row_x, row_v = (torch.from_numpy(flat[outside][None]) for flat in (flat_x, flat_v))
    new_x, new_v = boundary(row_x, row_v, box, generator)
    flat_x[outside], flat_v[outside] = new_x[0].numpy(), new_v[0].numpy()


__all__ = ["move"]
