"""Moves by the compiled loops of `kernels`: what they know, and what they are handed.

NumPy makes a pass for each operator. Even in blocks that stay in the cache these take three times as long as it takes
to read x, v and p and to write x and v once, and a small swarm's cost is that of the calls. The loops give the same
numbers to the bit; they know sums of the four terms of `velocity`, and walls that clip, confine or reflect.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.state import Ints, State
from pyswarmopt.engine.numba import kernels
from pyswarmopt.engine.numba.loader import COMPILER, Loops
from pyswarmopt.engine.random_factors import RandomBits
from pyswarmopt.parts import boundary
from pyswarmopt.parts.boundary import Boundary, Box
from pyswarmopt.parts.velocity import DIRECTIONS, BlockRule, Snapshot, SumOfTerms

COMPILED_FROM = 2**17  # numbers in a swarm, from which on it pays to load the loops for it alone
WALLS: dict[Boundary, int] = {
    boundary.clip: kernels.CLIP,
    boundary.confine: kernels.CONFINE,
    boundary.reflect: kernels.REFLECT,
}
NOWHERE = -math.inf, math.inf


def for_small(state: State, rule: BlockRule) -> Loops | None:
    """The loops that can move a small swarm, if they are loaded, or it is time."""
    loops = COMPILER.for_small()
    if loops is None or not isinstance(rule, SumOfTerms) or rule.places is None or not state.plain:
        return None
    return loops


def for_large(state: State, rule: BlockRule) -> Loops | None:
    """The loops that can move a large swarm."""
    if not isinstance(rule, SumOfTerms) or rule.places is None or (rule.normalise and rule.per_coordinate):
        return None
    loops = COMPILER.load() if state.positions.numel() >= COMPILED_FROM else COMPILER.loops
    return loops if state.plain else None


def small_move(
    loops: Loops,
    rule: SumOfTerms,
    snapshot: Snapshot,
    heard: Ints | None,
    out: npt.NDArray[Any],
    coefficients: npt.NDArray[Any],
    step: float,
    box: Box | None,
    walls: Boundary,
) -> bool:
    """Move a swarm for which `for_small` gave loops.

    Args:
        loops: those.
        rule: the sum of terms.
        snapshot: NumPy arrays; v becomes the new velocities.
        heard: whose row of g each particle hears of, (N,); None if g has one row, or one for each.
        out: for the new positions; it may be x.
        coefficients: (terms, N, D or 1).
        step: step length.
        box: the bounds, if there are any.
        walls: what to do at them.

    Returns:
        Whether a coordinate may be outside still.
    """
    x, v, p, g, w = snapshot
    if heard is None:
        heard = _rows(len(x), len(g))
    low, high = (x[0], x[0]) if box is None else box.walls
    core = NOWHERE if box is None else box.core
    kind = WALLS.get(walls, kernels.OPEN)
    return loops.small_move(x, v, p, g, w, heard, rule.places, coefficients, step, low, high, core, kind, out)


@functools.lru_cache(maxsize=32)
def _rows(n: int, of: int) -> Ints:
    """Each particle's own row, or the only one."""
    return np.zeros(n, np.int64) if of == 1 else np.arange(n)


def large_move(
    loops: Loops,
    rule: SumOfTerms,
    snapshot: Snapshot,
    heard: Ints | None,
    out: npt.NDArray[Any],
    coefficients: npt.NDArray[Any],
    bits: RandomBits | None,
    step: float,
    box: Box | None,
    walls: Boundary,
    blocks: Sequence[tuple[slice, slice]],
) -> list[int]:
    """Move a swarm for which `for_large` gave loops.

    Args:
        loops: those.
        rule: the sum of terms.
        snapshot: NumPy arrays; v becomes the new velocities.
        heard: whose row of g each particle hears of, (N,); None if g has one row, or one for each.
        out: for the new positions; it may be x.
        coefficients: (terms, N, 1), without the factors per coordinate.
        bits: where those come from, if there are any.
        step: step length.
        box: the bounds, if there are any.
        walls: what to do at them.
        blocks: in which order they are drawn.

    Returns:
        Numbers of the blocks that may be outside still.
    """
    x, v, p, g, w = snapshot
    n, kinds = len(x), np.flatnonzero(rule.places >= 0).tolist()  # type: ignore[operator]  # for_large has looked
    if heard is None:
        heard = _rows(n, len(g))
    rows = np.stack([heard, np.zeros(n, np.int64)])
    # In place of what no term looks at: x, which is in the cache, and of which nothing overflows.
    p = p if 1 in kinds else x
    g, rows[0] = (g, rows[0]) if 2 in kinds else (x, np.arange(n))
    w, rows[1] = (w, rows[1]) if 3 in kinds else (x, np.arange(n))
    weights, place = np.zeros((len(DIRECTIONS), n), x.dtype), np.full(len(DIRECTIONS), -1)
    weights[kinds] = coefficients[..., 0]
    place[[kinds[k] for k in rule.per_coordinate]] = np.arange(len(rule.per_coordinate))
    edges = np.array([[*rows_.indices(n)[:2], *columns.indices(x.shape[1])[:2]] for rows_, columns in blocks])
    at = np.uint64(0) if bits is None else bits.at
    outside = np.zeros(len(edges), np.bool_)
    low, high = (x[0], x[0]) if box is None else box.walls
    core = NOWHERE if box is None else box.core
    kind = WALLS.get(walls, kernels.OPEN)
    loops.one_pass(x, v, p, g, w, rows, out, edges, weights, place, at, step, low, high, core, kind, outside)
    if bits is not None:
        sizes = (edges[:, 1] - edges[:, 0]) * (edges[:, 3] - edges[:, 2])
        bits.skip(int(((len(rule.per_coordinate) * sizes + 3) // 4).sum()))
    return np.flatnonzero(outside).tolist()


__all__ = ["for_large", "for_small", "large_move", "small_move"]
