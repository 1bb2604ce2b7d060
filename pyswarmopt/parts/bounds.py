"""The bounds of a search in any of the usual forms, as two arrays."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, as_array, untensored

FORMS = (
    "use one pair of finite numbers (low, high) for each coordinate, SciPy's Bounds, two NumPy "
    "arrays (low, high), or two numbers for all coordinates; pass starting points as x0= of minimize "
    "or positions= of Swarm, and parameters by name as space="
)
# this multiple of the box's width must have a finite square: velocities may be that long, and are
# squared
WIDTHS = 4
LARGEST = float(np.sqrt(np.finfo(np.float64).max))  # largest float64 with a finite square


def read_bounds(bounds: Any, dim: int | None = None) -> tuple[Floats, Floats]:
    """Lower and upper bounds, (D,) float64 each, copies; see `boundary.make_box` for forms and
    errors.

    Example:
        >>> read_bounds([(-1, 1), (0, 5)])[1].tolist()
        [1.0, 5.0]
    """
    low, high = _low_high(bounds)
    if low.ndim == 0 and high.ndim == 0 and dim is None:
        raise ValueError(
            f"bounds={bounds!r} do not determine the dimension; pass one (low, high) per coordinate"
        )
    size = dim if dim is not None else max(low.size, high.size)
    if max(low.ndim, high.ndim) > 1 or not {low.size, high.size} <= {1, size}:
        raise ValueError(
            f"bounds have low of shape {low.shape} and high of shape {high.shape}, but x0, positions or "
            f"dim have {size} coordinates"
        )
    low, high = (np.array(np.broadcast_to(side, (size,))) for side in (low, high))
    with np.errstate(over="ignore", invalid="ignore"):
        fine = np.isfinite(low) & np.isfinite(high) & (low <= high)
        fine &= WIDTHS * (high - low) <= LARGEST
    if not fine.all():
        i = int(fine.argmin())
        raise ValueError(
            f"bounds of coordinate {i} are ({low[i]}, {high[i]}); they must be finite, with low "
            "<= high, and not wider than float64 can represent; replace None or inf with a number"
        )
    if not (low < high).any():
        raise ValueError(
            f"bounds={_brief(bounds)} have low == high in every coordinate, so there is nothing to "
            "search"
        )
    return low, high


def listed(bounds: Any) -> Any:
    """The pairs of an iterator, such as zip(low, high), as a list; other bounds unchanged.

    Example:
        >>> listed(zip([0, 1], [2, 3]))
        [(0, 2), (1, 3)]
    """
    if isinstance(bounds, Iterator):
        return list(bounds)
    return bounds


def _low_high(bounds: Any) -> tuple[Floats, Floats]:
    bounds = listed(bounds)
    try:
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            return _side(bounds.lb), _side(bounds.ub)
        sides = []
        if isinstance(bounds, Sequence):
            sides = untensored([*bounds])
        elif hasattr(bounds, "ndim"):
            sides = as_array(bounds).tolist()
        vectors = sum(isinstance(side, np.ndarray) and side.ndim == 1 for side in sides)
        plain = isinstance(bounds, tuple) or (vectors == 2 and len(sides[0]) != 2)
        if len(sides) == 2 and vectors and plain:
            return _side(sides[0]), _side(sides[1])
        pairs = _side(sides)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"bounds={_brief(bounds)}: {FORMS}") from None
    if pairs.shape == (2,):
        return pairs[0], pairs[1]
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"bounds={_brief(bounds)} have shape {pairs.shape}: {FORMS}")
    unclear = isinstance(bounds, tuple) or vectors
    if len(pairs) == 2 and unclear and not all(isinstance(side, tuple) for side in bounds):
        raise ValueError(
            f"bounds={_brief(bounds)} are ambiguous; use a list of tuples for two pairs, or a tuple "
            "of two NumPy arrays for (low, high)"
        )
    return pairs[:, 0], pairs[:, 1]


def _side(numbers: Any) -> Floats:
    """Numbers as an array; text is refused, which NumPy would parse."""
    read = np.asarray(numbers)
    if read.dtype.kind in "USO" and any(isinstance(entry, str) for entry in read.flat):
        raise ValueError("bounds must be numbers, not text")
    return read.astype(np.float64)


def _brief(bounds: Any) -> str:
    return textwrap.shorten(repr(bounds), 120, placeholder=" ...")
