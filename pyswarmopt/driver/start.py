"""Where a search starts: points to begin with, evaluations known before, and the check that a
checkpoint belongs to the same objective.

A search continued with another function would report the old one's value. So the best point is
evaluated once more when a checkpoint is read; this call is not counted, uses none of the search's
random numbers and is made in this process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, as_array, is_tensor, untensored
from pyswarmopt.driver.result import Result

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

# relative to the larger of the value and the search's first values: other machines and batches
# round differently
ROUNDING = 1e-9
Start = npt.ArrayLike | Result | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Known = tuple[Any, npt.ArrayLike] | tuple[Any, npt.ArrayLike, npt.ArrayLike] | Result


class KnownPoints(NamedTuple):
    """Previously evaluated points.

    Attributes:
        points: (k, D).
        values: (k,), NaN for a failed call; or with constraints returned by `fun`, (k, 1 + K).
    """

    points: Floats
    values: Floats


def starting_points(x0: Any, space: Space | None = None, name: str = "x0") -> Floats:
    """Points, (n, D), from one or several: numbers, parameters by name or a result.

    Args:
        x0: the points.
        space: parameters by name, if any.
        name: of the argument, for messages.

    Raises:
        ValueError: something else, or unknown parameters.
    """
    if isinstance(x0, Result):
        return x0.x[None]
    named = _rows_by_name(x0)
    if named and space is not None:
        return np.array([space.encode(params, name) for params in named])
    try:
        start = np.atleast_2d(np.asarray(as_array(x0) if is_tensor(x0) else x0, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{name}={x0!r}: use a point, several or the Result of another run"
        ) from None
    if start.ndim != 2 or start.size == 0:
        raise ValueError(f"{name} must have shape (D,) or (n, D), got {start.shape}")
    return start


def _rows_by_name(points: Any) -> list[Mapping[str, Any]]:
    """Points as dicts of parameters; empty if they are numbers."""
    several = points if isinstance(points, list) else [points]
    return several if all(isinstance(params, Mapping) for params in several) else []


def known_points(known: Known | None, space: Space | None, dim: int, returned: bool) -> KnownPoints:
    """Read previously evaluated points.

    Args:
        known: the argument.
        space: parameters by name, if any.
        dim: D.
        returned: whether `fun` returns constraints, which belong to the values then.

    Raises:
        ValueError: not as many values as points, or constraints are missing or superfluous.
    """
    if known is None:
        return KnownPoints(np.empty((0, dim)), np.empty(0))
    if isinstance(known, Result):
        known = known.evaluated(feasible=False)
    if not isinstance(known, tuple) or len(known) != (3 if returned else 2):
        raise ValueError(
            "known: use (points, values) or a Result; with constraints='returned', and only then, "
            "(points, values, constraints)"
        )
    points = starting_points(known[0], space, "known")
    try:
        columns = [np.asarray(untensored(column), dtype=np.float64) for column in known[1:]]
        values = np.column_stack(columns) if returned else columns[0]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "known: values and constraints must be numbers, a row for each point"
        ) from None
    if points.shape != (len(np.atleast_1d(values)), dim):
        raise ValueError(
            f"known has points of shape {points.shape} and values of shape {values.shape}; use "
            f"(n, {dim}) and (n,)"
        )
    return KnownPoints(points, values)


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
    if not (np.isnan(now).any() or same_but_rounding(stored, now, scale)):
        raise ValueError(
            f"{path}: the checkpoint of another objective: at its best point {what} "
            f"{np.asarray(stored).tolist()} there, {np.asarray(now).tolist()} now; use another path"
        )


def same_but_rounding(before: npt.ArrayLike, after: npt.ArrayLike, scale: npt.ArrayLike) -> bool:
    """Whether two values of a point, with numbers of size `scale`, differ only by rounding."""
    allowed = ROUNDING * np.nan_to_num(np.abs(scale), posinf=0.0)
    return np.allclose(after, before, rtol=ROUNDING, atol=allowed)
