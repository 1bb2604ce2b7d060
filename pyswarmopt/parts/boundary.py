"""The box to search in, and the treatment of particles that leave it.

A boundary is a pure function ``(x, v, box, generator) -> (x, v)`` on (N, D) NumPy arrays, or on
tensors if the swarm uses tensors. It treats each coordinate separately and leaves those inside the
box unchanged, so it may be called with only those outside, as one row. No boundary limits
velocities by the size of the box. Except for `none`, the returned positions lie in the box.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import (
    Array,
    DType,
    as_array,
    blocks,
    copied,
    empty,
    largest_number,
    like,
    namespace,
)
from pyswarmopt.parts.bounds import WIDTHS, read_bounds


@dataclass(frozen=True, eq=False)
class Box:
    """Lower and upper bounds, (D,) each, both inclusive.

    Attributes:
        low: lower bounds, (D,).
        high: upper bounds, (D,).

    Example:
        >>> import pyswarmopt as pso
        >>> box = pso.Box(np.array([0.0, -1.0]), np.array([1.0, 1.0]))
        >>> box.sample(3, np.random.default_rng(0)).shape
        (3, 2)
    """

    low: Array
    high: Array

    @functools.cached_property
    def walls(self) -> tuple[Any, Any]:
        """Both bounds as NumPy arrays that share memory; only for a box on the CPU."""
        return as_array(self.low), as_array(self.high)

    @functools.cached_property
    def core(self) -> tuple[float, float]:
        """Two numbers: any coordinate between them is in the box. The first may exceed the second."""
        return float(self.low.max()), float(self.high.min())

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Draw `count` points uniformly from the box, (count, D)."""
        low = self.low
        return self.fill(empty((count, len(low)), low.dtype, low.device), generator)

    def fill(self, out: Array, generator: np.random.Generator) -> Array:
        """Fill `out`, (n, D), as `sample` would, without temporary arrays."""
        for rows, columns in blocks(*out.shape):
            low = self.low[columns]
            high = self.high[columns]
            u = like(generator.random(tuple(out[rows, columns].shape)), low)
            out[rows, columns] = (low + u * (high - low)).clip(low, high)
        return out


Boundary = Callable[[Array, Array, Box, np.random.Generator], tuple[Array, Array]]


def none(x: Array, v: Array, box: Box, generator: np.random.Generator) -> tuple[Array, Array]:
    """Let particles leave the box, which then limits only their starting positions.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: source of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = Box(np.zeros(1), np.ones(1))
        >>> x, v = np.array([[1.25]]), np.ones((1, 1))
        >>> [part.item() for part in none(x, v, box, np.random.default_rng(0))]
        [1.25, 1.0]
    """
    return x, v


def clip(x: Array, v: Array, box: Box, generator: np.random.Generator) -> tuple[Array, Array]:
    """Stop at the wall: the coordinate is set to the bound and its velocity to 0 (an absorbing
    wall).

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: source of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = Box(np.zeros(1), np.ones(1))
        >>> x, v = np.array([[1.25]]), np.ones((1, 1))
        >>> [part.item() for part in clip(x, v, box, np.random.default_rng(0))]
        [1.0, 0.0]
    """
    inside = x.clip(box.low, box.high)
    return inside, namespace(x).where(inside == x, v, 0.0)


def confine(x: Array, v: Array, box: Box, generator: np.random.Generator) -> tuple[Array, Array]:
    """Stop at the wall, with velocity reversed and halved: SPSO-2011's confinement (Clerc 2012).

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: source of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = Box(np.zeros(1), np.ones(1))
        >>> x, v = np.array([[1.25]]), np.ones((1, 1))
        >>> [part.item() for part in confine(x, v, box, np.random.default_rng(0))]
        [1.0, -0.5]
    """
    inside = x.clip(box.low, box.high)
    return inside, namespace(x).where(inside == x, v, -0.5 * v)


def reflect(x: Array, v: Array, box: Box, generator: np.random.Generator) -> tuple[Array, Array]:
    """Bounce off the wall: mirrored position, velocity reversed and halved.

    The factor -1/2 is `confine`'s. A particle that would bounce more than once stays at the far
    wall.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: source of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = Box(np.zeros(1), np.ones(1))
        >>> x, v = np.array([[1.25]]), np.ones((1, 1))
        >>> [part.item() for part in reflect(x, v, box, np.random.default_rng(0))]
        [0.75, -0.5]
    """
    where = namespace(x).where
    mirrored = where(x < box.low, 2 * box.low - x, where(x > box.high, 2 * box.high - x, x))
    return mirrored.clip(box.low, box.high), where(mirrored == x, v, -0.5 * v)


def periodic(x: Array, v: Array, box: Box, generator: np.random.Generator) -> tuple[Array, Array]:
    """Re-enter at the opposite side; the velocity does not change.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: source of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = Box(np.zeros(1), np.ones(1))
        >>> x, v = np.array([[1.25]]), np.ones((1, 1))
        >>> [part.item() for part in periodic(x, v, box, np.random.default_rng(0))]
        [0.25, 1.0]
    """
    where = namespace(x).where
    width = box.high - box.low
    period = where(width > 0, width, 1.0)
    outside = (x < box.low) | (x > box.high)
    wrapped = where(outside, box.low + (x - box.low) % period, x)
    return wrapped.clip(box.low, box.high), v


def make_box(bounds: Any, dim: int | None, dtype: DType, device: Any = "cpu") -> Box:
    """Read bounds in any of the usual forms.

    Args:
        bounds: a sequence of D pairs (low, high) as in SciPy; an object with `lb` and `ub`, such as
            `scipy.optimize.Bounds`; a tuple of two NumPy arrays or tensors (low, high), (D,) each,
            of which one may be a number; or a pair of numbers (low, high) for every coordinate.
        dim: D, needed if `bounds` does not determine it.
        dtype: dtype of the box, NumPy's or torch's.
        device: device of a box of tensors.

    Returns:
        The box.

    Raises:
        ValueError: bounds that are not finite (None included), crossed, wider than `dtype` can
            represent, with low == high in every coordinate, or inconsistent with `dim`; or an
            ambiguous form: a tuple of two lists, or a list of two arrays, of two numbers each,
            which may mean pairs or (low, high).

    Example:
        >>> make_box([(-1, 1), (0, 5)], None, np.dtype("float64")).high.tolist()
        [1.0, 5.0]
    """
    low, high = read_bounds(bounds, dim)
    like_it = empty((1,), dtype)
    with np.errstate(over="ignore"):  # infinite, so refused
        stored = [like(side, like_it) for side in (low, high)]
    square = max(largest_number(dtype), largest_number(np.dtype("float32")))
    low, high = (as_array(side).astype(np.float64) for side in stored)
    if not WIDTHS * float((high - low).max()) <= min(largest_number(dtype), math.sqrt(square)):
        raise ValueError(f"bounds are too wide for {dtype}; use narrower bounds or a wider dtype")
    return Box(*(copied(side, device) for side in stored))


__all__ = [
    "Boundary",
    "Box",
    "clip",
    "confine",
    "make_box",
    "none",
    "periodic",
    "reflect",
]
