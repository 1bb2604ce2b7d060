"""A large swarm's move in one pass over its memory, compiled by Numba where that is installed (`pyswarmopt[fast]`).

NumPy makes a pass for each operator. Even in blocks that stay in the cache these take three times as long as it takes
to read x, v and p and to write x and v once. The compiled loop does what `SumOfTerms.on` does, operator by operator,
and so gives the same numbers to the bit; only sums of the four terms of `velocity` are known to it.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from .factors import FULL_SCALE, RandomBits
from .state import Ints
from .velocity import DIRECTIONS, BlockRule, Snapshot, SumOfTerms

COMPILED_FROM = 2**17  # numbers in a swarm; below, NumPy's passes stay in the cache
PIECE = 512  # coordinates moved at a time; what is between the loops is to stay in the L1 cache


def can_move(rule: BlockRule, x: npt.NDArray[Any]) -> bool:
    """Whether the compiled loop can take the place of the rule, gives the same, and pays."""
    if x.size < COMPILED_FROM or not isinstance(rule, SumOfTerms) or (rule.normalise and rule.per_coordinate):
        return False
    kinds = _kinds(rule)
    return -1 not in kinds and kinds == sorted(set(kinds)) and compiled() is not None


def _kinds(rule: SumOfTerms) -> list[int]:
    """Where in `velocity.DIRECTIONS`, the order in which the loop adds them up, each term's is; -1 if it is not."""
    return [DIRECTIONS.index(term.direction) if term.direction in DIRECTIONS else -1 for term in rule.terms]


@functools.cache
def compiled() -> Callable[..., None] | None:
    """The compiled loop, or None without Numba."""
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    return cast(Callable[..., None], numba.njit(cache=True)(one_pass))


def move(
    rule: SumOfTerms,
    snapshot: Snapshot,
    heard: Ints | None,
    out: npt.NDArray[Any],
    coefficients: npt.NDArray[Any],
    bits: RandomBits | None,
    step: float,
    core: tuple[float, float],
    blocks: Sequence[tuple[slice, slice]],
) -> list[int]:
    """Move a swarm of which `can_move` is true.

    Args:
        rule: the sum of terms.
        snapshot: NumPy arrays; v becomes the new velocities.
        heard: whose row of g each particle hears of, (N,); None if g has one row, or one for each.
        out: for the new positions; it may be x.
        coefficients: (terms, N, 1), without the factors per coordinate.
        bits: where those come from, if there are any.
        step: step length.
        core: what `Box.core` is; infinite without walls.
        blocks: in which order they are drawn.

    Returns:
        Numbers of the blocks that may have left the walls.
    """
    x, v, p, g, w = snapshot
    n, kinds = len(x), _kinds(rule)
    if heard is None:
        heard = np.zeros(n, np.int64) if len(g) == 1 else np.arange(n)
    rows = np.stack([heard, np.zeros(n, np.int64)])
    # In place of what no term looks at: x, which is in the cache, and of which nothing overflows.
    p = p if 1 in kinds else x
    g, rows[0] = (g, rows[0]) if 2 in kinds else (x, np.arange(n))
    w, rows[1] = (w, rows[1]) if 3 in kinds else (x, np.arange(n))
    weights, place = np.zeros((len(DIRECTIONS), n), x.dtype), np.full(len(DIRECTIONS), -1)
    weights[kinds] = coefficients[..., 0]
    place[[kinds[k] for k in rule.per_coordinate]] = np.arange(len(rule.per_coordinate))
    edges = np.array([[*rows_.indices(n)[:2], *columns.indices(x.shape[1])[:2]] for rows_, columns in blocks])
    source = np.zeros(4, np.uint64) if bits is None else bits.state().numpy().view(np.uint64)
    outside = np.zeros(len(edges), np.bool_)
    run = cast(Callable[..., None], compiled())
    low, high = np.array(core, x.dtype)
    run(x, v, p, g, w, rows, out, edges, weights, place, source, x.dtype.type(step), low, high, outside)
    if bits is not None:
        bits.go_to(torch.from_numpy(source.view(np.int64)))
    return np.flatnonzero(outside).tolist()


def one_pass(
    x: npt.NDArray[Any],
    v: npt.NDArray[Any],
    p: npt.NDArray[Any],
    g: npt.NDArray[Any],
    w: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    out: npt.NDArray[Any],
    blocks: npt.NDArray[np.int64],
    coefficients: npt.NDArray[Any],
    place: npt.NDArray[np.int64],
    source: npt.NDArray[np.uint64],
    step: Any,
    low: Any,
    high: Any,
    outside: npt.NDArray[np.bool_],
) -> None:
    """Move a swarm: new velocities into v, new positions into out.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        p: personal bests, (N, D).
        g: rows that attract, (., D).
        w: rows that repel, (., D).
        rows: (2, N) which row of g and which of w it is for each particle.
        out: for the new positions, (N, D); it may be x.
        blocks: (blocks, 4) first and last but one row, first and last but one column of each.
        coefficients: (4, N) weight of each of `velocity.DIRECTIONS` times its factor per particle; 0 without it.
        place: (4,) where among the terms with a factor per coordinate each direction comes; -1 if it has none.
        source: (4,) state of the SFC64 that gives those factors; moved on.
        step: step length, of the dtype of x.
        low: a coordinate from here to `high` is within the walls for sure; of the dtype of x.
        high: see `low`.
        outside: (blocks,) set to whether the block may have left the walls.
    """
    terms = place.max() + 1
    largest = 0
    for k in range(len(blocks)):
        largest = max(largest, (blocks[k, 1] - blocks[k, 0]) * (blocks[k, 3] - blocks[k, 2]))
    draws = np.empty((terms * largest + 3) // 4, np.uint64)
    bits = draws.view(np.uint16)
    velocity, moved = np.empty(PIECE, x.dtype), np.empty(PIECE, x.dtype)
    number = x.dtype.type
    scale = number(1 / FULL_SCALE)
    for k in range(len(blocks)):
        top, bottom, left, right = blocks[k]
        size = (bottom - top) * (right - left)
        a, b, c, counter = source[0], source[1], source[2], source[3]
        for j in range((terms * size + 3) // 4):  # SFC64, as in NumPy
            draws[j] = a + b + counter
            counter += np.uint64(1)
            a = b ^ (b >> np.uint64(11))
            b = c + (c << np.uint64(3))
            c = ((c << np.uint64(24)) | (c >> np.uint64(40))) + draws[j]
        source[0], source[1], source[2], source[3] = a, b, c, counter
        beyond = 0
        for i in range(top, bottom):
            c_v, c_p, c_g, c_w = coefficients[0, i], coefficients[1, i], coefficients[2, i], coefficients[3, i]
            for first in range(left, right, PIECE):
                last = min(first + PIECE, right)
                length = last - first
                here, speed, best = x[i, first:last], v[i, first:last], p[i, first:last]
                known, worst = g[rows[0, i], first:last], w[rows[1, i], first:last]
                # Each loop writes one array that it does not read otherwise, and reads few: such loops are compiled to
                # vector instructions.
                if terms == 0:
                    for j in range(length):
                        pull = c_v * speed[j]
                        pull += c_p * (best[j] - here[j])
                        pull += c_g * (known[j] - here[j])
                        pull += c_w * (here[j] - worst[j])
                        velocity[j] = pull
                else:
                    for d in range(4):
                        weight = coefficients[d, i]
                        head = speed if d == 0 else best if d == 1 else known if d == 2 else here
                        tail = worst if d == 3 else here
                        start = place[d] * size + (i - top) * (right - left) + first - left
                        drawn = bits[start : start + length] if place[d] >= 0 else bits[:0]
                        if d == 0 and place[d] < 0:
                            for j in range(length):
                                velocity[j] = weight * speed[j]
                        elif d == 0:
                            for j in range(length):
                                velocity[j] = number(drawn[j]) * (weight * scale) * speed[j]
                        elif place[d] >= 0:
                            for j in range(length):
                                velocity[j] += number(drawn[j]) * (weight * scale) * (head[j] - tail[j])
                        elif weight != 0:
                            for j in range(length):
                                velocity[j] += weight * (head[j] - tail[j])
                for j in range(length):
                    moved[j] = here[j] + step * velocity[j]
                for j in range(length):
                    beyond |= (moved[j] < low) | (moved[j] > high)
                for j in range(length):
                    speed[j] = velocity[j]
                there = out[i, first:last]
                for j in range(length):
                    there[j] = moved[j]
        outside[k] = beyond != 0


__all__ = ["can_move", "compiled", "move", "one_pass"]
