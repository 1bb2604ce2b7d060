"""The bounds of a search in any of the usual forms, as two arrays."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, as_array, is_tensor

FORMS = (
    "use one pair of finite numbers (low, high) for each coordinate, SciPy's Bounds, two NumPy "
    "arrays (low, high), or "
    "two numbers for all coordinates"
)
START = "; a starting point is x0= of minimize or positions= of Swarm, beside the bounds"
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
    low, high, size = sides(bounds, dim)
    check_widths((low, high), (low, high), LARGEST, "float64")
    return np.array(np.broadcast_to(low, size)), np.array(np.broadcast_to(high, size))


def sides(bounds: Any, dim: int | None) -> tuple[Floats, Floats, int]:
    """Lower and upper bounds of any width, (D,), or (1,) for a number shared by all coordinates;
    and D.
    """
    low, high = _low_high(bounds)
    if low.ndim == 0 and high.ndim == 0 and dim is None:
        raise ValueError(
            f"bounds={bounds!r} do not tell the dimension; give one (low, high) pair per "
            f"coordinate{START}"
        )
    size = dim if dim is not None else max(low.size, high.size)
    try:
        lows = np.broadcast_to(low, (size,))
        highs = np.broadcast_to(high, (size,))
    except ValueError:
        count = max(low.size, high.size)
        raise ValueError(
            f"bounds for {count} coordinates, but the dimension is {size} (that of dim, positions "
            "or x0)"
        ) from None
    wrong = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high) & (low <= high)))
    if wrong.size:
        i = int(wrong[0])
        open_ended = not np.isfinite([lows[i], highs[i]]).all()
        hint = "; where there is none (None, inf) give a wide one" if open_ended else ""
        box = f"({lows[i]}, {highs[i]})"
        raise ValueError(
            f"bounds of coordinate {i} are {box}; they must be finite, low <= high{hint}"
        )
    if not (low < high).any():
        raise ValueError(
            f"bounds={_brief(bounds)}: low == high in every coordinate, so there is nothing to "
            "search"
        )
    return low.reshape(-1), high.reshape(-1), size


def check_widths(
    bounds: tuple[Floats, Floats], stored: tuple[Floats, Floats], largest: float, dtype: str
) -> None:
    """Refuse a box in which velocities could overflow.

    Args:
        bounds: lower and upper bounds, for the message.
        stored: the same in the search's precision.
        largest: largest measurable velocity.
        dtype: name of the precision.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        measurable = WIDTHS * (stored[1] - stored[0]) <= largest
    if not measurable.all():
        i = int(measurable.argmin())
        low, high = (float(np.broadcast_to(side, len(measurable))[i]) for side in bounds)
        raise ValueError(
            f"bounds of coordinate {i} are ({low}, {high}): wider than {dtype} can measure"
        )


def _low_high(bounds: Any) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        return np.asarray(bounds.lb, dtype=np.float64), np.asarray(bounds.ub, dtype=np.float64)
    bounds = _without_tensors(bounds)
    a_sequence = isinstance(bounds, Sequence | np.ndarray)
    if not a_sequence or isinstance(bounds, str) or len(bounds) == 0:
        named = "; parameters by name are space=" if isinstance(bounds, dict) else ""
        raise ValueError(f"bounds={_brief(bounds)}: {FORMS}{named}")
    try:
        if _are_sides(bounds):
            sides = [np.asarray(side, dtype=np.float64) for side in bounds]
            if all(side.ndim <= 1 for side in sides):
                return sides[0], sides[1]
        pairs = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"bounds={_brief(bounds)}: {FORMS}") from None
    if pairs.shape == (2,):
        return pairs[0], pairs[1]
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        start = START if pairs.ndim == 1 else ""
        raise ValueError(f"bounds have shape {pairs.shape}: {FORMS}{start}")
    if pairs.shape == (2, 2) and _may_be_sides(bounds, pairs):
        raise ValueError(
            f"bounds={_brief(bounds)}: these may be two pairs, or (low, high); write the pairs as "
            "a list of tuples, or low and high as two NumPy arrays"
        )
    return pairs[:, 0], pairs[:, 1]


def _are_sides(bounds: Any) -> bool:
    """Whether the bounds are two vectors (low, high), or a vector and a number; a list of two
    vectors of two numbers may be pairs.
    """
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        return False
    vectors = [getattr(side, "ndim", 0) == 1 for side in bounds]
    if isinstance(bounds, tuple):
        return any(vectors)
    return all(vectors) and len(bounds[0]) != 2


def _may_be_sides(bounds: Any, pairs: Floats) -> bool:
    """Whether two pairs, (2, 2), could also mean (low, high); tuples are always pairs."""
    if all(isinstance(pair, tuple) for pair in bounds):
        return False
    low, high = pairs
    is_box = (low <= high).all() and (low < high).any()
    matrix = isinstance(bounds, np.ndarray)
    vectors = not matrix and any(isinstance(side, np.ndarray) for side in bounds)
    fixed = not (pairs[:, 0] < pairs[:, 1]).any()
    return bool(is_box and (isinstance(bounds, tuple) or vectors or fixed))


def _without_tensors(bounds: Any) -> Any:
    """Tensors as arrays; a list or tuple of tensors stays a list or tuple."""
    if is_tensor(bounds):
        return as_array(bounds)
    if isinstance(bounds, list | tuple) and any(map(is_tensor, bounds)):
        return type(bounds)(map(_without_tensors, bounds))
    return bounds


def _brief(bounds: Any) -> str:
    return textwrap.shorten(repr(bounds), 120, placeholder=" ...")
