"""Start of a search, and the check that a checkpoint is of the same objective.

A search that continued with another function would report the value of the old one. So the best
point is evaluated once more when a checkpoint is read; that call is not counted, draws from no
generator of the search and is made in this process. Where the search had ended, it is the call that
its result needs, too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, as_array, is_tensor
from pyswarmopt.driver.result import Result

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

# of the larger of the value and what the search began with: other machines and batches round
# otherwise
ROUNDING = 1e-9
Start = npt.ArrayLike | Result | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Known = tuple[Any, npt.ArrayLike] | tuple[Any, npt.ArrayLike, npt.ArrayLike] | Result


class KnownPoints(NamedTuple):
    """Points that were evaluated before.

    Attributes:
        points: (k, D).
        values: (k,), NaN where a call failed; or with constraints that `fun` returns (k, 1 + K).
    """

    points: Floats
    values: Floats

    def with_constraints(self, returned: bool) -> KnownPoints:
        """The same, checked: constraints belong to the values only where `fun` returns them.

        Raises:
            ValueError: constraints that are missing, or are too many.
        """
        several = self.values.ndim > 1
        if len(self.points) and returned and not several:
            raise ValueError(
                "known=(points, values): with constraints='returned' give (points, values, constraints)"
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
        ValueError: not a point, several, or a result; parameters that are not in the space.
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
    """Read points that were evaluated before, with their values.

    Raises:
        ValueError: not points and as many values.
    """
    if known is None:
        return KnownPoints(np.empty((0, dim)), np.empty(0))
    if isinstance(known, Result):
        known = known.evaluated()
    if not isinstance(known, tuple) or len(known) not in (2, 3):
        raise ValueError(
            f"known={type(known).__name__}: use (points, values), (points, values, constraints) or "
            "the Result of another run"
        )
    points = starting_points(known[0], space)
    try:
        values = np.asarray(known[1], dtype=np.float64)
        if len(known) == 3:
            more = np.asarray(known[2], dtype=np.float64)
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
    """Compare the stored value of the best point with what the objective gives there now.

    Args:
        path: the checkpoint.
        stored: a number, or one for each objective.
        now: as many; NaN where a call failed and that is forgiven, which says nothing.
        scale: the size of the values that the search began with.
        what: name of what they are values of, for the message.

    Raises:
        ValueError: they differ by more than rounding.
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
    """Whether values of one point, numbers of the size `scale`, differ by no more than rounding."""
    allowed = ROUNDING * np.maximum(np.abs(before), np.nan_to_num(np.abs(scale), posinf=0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.abs(np.subtract(after, before))
    return bool(((away <= allowed) | np.equal(after, before)).all())
