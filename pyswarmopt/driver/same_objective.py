"""Whether a checkpoint is one of this objective: its source, and the value that its best point has today.

A search that goes on with another function would report the value of the old one. So the best point is evaluated once
more when a checkpoint is read; that call is not counted, draws from no generator of the search and is made in this
process.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.driver.resampling import Sample, pooled_deviation

ROUNDING = 1e-9  # of the larger of the value and what the search began with: other machines and batches round otherwise
NOISE = 6.0  # standard errors by which a mean may differ
MOST_DRAWS = 10  # before a noisy objective is another one


def source_digest(fun: Callable[..., Any]) -> str | None:
    """A digest of the source of a function or of a callable object's class.

    None where there is no source, and for a lambda, whose line changes with what stands around it.
    """
    while isinstance(fun, functools.partial):
        fun = fun.func
    if getattr(fun, "__name__", "") == "<lambda>":
        return None
    try:
        source = inspect.getsource(fun if inspect.isroutine(fun) or inspect.isclass(fun) else type(fun))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(source.encode()).hexdigest()


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
    old, new = np.asarray(stored, dtype=np.float64), np.asarray(now, dtype=np.float64)
    allowed = ROUNDING * np.maximum(np.abs(old), np.nan_to_num(np.abs(scale), posinf=0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        same = (new == old) | (np.abs(new - old) <= allowed)
    if np.isnan(new).any() or same.all():
        return
    raise _differs(path, f"{what} {old.tolist()} there, {new.tolist()} now")


def check_mean(path: str | os.PathLike[str], known: Sample, spread: float | None, draw: Callable[[], float]) -> None:
    """The same for a noisy objective: draw until the mean is near the stored one, or enough were drawn.

    Args:
        path: the checkpoint.
        known: the sample of the best point.
        spread: standard deviation of a draw; None: not known yet, so that the draws of this point have to say it.
        draw: another draw at the best point; NaN if it failed.

    Raises:
        ValueError: the means differ by more than their standard errors allow.
    """
    fresh = Sample()
    while fresh.n < MOST_DRAWS:
        fresh = fresh.add(draw())
        if not math.isfinite(fresh.mean):
            return
        deviation = pooled_deviation([known, fresh]) if spread is None else spread
        if deviation is None:
            continue
        allowed = NOISE * deviation * math.sqrt(1 / known.n + 1 / fresh.n) + ROUNDING * abs(known.mean)
        if abs(fresh.mean - known.mean) <= allowed:
            return
    raise _differs(path, f"fun gave a mean of {known.mean:.6g} there, of {fresh.mean:.6g} now")


def warn_of_source(path: str | os.PathLike[str], saved: Any, now: str | None) -> None:
    """Say that the source of the objective has changed, where the best point's value has not."""
    if isinstance(saved, str) and now is not None and saved != now:
        warnings.warn(
            f"{path}: the source of fun has changed since; its value at the best point has not, so the search goes on",
            stacklevel=2,
        )


def _differs(path: str | os.PathLike[str], how: str) -> ValueError:
    return ValueError(
        f"{path}: the checkpoint of another objective: at its best point {how}; give another path, or x0= "
        "this one to begin anew from its points"
    )
