"""The box to search in, and what happens to a particle that leaves it.

A boundary is a pure function ``(x, v, box, generator) -> (x, v)`` on (N, D) tensors. It treats each
coordinate by itself and leaves those inside unchanged, so that it may be given only those outside,
as one row. None of them limits the velocity by the size of the box. Except for `none`, the returned
positions lie in the box.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyswarmopt.base.blocks import blocks
from pyswarmopt.base.storage import copied
from pyswarmopt.parts.bounds import check_widths, sides


@dataclass(frozen=True, eq=False)
class Box:
    """Lower and upper bounds, (D,) each, both attainable.

    Attributes:
        low: lower bounds, (D,).
        high: upper bounds, (D,).

    Example:
        >>> import pyswarmopt as pso
        >>> box = pso.Box(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 1.0]))
        >>> box.sample(3, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 2])
    """

    low: Tensor
    high: Tensor

    @functools.cached_property
    def walls(self) -> tuple[Any, Any]:
        """Both bounds as NumPy arrays on the same memory; for a box on the CPU."""
        return self.low.numpy(), self.high.numpy()

    @functools.cached_property
    def core(self) -> tuple[float, float]:
        """A coordinate within these two numbers is in the box, whichever it is; they may be
        crossed.
        """
        return float(self.low.max()), float(self.high.min())

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` points, uniform in the box, (count, D)."""
        return self.fill(self.low.new_empty((count, len(self.low))), generator)

    def fill(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """`out`, (n, D), filled with points uniform in the box: those of `sample`, without its
        temporaries.
        """
        for rows, columns in blocks(*out.shape):
            part, low, high = out[rows, columns], self.low[columns], self.high[columns]
            u = torch.rand(part.shape, generator=generator, dtype=torch.float64).to(low)
            part.copy_((low + u * (high - low)).clamp(low, high))
        return out


Boundary = Callable[[Tensor, Tensor, Box, torch.Generator], tuple[Tensor, Tensor]]


def none(x: Tensor, v: Tensor, box: Box, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Let particles leave the box; it only says where they start.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = make_box([(0, 1)], None, torch.float64, torch.device("cpu"))
        >>> x, v = torch.tensor([[1.25]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        >>> [part.item() for part in none(x, v, box, torch.Generator())]
        [1.25, 1.0]
    """
    return x, v


def clip(x: Tensor, v: Tensor, box: Box, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Stop at the wall: the coordinate is put on the bound and its velocity is 0 (an absorbing
    wall).

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = make_box([(0, 1)], None, torch.float64, torch.device("cpu"))
        >>> x, v = torch.tensor([[1.25]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        >>> [part.item() for part in clip(x, v, box, torch.Generator())]
        [1.0, 0.0]
    """
    inside = x.clamp(box.low, box.high)
    return inside, torch.where(inside == x, v, 0.0)


def confine(x: Tensor, v: Tensor, box: Box, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Stop at the wall, velocity reversed and halved: SPSO-2011's confinement (Clerc 2012).

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = make_box([(0, 1)], None, torch.float64, torch.device("cpu"))
        >>> x, v = torch.tensor([[1.25]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        >>> [part.item() for part in confine(x, v, box, torch.Generator())]
        [1.0, -0.5]
    """
    inside = x.clamp(box.low, box.high)
    return inside, torch.where(inside == x, v, -0.5 * v)


def reflect(x: Tensor, v: Tensor, box: Box, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bounce off the wall: mirrored position, velocity reversed and halved.

    The factor -1/2 is that of `confine`. A particle that would bounce more than once stays on the
    far wall.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = make_box([(0, 1)], None, torch.float64, torch.device("cpu"))
        >>> x, v = torch.tensor([[1.25]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        >>> [part.item() for part in reflect(x, v, box, torch.Generator())]
        [0.75, -0.5]
    """
    mirrored = torch.where(
        x < box.low, 2 * box.low - x, torch.where(x > box.high, 2 * box.high - x, x)
    )
    return mirrored.clamp(box.low, box.high), torch.where(mirrored == x, v, -0.5 * v)


def periodic(x: Tensor, v: Tensor, box: Box, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Leave at one side, enter at the other; the velocity stays.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = make_box([(0, 1)], None, torch.float64, torch.device("cpu"))
        >>> x, v = torch.tensor([[1.25]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        >>> [part.item() for part in periodic(x, v, box, torch.Generator())]
        [0.25, 1.0]
    """
    width = box.high - box.low
    period = torch.where(width > 0, width, 1.0)
    outside = (x < box.low) | (x > box.high)
    wrapped = torch.where(outside, box.low + torch.remainder(x - box.low, period), x)
    return wrapped.clamp(box.low, box.high), v


def resample(x: Tensor, v: Tensor, box: Box, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Redraw the coordinates that left the box, uniformly; their velocity is 0.

    Args:
        x: positions, (N, D).
        v: velocities, (N, D).
        box: the bounds.
        generator: of the random numbers, if any are needed.

    Returns:
        New positions and velocities, (N, D) each.

    Example:
        >>> box = make_box([(0, 1)], None, torch.float64, torch.device("cpu"))
        >>> x, v = torch.tensor([[1.25]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        >>> inside, at_rest = resample(x, v, box, torch.Generator().manual_seed(0))
        >>> 0 <= inside.item() <= 1, at_rest.item()
        (True, 0.0)
    """
    outside = (x < box.low) | (x > box.high)
    return torch.where(outside, box.sample(len(x), generator), x), torch.where(outside, 0.0, v)


def make_box(bounds: Any, dim: int | None, dtype: torch.dtype, device: torch.device) -> Box:
    """Read bounds in any of the usual forms.

    Args:
        bounds: a sequence of D pairs (low, high) as in SciPy; an object with `lb` and `ub`, as
            `scipy.optimize.Bounds`; a tuple of two NumPy arrays or tensors (low, high), (D,) each,
            of which one may be a number; or a pair of numbers (low, high) for every coordinate.
        dim: D, needed where `bounds` does not tell it.
        dtype: dtype of the box.
        device: device of the box.

    Returns:
        The box.

    Raises:
        ValueError: bounds that are not finite (None counts as such), crossed, wider than `dtype`
            can measure, the same for every coordinate's low and high, or that do not fit `dim`; a
            tuple of two lists, or a list of two arrays, of two numbers each, which may be pairs or
            (low, high).

    Example:
        >>> make_box([(-1, 1), (0, 5)], None, torch.float64, torch.device("cpu")).high.tolist()
        [1.0, 5.0]
    """
    low, high, size = sides(bounds, dim)
    # A number for all coordinates becomes as many only where they are stored.
    stored = [torch.tensor(side, dtype=dtype) for side in (low, high)]
    square = torch.finfo(torch.promote_types(dtype, torch.float32)).max
    largest = min(torch.finfo(dtype).max, math.sqrt(square))
    name = str(dtype).removeprefix("torch.")
    check_widths(
        (low, high), (stored[0].double().numpy(), stored[1].double().numpy()), largest, name
    )
    return Box(*(copied(side.expand(size), device) for side in stored))


__all__ = [
    "Boundary",
    "Box",
    "clip",
    "confine",
    "make_box",
    "none",
    "periodic",
    "reflect",
    "resample",
]
