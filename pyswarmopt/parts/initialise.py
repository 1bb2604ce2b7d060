"""Starting positions and velocities of particles.

Each function fills its rows block by block. Except for `uniform`, which fills a box, every draw is
a scalar per particle: the same seed combines the same starting points in the same way in any
dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pyswarmopt.base.arrays import Array, beside, blocks, like
from pyswarmopt.parts.boundary import Box

# (starting points (n, D) or None, rows (m, D) to fill, box or None, generator)
Populate = Callable[[Array | None, Array, Box | None, np.random.Generator], None]
# (positions (N, D), velocities (N, D) to fill, box or None, generator)
Launch = Callable[[Array, Array, Box | None, np.random.Generator], None]


@dataclass(frozen=True)
class Interpolate:
    """Add points on lines through two of the starting points: ``t x_a + (1 - t) x_b``, t ~ U(0,
    upper).

    Step 0 of Model Swarms (Feng et al. 2024, Algorithm 1). With fewer than two starting points, it
    draws points from the box.

    Attributes:
        upper: 1 stays on the segment; 2, as in the authors' released code, goes equally far beyond
            x_a.
        from_added: whether an added point may be x_a or x_b of later ones, as in the authors'
            released code.

    Raises:
        ValueError: there is only one starting point and no box.

    Example:
        >>> start, out = np.array([[0.0], [1.0]]), np.empty((3, 1))
        >>> Interpolate()(start, out, None, np.random.default_rng(0))
        >>> bool(((out >= 0) & (out <= 1)).all())
        True
    """

    upper: float = 1.0
    from_added: bool = False

    def __call__(
        self, start: Array | None, out: Array, box: Box | None, generator: np.random.Generator
    ) -> None:
        if start is None or (len(start) < 2 and box is not None):
            uniform(start, out, box, generator)
            return
        n = len(start)
        count = len(out)
        if n < 2:
            raise ValueError(
                f"only {n} starting point is given for {count + n} particles; pass at least 2 points, or bounds"
            )
        u = generator.random((count, 3))
        parents = n + np.arange(count) * self.from_added
        a = (u[:, 0] * parents).astype(np.int64)
        b = (a + 1 + (u[:, 1] * (parents - 1)).astype(np.int64)) % parents  # any but a
        t = like(u[:, 2:] * self.upper, start)
        for row, i, j, share in zip(out, a.tolist(), b.tolist(), t, strict=True):
            x_a, x_b = (start[k] if k < n else out[k - n] for k in (i, j))
            for _, columns in blocks(1, len(row)):
                row[columns] = share * x_a[columns] + (1 - share) * x_b[columns]


def uniform(
    start: Array | None, out: Array, box: Box | None, generator: np.random.Generator
) -> None:
    """Add points drawn uniformly from the box; without a box, between the starting points.

    Args:
        start: given starting points, (n, D), or None.
        out: rows to fill, (m, D).
        box: the bounds, or None.
        generator: source of the random numbers.

    Raises:
        ValueError: there are neither a box nor starting points.

    Example:
        >>> box, out = Box(np.zeros(2), np.ones(2)), np.empty((3, 2))
        >>> uniform(None, out, box, np.random.default_rng(0))
        >>> bool(((out >= 0) & (out <= 1)).all())
        True
    """
    if box is not None:
        box.fill(out, generator)
    elif start is not None:
        Interpolate()(start, out, None, generator)
    else:
        raise ValueError("a swarm needs a region to start in; pass bounds or positions")


@dataclass(frozen=True)
class TowardsPartner:
    """``v_i = scale * (x_j - x_i)``, j any other particle; 0 for a single one.

    Scale 1 is Model Swarms' (Feng et al. 2024, Algorithm 1); 1/2 with a uniform population is the
    "half-diff" of the standard PSO 2007, without a box.

    Attributes:
        scale: share of the way to the other particle.

    Example:
        >>> x = np.array([[0.0], [1.0]])
        >>> v = np.empty((2, 1))
        >>> TowardsPartner(0.5)(x, v, None, np.random.default_rng(0))
        >>> v.tolist()
        [[0.5], [-0.5]]
    """

    scale: float = 1.0

    def __call__(
        self, positions: Array, out: Array, box: Box | None, generator: np.random.Generator
    ) -> None:
        n = len(positions)
        if n < 2:
            out[:] = 0.0
            return
        u = generator.random(n)
        partner = beside((np.arange(n) + 1 + (u * (n - 1)).astype(np.int64)) % n, positions)
        for rows, columns in blocks(*out.shape):
            part = positions[:, columns]
            out[rows, columns] = self.scale * (part[partner[rows]] - part[rows])


def towards_anywhere(
    positions: Array, out: Array, box: Box | None, generator: np.random.Generator
) -> None:
    """``v_i = u - x_i``, u uniform in the box: x + v lies within it (SPSO-2011; Clerc 2012).

    Without a box, velocities point to another particle.

    Args:
        positions: starting positions, (N, D).
        out: velocities to fill, (N, D).
        box: the bounds, or None.
        generator: source of the random numbers.

    Example:
        >>> box, x, v = Box(np.zeros(1), np.ones(1)), np.array([[0.5]]), np.empty((1, 1))
        >>> towards_anywhere(x, v, box, np.random.default_rng(0))
        >>> 0 <= (x + v).item() <= 1
        True
    """
    if box is None:
        TowardsPartner()(positions, out, None, generator)
    else:
        box.fill(out, generator)
        out -= positions


def at_rest(positions: Array, out: Array, box: Box | None, generator: np.random.Generator) -> None:
    """``v_i = 0``, so that fewest particles leave the box at first (Engelbrecht 2012).

    A particle that is the best of its neighbourhood then stays where it is until a neighbour finds
    a better point.

    Args:
        positions: starting positions, (N, D).
        out: velocities to fill, (N, D).
        box: the bounds, or None.
        generator: source of the random numbers.

    Example:
        >>> v = np.ones((2, 1))
        >>> at_rest(np.zeros((2, 1)), v, None, np.random.default_rng(0))
        >>> v.tolist()
        [[0.0], [0.0]]
    """
    out[:] = 0.0


__all__ = [
    "Interpolate",
    "Launch",
    "Populate",
    "TowardsPartner",
    "at_rest",
    "towards_anywhere",
    "uniform",
]
