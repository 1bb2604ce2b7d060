"""The loops of a swarm that are worth compiling: plain Python over NumPy arrays, which Numba turns into machine code.

NumPy makes a pass over memory for each operator, and takes a microsecond for each call. A loop makes one pass, and is
one call. Each repeats the NumPy code that it replaces operator by operator and gives the same numbers bit for bit.

Arguments of the moves: x, v and p, (N, D), of which v receives the new velocities; g and w, rows that attract and
repel, (., D); out, (N, D), receives the new positions and may be x; step, the step length; low and high, the bounds,
(D,), unused with OPEN walls; core, two numbers between which a coordinate is surely within its bounds, infinite
without bounds; walls, what happens to a coordinate outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.random_bits import FULL_SCALE, GAMMA, MIX_1, MIX_2, SHIFT_1, SHIFT_2, SHIFT_3

Reals = npt.NDArray[Any]  # float32 or float64, all of one kind
PIECE = 128  # coordinates moved at a time; from loop to loop they stay in the L1 cache (measured: 64 to 256)
OPEN, CLIP, CONFINE, REFLECT = 0, 1, 2, 3  # walls that the loops know


def bounce(x: Any, v: Any, low: Any, high: Any, walls: int) -> tuple[Any, Any]:
    """A coordinate that has left its bounds, and its velocity, after `clip`, `confine` or `reflect` of `boundary`."""
    inside = x
    if walls == REFLECT:
        inside = low + low - x if x < low else high + high - x
    return min(max(inside, low), high), 0.0 if walls == CLIP else v / -2


def draw(at: np.uint64, out: npt.NDArray[np.uint64]) -> None:
    """`random_bits.split_mix` as a loop."""
    for j in range(len(out)):
        z = at + np.uint64(j + 1) * GAMMA
        z = (z ^ (z >> SHIFT_1)) * MIX_1
        z = (z ^ (z >> SHIFT_2)) * MIX_2
        out[j] = z ^ (z >> SHIFT_3)


def small_move(
    x: Reals,
    v: Reals,
    p: Reals,
    g: Reals,
    w: Reals,
    rows: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    coefficients: Reals,
    step: float,
    low: Reals,
    high: Reals,
    core: tuple[float, float],
    walls: int,
    out: Reals,
) -> bool:
    """Move a small swarm; returns whether a coordinate may still be outside.

    Args:
        rows: each particle's row of g, (N,); there is one row w.
        places: (4,) which term has each of `velocity.DIRECTIONS`, -1 for none.
        coefficients: (terms, N, D or 1) weights times random factors.
    """
    n, dim = x.shape
    number = x.dtype.type
    stride, inner, outer = number(step), number(core[0]), number(core[1])
    velocity = np.empty(dim, x.dtype)
    left = False
    for i in range(n):
        here, speed = x[i], v[i]
        first = True
        for d in range(4):
            if places[d] < 0:
                continue
            c = coefficients[places[d], i]
            head = speed if d == 0 else p[i] if d == 1 else g[rows[i]] if d == 2 else here
            tail = w[0] if d == 3 else here
            each = len(c) > 1
            if d == 0:
                for j in range(dim):
                    velocity[j] = c[j if each else 0] * speed[j]
            elif first:
                for j in range(dim):
                    velocity[j] = c[j if each else 0] * (head[j] - tail[j])
            elif each:
                for j in range(dim):
                    velocity[j] += c[j] * (head[j] - tail[j])
            else:
                weight = c[0]
                for j in range(dim):
                    velocity[j] += weight * (head[j] - tail[j])
            first = False
        beyond, there = 0, out[i]
        for j in range(dim):
            speed[j] = velocity[j]
            moved = here[j] + stride * velocity[j]
            beyond |= (moved < inner) | (moved > outer)
            there[j] = moved
        if beyond and walls != OPEN:
            for j in range(dim):
                if there[j] < low[j] or there[j] > high[j]:
                    there[j], speed[j] = bounce(there[j], speed[j], low[j], high[j], walls)
        left |= beyond != 0
    return left and walls == OPEN


def weigh(
    bits: npt.NDArray[np.uint16], weights: npt.NDArray[np.float64], terms: npt.NDArray[np.int64], out: Reals
) -> None:
    """Bits, (moves, k, N, D), times weights, (moves, k), into the terms, (k,), of out, (moves, terms, N, D)."""
    for move in range(bits.shape[0]):
        for k in range(bits.shape[1]):
            weight = weights[move, k]
            for i in range(bits.shape[2]):
                drawn, product = bits[move, k, i], out[move, terms[k], i]
                for j in range(len(drawn)):
                    product[j] = drawn[j] * weight


def remember(
    x: Reals,
    p: Reals,
    costs: npt.NDArray[np.float64],
    best_costs: npt.NDArray[np.float64],
    stagnation: npt.NDArray[np.int64],
    counts: bool,
) -> tuple[int, int]:
    """Update p, best_costs and, if this evaluation counts, stagnation by the costs at x, (N,).

    Returns:
        The first particle with the lowest cost and the first one with the highest; (-1, -1), and nothing changed, if a
        cost is not finite.
    """
    best = worst = 0
    for i in range(len(costs)):
        if not np.isfinite(costs[i]):
            return -1, -1
        if costs[i] < costs[best]:
            best = i
        if costs[i] > costs[worst]:
            worst = i
    for i in range(len(costs)):
        if counts:
            stagnation[i] += 1
        if costs[i] < best_costs[i]:
            best_costs[i] = costs[i]
            if counts:
                stagnation[i] = 0
            here, mine = x[i], p[i]
            for j in range(len(here)):
                mine[j] = here[j]
    return best, worst


def one_pass(
    x: Reals,
    v: Reals,
    p: Reals,
    g: Reals,
    w: Reals,
    rows: npt.NDArray[np.int64],
    out: Reals,
    blocks: npt.NDArray[np.int64],
    coefficients: Reals,
    place: npt.NDArray[np.int64],
    at: np.uint64,
    step: float,
    low: Reals,
    high: Reals,
    core: tuple[float, float],
    walls: int,
    outside: npt.NDArray[np.bool_],
) -> None:
    """Move a large swarm, block by block.

    Args:
        rows: (2, N) each particle's row of g, and of w.
        blocks: (blocks, 4) first row, end of the rows, first column and end of the columns of each.
        coefficients: (4, N) weight of each of `velocity.DIRECTIONS` times its factor per particle; 0 without it.
        place: (4,) where among the terms with a factor per coordinate each direction comes; -1 if it has none.
        at: where in the stream of `draw` those factors are; each block begins with a new number.
        outside: (blocks,) set to whether coordinates of the block may still be outside.
    """
    terms = place.max() + 1
    largest = 0
    for k in range(len(blocks)):
        largest = max(largest, (blocks[k, 1] - blocks[k, 0]) * (blocks[k, 3] - blocks[k, 2]))
    draws = np.empty((terms * largest + 3) // 4, np.uint64)
    bits = draws.view(np.uint16)
    velocity, moved = np.empty(PIECE, x.dtype), np.empty(PIECE, x.dtype)
    number = x.dtype.type
    stride, inner, outer = number(step), number(core[0]), number(core[1])
    scale = number(1 / FULL_SCALE)
    for k in range(len(blocks)):
        top, bottom, left, right = blocks[k]
        size = (bottom - top) * (right - left)
        words = (terms * size + 3) // 4
        draw(at, draws[:words])
        at += np.uint64(words) * GAMMA
        beyond_block = 0
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
                    moved[j] = here[j] + stride * velocity[j]
                beyond = 0
                for j in range(length):
                    beyond |= (moved[j] < inner) | (moved[j] > outer)
                if beyond and walls != OPEN:
                    floor, ceiling = low[first:last], high[first:last]
                    for j in range(length):
                        if moved[j] < floor[j] or moved[j] > ceiling[j]:
                            moved[j], velocity[j] = bounce(moved[j], velocity[j], floor[j], ceiling[j], walls)
                beyond_block |= beyond
                for j in range(length):
                    speed[j] = velocity[j]
                there = out[i, first:last]
                for j in range(length):
                    there[j] = moved[j]
        outside[k] = beyond_block != 0 and walls == OPEN
