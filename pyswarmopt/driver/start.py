"""Start of a search, and the check that a checkpoint belongs to the same objective.

A search continued with another function would report the old one's value. So the best point is
evaluated once more when a checkpoint is read; this call is not counted, uses none of the search's
random numbers and is made in this process. If the search had ended, it is also the call needed for
its result.
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

    def with_constraints(self, returned: bool) -> KnownPoints:
        """The same, checked: constraints belong to the values exactly if `fun` returns them.

        Raises:
            ValueError: constraints are missing or superfluous.
        """
        several = self.values.ndim > 1
        if len(self.points) and returned and not several:
            raise ValueError(
                "known=(points, values): with constraints='returned' give (points, values, "
                "constraints); a Result has none, so go on from its checkpoint="
            )
        if several and not returned:
            raise ValueError(
                "known=(points, values, constraints): the constraints are called for; say "
                "constraints='returned' if fun returns them, else give (points, values)"
            )
        return self


def starting_points(x0: Start, space: Space | None = None) -> Floats:
    """Starting points, (n, D).

    Raises:
        ValueError: not one or several points or a result, or unknown parameters.
    """
    if isinstance(x0, Result):
        return x0.x[None]
    named: Any = x0 if isinstance(x0, list) and x0 else [x0]
    if space is not None and all(isinstance(params, Mapping) for params in named):
        return np.array([space.encode(params) for params in named])
    try:
        points = as_array(x0) if is_tensor(x0) else x0
        start = np.atleast_2d(np.asarray(points, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"x0={x0!r}: use a point, several or the Result of another run") from None
    if start.ndim != 2 or start.size == 0:
        raise ValueError(f"x0 must have shape (D,) or (n, D), got {start.shape}")
    return start


def known_points(known: Known | None, space: Space | None, dim: int) -> KnownPoints:
    """Read previously evaluated points with their values.

    Raises:
        ValueError: not as many values as points.
    """
    if known is None:
        return KnownPoints(np.empty((0, dim)), np.empty(0))
    if isinstance(known, Result):
        known = known.evaluated(feasible=False)
    if not isinstance(known, tuple) or len(known) not in (2, 3):
        raise ValueError(
            f"known={type(known).__name__}: use (points, values), (points, values, constraints) or "
            "the Result of another run"
        )
    points = starting_points(known[0], space)
    try:
        values = np.asarray(untensored(known[1]), dtype=np.float64)
        if len(known) == 3:
            more = np.asarray(untensored(known[2]), dtype=np.float64)
            values = np.column_stack([values, more])
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "known: values and constraints must be numbers, a row for each point"
        ) from None
    if points.shape != (len(values), dim):
        raise ValueError(
            f"known has points of shape {points.shape} and {len(values)} values; use (n, {dim}) and n"
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
    before = np.asarray(stored, dtype=np.float64)
    after = np.asarray(now, dtype=np.float64)
    if not (np.isnan(after).any() or same_but_rounding(before, after, scale)):
        raise ValueError(
            f"{path}: the checkpoint of another objective: at its best point {what} "
            f"{before.tolist()} there, "
            f"{after.tolist()} now; give another path"
        )


def same_but_rounding(before: npt.ArrayLike, after: npt.ArrayLike, scale: npt.ArrayLike) -> bool:
    """Whether two values of a point, with numbers of size `scale`, differ only by rounding."""
    allowed = ROUNDING * np.maximum(np.abs(before), np.nan_to_num(np.abs(scale), posinf=0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.abs(np.subtract(after, before))
    return bool(((away <= allowed) | np.equal(after, before)).all())
