"""Where a search starts: points to begin with, evaluations known before, and the check that a
checkpoint belongs to the same objective.

A search continued with another function would report the old one's value. So the best point is
evaluated once more when a checkpoint is read; this call is not counted, uses none of the search's
random numbers and is made in this process.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Bools, Floats, untensored
from pyswarmopt.driver.result import Result

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

# relative to the larger of the value and the search's first values: other machines and batches
# round differently
ROUNDING = 1e-9
Start = npt.ArrayLike | Result | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Known = tuple[Any, npt.ArrayLike] | tuple[Any, npt.ArrayLike, npt.ArrayLike] | Result
FORMS = "(points, values), (points, values, constraints) or the Result of another run"


class KnownPoints(NamedTuple):
    """Previously evaluated points.

    Attributes:
        points: (k, D).
        values: (k,), NaN for a failed call; or with constraints returned by `fun`, (k, 1 + K).
    """

    points: Floats
    values: Floats


def starting_points(x0: Any, space: Space | None = None, name: str = "x0") -> Floats:
    """Points, (n, D), from one or several: numbers, parameters by name, a data frame or a result.

    Args:
        x0: the points.
        space: parameters by name, if any.
        name: of the argument, for messages.

    Raises:
        ValueError: something else, or unknown parameters.
    """
    if isinstance(x0, Result):
        return x0.x[None]
    named = _rows_by_name(x0, space)
    if named is not None and space is not None:
        return np.array([space.encode(params, name) for params in named])
    try:
        start = np.atleast_2d(np.asarray(untensored(x0), dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{name}={x0!r}: use a point, several or the Result of another run"
        ) from None
    if start.ndim != 2 or start.size == 0:
        raise ValueError(f"{name} must have shape (D,) or (n, D), got {start.shape}")
    return start


def _rows_by_name(points: Any, space: Space | None) -> list[Mapping[str, Any]] | None:
    """Points as dicts of parameters; None if they are numbers only."""
    if space is None:
        return None
    if hasattr(points, "to_dict") and hasattr(points, "columns"):  # empty cells are inactive
        rows = points.to_dict("records")
        return [{n: v for n, v in row.items() if v is not None and v == v} for row in rows]
    several = points if isinstance(points, list) and points else [points]
    return several if all(isinstance(params, Mapping) for params in several) else None


def known_points(
    known: Known | None, space: Space | None, bounds: tuple[Floats, Floats], returned: bool
) -> KnownPoints:
    """Read previously evaluated points; those outside the bounds are left out, with a warning.

    Args:
        known: the argument.
        space: parameters by name, if any.
        bounds: low and high, (D,) each.
        returned: whether `fun` returns constraints, which belong to the values then.

    Raises:
        ValueError: not as many values as points, or constraints are missing or superfluous.
    """
    low, high = bounds
    if known is None:
        return KnownPoints(np.empty((0, len(low))), np.empty(0))
    if isinstance(known, Result):
        known = known.known()
    if not isinstance(known, tuple) or len(known) not in (2, 3):
        raise ValueError(f"known={type(known).__name__}: use {FORMS}")
    points, *columns = known
    values = _numbers(columns)
    if len(known) == 2 and returned and len(values):
        raise ValueError(
            "known=(points, values): with constraints='returned' use (points, values, constraints); "
            "a Result has none, so continue from its checkpoint="
        )
    if len(known) == 3 and not returned:
        raise ValueError(
            "known=(points, values, constraints): the constraints are called for; say "
            "constraints='returned' if fun returns them, else use (points, values)"
        )
    rows, allowed = _allowed(points, space, low, high)
    if len(allowed) != len(values):
        raise ValueError(f"known has {len(allowed)} points and {len(values)} values")
    if not allowed.all():
        warnings.warn(
            f"{(~allowed).sum()} of {len(allowed)} known points lie outside the bounds and are left "
            "out",
            stacklevel=2,
        )
    return KnownPoints(rows, values[allowed])


def _allowed(points: Any, space: Space | None, low: Floats, high: Floats) -> tuple[Floats, Bools]:
    """The known points within the bounds, (k, D), and a mask of all points."""
    named = _rows_by_name(points, space)
    if named is not None and space is not None:
        allowed = np.array([space.allows(params, "known") for params in named])
        rows = [
            space.encode(params) for params, inside in zip(named, allowed, strict=True) if inside
        ]
        return np.reshape(rows, (-1, len(low))), allowed
    points = starting_points(points, space, "known")
    if points.shape[1] != len(low):
        raise ValueError(f"known has points of shape {points.shape}; use (n, {len(low)})")
    allowed = np.all((points >= low) & (points <= high), axis=1)
    return points[allowed], allowed


def _numbers(columns: Sequence[Any]) -> Floats:
    """Values, (k,), or values and constraints, (k, 1 + K)."""
    try:
        read = [np.asarray(untensored(column), dtype=np.float64) for column in columns]
        return read[0] if len(read) == 1 else np.column_stack(read)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "known: values and constraints must be numbers, a row for each point"
        ) from None


def check_value(
    path: str | os.PathLike[str],
    stored: npt.ArrayLike,
    now: npt.ArrayLike,
    scale: npt.ArrayLike,
    what: str = "fun gave",
) -> None:
    """Compare the best point's stored value with the objective's present one.

    Args:
        path: checkpoint.
        stored: stored value: a number, or one per objective.
        now: present value; NaN for a forgiven failure, which says nothing.
        scale: size of the search's first values.
        what: what the values belong to, for the message.

    Raises:
        ValueError: the values differ by more than rounding.
    """
    before = np.asarray(stored, dtype=np.float64)
    after = np.asarray(now, dtype=np.float64)
    if not (np.isnan(after).any() or same_but_rounding(before, after, scale)):
        raise ValueError(
            f"{path}: the checkpoint of another objective: at its best point {what} "
            f"{before.tolist()} there, {after.tolist()} now; use another path"
        )


def same_but_rounding(before: npt.ArrayLike, after: npt.ArrayLike, scale: npt.ArrayLike) -> bool:
    """Whether two values of a point, with numbers of size `scale`, differ only by rounding."""
    allowed = ROUNDING * np.maximum(np.abs(before), np.nan_to_num(np.abs(scale), posinf=0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.abs(np.subtract(after, before))
    return bool(((away <= allowed) | np.equal(after, before)).all())
