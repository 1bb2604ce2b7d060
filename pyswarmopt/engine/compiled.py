"""The move of `reference` by the compiled loops of `kernels`: which moves they can make, and their arguments.

NumPy makes a pass over memory for each operator. Even in blocks that stay in the cache these take three times as long
as reading x, v and p and writing x and v once, and a small swarm's cost is that of the calls. The loops know sums of
the four terms of `parts.velocity`, and walls that clip, confine or reflect.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Ints
from pyswarmopt.engine.chunked import Block, Move, contain
from pyswarmopt.engine.numba import kernels
from pyswarmopt.engine.numba.loader import Loops
from pyswarmopt.engine.random_factors import Factors
from pyswarmopt.parts import boundary
from pyswarmopt.parts.boundary import Boundary
from pyswarmopt.parts.velocity import DIRECTIONS, SumOfTerms, VelocityRule

WALLS: dict[Boundary, int] = {
    boundary.clip: kernels.CLIP,
    boundary.confine: kernels.CONFINE,
    boundary.reflect: kernels.REFLECT,
}
NOWHERE = -math.inf, math.inf

Places = npt.NDArray[np.int64]  # index of the term with each of `DIRECTIONS`, (4,), -1 for none


def places_of(rule: VelocityRule) -> Places | None:
    """Which term has which direction; None for rules that the loops do not know, or terms in another order."""
    if not isinstance(rule, SumOfTerms):
        return None
    kinds = [DIRECTIONS.index(term.direction) if term.direction in DIRECTIONS else -1 for term in rule.terms]
    if -1 in kinds or kinds != sorted(set(kinds)):
        return None
    places = np.full(len(DIRECTIONS), -1)
    places[kinds] = np.arange(len(kinds))
    return places


def small_move(loops: Loops, m: Move, places: Places) -> None:
    """Move a small swarm, whose coefficients hold all random factors."""
    x, v, p, g, w = m.s
    rows = _rows(len(x), len(g)) if m.informants is None else m.informants
    low, high = (x[0], x[0]) if m.box is None else m.box.walls
    core = NOWHERE if m.box is None else m.box.core
    kind = WALLS.get(m.boundary, kernels.OPEN)
    if loops.small_move(x, v, p, g, w, rows, places, m.coefficients, m.step, low, high, core, kind, m.out):
        contain(m, m.out, v, slice(None))


@functools.lru_cache(maxsize=32)
def _rows(n: int, of: int) -> Ints:
    """Each particle's own row, or the only one."""
    return np.zeros(n, np.int64) if of == 1 else np.arange(n)


def large_move(loops: Loops, m: Move, places: Places, factors: Factors | None, cut: Sequence[Block]) -> None:
    """Move a large swarm, in blocks in the order of their random numbers; `factors` gives those per coordinate."""
    x, v, p, g, w = m.s
    n, kinds = len(x), np.flatnonzero(places >= 0).tolist()
    informants = _rows(n, len(g)) if m.informants is None else m.informants
    rows = np.stack([informants, np.zeros(n, np.int64)])
    # In place of what no term looks at: x, which is in the cache, and of which nothing overflows.
    p = p if 1 in kinds else x
    g, rows[0] = (g, rows[0]) if 2 in kinds else (x, np.arange(n))
    w, rows[1] = (w, rows[1]) if 3 in kinds else (x, np.arange(n))
    per_coordinate = m.rule.sum.per_coordinate
    weights, place = np.zeros((len(DIRECTIONS), n), x.dtype), np.full(len(DIRECTIONS), -1)
    weights[kinds] = m.coefficients[..., 0]
    place[[kinds[k] for k in per_coordinate]] = np.arange(len(per_coordinate))
    edges = np.array([[*rows_.indices(n)[:2], *columns.indices(x.shape[1])[:2]] for rows_, columns in cut])
    bits = None if factors is None else factors.bits
    at = np.uint64(0) if bits is None else bits.at
    outside = np.zeros(len(edges), np.bool_)
    low, high = (x[0], x[0]) if m.box is None else m.box.walls
    core = NOWHERE if m.box is None else m.box.core
    kind = WALLS.get(m.boundary, kernels.OPEN)
    loops.one_pass(x, v, p, g, w, rows, m.out, edges, weights, place, at, m.step, low, high, core, kind, outside)
    if bits is not None:
        sizes = (edges[:, 1] - edges[:, 0]) * (edges[:, 3] - edges[:, 2])
        bits.skip(int(((len(per_coordinate) * sizes + 3) // 4).sum()))
    for block in np.flatnonzero(outside).tolist():
        new_x, new_v = m.out[cut[block]].copy(), v[cut[block]].copy()
        contain(m, new_x, new_v, cut[block][1])
        m.out[cut[block]], v[cut[block]] = new_x, new_v
