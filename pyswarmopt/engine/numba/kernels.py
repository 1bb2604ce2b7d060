"""The loops of a swarm that are worth compiling: plain Python over NumPy arrays, which Numba turns into machine code.

NumPy makes a pass over memory for each operator, and takes a microsecond for each call. A loop makes one pass, and is
one call. All of them do what the NumPy code does that they take the place of, operator by operator, and give the same
numbers to the bit. `compiled` compiles them; as they stand they run too, slowly.
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
    """The next random numbers of SplitMix64: `random_bits.split_mix` as a loop.

    Args:
        at: state, the place in the stream times GAMMA.
        out: for the numbers, one-dimensional.
    """
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
    """Move a small swarm: new velocities into v, new positions into out.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        p: personal bests, (N, D).
        g: rows that attract, (., D).
        w: the row that repels, (1, D).
        rows: which row of g it is for each particle, (N,).
        places: (4,) which term has each of `velocity.DIRECTIONS`, -1 for none.
        coefficients: (terms, N, D or 1) weights times random factors.
        step: step length.
        low: lower bounds, (D,); not looked at with OPEN walls.
        high: upper bounds, (D,).
        core: a coordinate between these two is within the walls for sure; infinite without bounds.
        walls: what becomes of a coordinate that has left them; OPEN: nothing.
        out: for the new positions, (N, D); it may be x.

    Returns:
        Whether a coordinate may be outside still.
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
    """Random factors per coordinate times the weights of their terms.

    Args:
        bits: (moves, k, N, D) 16 random bits each.
        weights: (moves, k) what each bit pattern, as a whole number, is multiplied by.
        terms: (k,) which term of `out` each is.
        out: for the products, (moves, terms, N, D).
    """
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
    """Personal bests after an evaluation, unless a cost is not finite: then nothing is changed.

    Args:
        x: positions, (N, D).
        p: personal bests, (N, D); changed, as the next two.
        costs: (N,) at x.
        best_costs: (N,) at p.
        stagnation: (N,) iterations since each p changed.
        counts: whether this evaluation counts for that.

    Returns:
        The first particle with the lowest cost and the first one with the highest; (-1, -1) if nothing was done.
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
    """Move a large swarm, block by block: new velocities into v, new positions into out.

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
        at: where in the stream of `draw` those factors are; each block begins with a new number.
        step: step length.
        low: lower bounds, (D,); not looked at with OPEN walls.
        high: upper bounds, (D,).
        core: a coordinate between these two is within the walls for sure; infinite without bounds.
        walls: what becomes of a coordinate that has left them; OPEN: nothing.
        outside: (blocks,) set to whether coordinates of the block may be outside still.
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


__all__ = ["CLIP", "CONFINE", "OPEN", "REFLECT", "bounce", "draw", "one_pass", "remember", "small_move", "weigh"]
