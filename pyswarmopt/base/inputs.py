"""Checks of users' input, which becomes arrays and tensors in the swarm's own memory."""

from __future__ import annotations

import math
import numbers
import operator
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import (
    Array,
    Bools,
    Floats,
    as_array,
    blocks,
    dtype_name,
    holds_numbers,
    is_tensor,
    like,
    namespace,
    untensored,
)

if TYPE_CHECKING:
    from torch import Tensor


def as_points(name: str, data: npt.ArrayLike | Tensor) -> Floats:
    """A finite (n, D) array, copied from the input."""
    points = np.array(as_array(matrix(name, data)), dtype=np.float64)
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        raise _not_finite(name, int(finite.argmin()))
    return points


def matrix(
    name: str, data: npt.ArrayLike | Tensor, shape: tuple[int, ...] | None = None
) -> Tensor | np.ndarray:
    """Convert to a real tensor or array of shape (n, D), without copying if unnecessary."""
    if isinstance(data, list | tuple) and data and all(map(is_tensor, data)):
        import torch

        data = torch.stack(list(data))
    given: Any = data
    if is_tensor(data):
        given = data.detach()
    else:
        given = as_array(untensored(data))
    if dtype_name(given).startswith("complex"):
        raise ValueError(f"{name} must be real numbers, not complex; use abs(value), for example")
    if isinstance(given, np.ndarray) and given.dtype.kind not in "biuf":
        try:
            given = np.asarray(given, dtype=np.float64)
        except OverflowError:
            raise ValueError(f"{name} must be in the range of float64") from None
        except TypeError:
            raise TypeError(
                f"{name} must be numbers, got {type(data).__name__}; for a module use "
                "pso.FlatView(module).flatten(module)"
            ) from None
    if shape is not None and tuple(given.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(given.shape)}")
    if given.ndim != 2 or 0 in given.shape:
        raise ValueError(
            f"{name} must have shape (n, D), with n and D at least 1, got {tuple(given.shape)}"
        )
    return given


def take_over(name: str, source: Array, out: Array) -> Array:
    """`out`, (n, D), filled block by block from a `matrix` of its shape, whose values must be
    finite.
    """
    for rows, columns in blocks(*out.shape):
        with np.errstate(over="ignore"):  # numbers beyond the dtype's range are refused below
            out[rows, columns] = like(source[rows, columns], out)
        finite = namespace(out).isfinite(out[rows, columns])
        if not finite.all():
            row = rows.start + int(as_array(finite.all(1)).argmin())
            raise _not_finite(name, row)
    return out


def _not_finite(name: str, row: int) -> ValueError:
    return ValueError(f"{name}[{row}] contains a value that is not finite")


def as_seed(seed: int | np.random.Generator | None) -> int | None:
    """A whole number or None; a `Generator` draws a number, so that equal states give equal
    searches.

    Raises:
        TypeError: any other type.
        ValueError: a negative number.
    """
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if seed is None:
        return None
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(
            f"seed={seed!r}: use a whole number, a numpy.random.Generator or None"
        ) from None
    if number < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    return number


def as_count(name: str, count: float, least: int) -> int:
    """A whole number of at least `least`; 1e4 counts as one, 2.5 does not.

    Raises:
        TypeError: it is not a number.
        ValueError: the number is not whole, or is too small.
    """
    if not isinstance(count, numbers.Real):
        raise TypeError(f"{name} must be a whole number, got {count!r}")
    if not math.isfinite(count) or count != int(count) or count < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {count}")
    return int(count)


def as_limit(name: str, count: float | None, least: int) -> int | None:
    """Like `as_count`; None means no limit."""
    if count is None:
        return None
    return as_count(name, count, least)


def check_target(target: float | None, maximize: bool) -> None:
    """Refuse a value to stop at that every point or no point reaches.

    Raises:
        TypeError: it is not a number.
        ValueError: it is NaN, which no value reaches, or the infinity that all values reach.
    """
    if target is None:
        return
    if not isinstance(target, numbers.Real):
        raise TypeError(f"target={target!r}: use a number, or None for no target")
    reached = math.inf
    if maximize:
        reached = -math.inf
    if math.isnan(target) or target == reached:
        raise ValueError(f"target={target}: use a finite number, or None for no target")


def as_values(data: npt.ArrayLike | Tensor, shape: tuple[int, ...], name: str = "values") -> Floats:
    """A copied real float64 array of exactly that shape (nothing is broadcast); `name` is for
    messages.
    """
    if type(data) is np.ndarray and data.dtype == np.float64 and data.shape == shape:
        return data.copy()  # the usual case
    given = np.asarray(untensored(data))
    if not holds_numbers(given):
        raise ValueError(f"{name} must be real numbers, got dtype {given.dtype}")
    if given.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, one per position, got {given.shape}")
    try:
        return np.array(given, dtype=np.float64)
    except (OverflowError, TypeError):
        raise ValueError(f"{name} must be in the range of float64") from None


def require_callable(name: str, value: Any) -> None:
    """Raise an error if a user's function cannot be called.

    Raises:
        TypeError: it cannot be called.
    """
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {textwrap.shorten(repr(value), 60)}")


def require_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Refuse the result of a recipe's part unless it has the swarm's shape, (N, D), or is one row,
    one column or one number.

    Raises:
        ValueError: it has another shape, such as (N,), which would broadcast along the wrong axis.
    """
    got = getattr(array, "shape", ())
    if got == shape:  # the usual case
        return
    rows, columns = shape
    if tuple(got) not in ((1, columns), (rows, 1), (1, 1), ()):
        raise ValueError(f"{name} must have shape (N, D) = {tuple(shape)}, got {tuple(got)}")


def as_costs(
    asked: Floats, positions: npt.ArrayLike | Tensor, values: npt.ArrayLike | Tensor, sign: float
) -> Floats:
    """Costs of a round, (m,), at the requested positions, (m, D): `sign` times the values, +inf for
    values that are not finite.

    Raises:
        ValueError: `ask` was not called, the positions differ, or there is not one value for each.
    """
    if not len(asked):
        raise ValueError("call ask() before tell(); each round can be told only once")
    same = type(positions) is np.ndarray and np.array_equal(positions, asked)  # the usual case
    if not same and not np.array_equal(as_points("positions", positions), asked):
        raise ValueError("tell() must be given the positions that ask() returned")
    costs = sign * as_values(values, (len(asked),))
    return np.where(np.isfinite(costs), costs, math.inf)


def as_mask(data: npt.ArrayLike | Tensor, count: int) -> Bools:
    """A boolean array of shape (count,)."""
    mask: Any = data
    if type(data) is not np.ndarray:  # the usual case
        mask = as_array(data)
    if mask.shape != (count,) or mask.dtype != np.bool_:
        raise ValueError(
            f"dropped must be an array of {count} booleans, got {mask.dtype} of shape {mask.shape}"
        )
    return mask
