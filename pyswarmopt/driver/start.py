"""Start of a search, and the check that a checkpoint is of the same objective.

A search that continued with another function would report the value of the old one. So the best
point is evaluated once more when a checkpoint is read; that call is not counted, draws from no
generator of the search and is made in this process. Where the search had ended, it is the call that
its result needs, too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
        what: of which they are values, for the message.

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
