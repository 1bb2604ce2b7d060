"""A run of the library as the page replays it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.inspect.recorder import record
from pyswarmopt.inspect.step import Step
from pyswarmopt.teaching.lesson.settings import Settings

DIGITS = 8  # significant digits in the page


def recording(settings: Settings, moves: int, seed: int) -> list[dict[str, Any]]:
    """A frame per round: where the particles are, what they know, and the move that follows.

    Example:
        >>> frames = recording(Settings(particles=3), moves=2, seed=0)
        >>> [frame["t"] for frame in frames], frames[2]["move"] is None, sorted(frames[0]["move"]["forces"])
        ([0, 1, 2], True, ['cognitive', 'inertia', 'repel', 'social'])
    """
    steps = record(
        settings.function(),
        settings.recipe(),
        moves,
        bounds=[(settings.low, settings.high)] * 2,
        population=settings.particles,
        positions=[list(point) for point in settings.experts] or None,
        seed=seed,
    )
    return [_frame(now, after) for now, after in pairwise([*steps, None]) if now is not None]


def _frame(now: Step, after: Step | None) -> dict[str, Any]:
    """State after a round, and the move to the next one."""
    origin = now.x if after is None or after.origin is None else after.origin
    return {
        "t": now.number,
        "x": numbers(now.x),
        "v": numbers(np.where(now.restarted[:, None], 0.0, now.v)),
        "f": numbers(now.values),
        "p": numbers(now.p),
        "pf": numbers(now.p_values),
        "best": number(now.best),
        "leader": numbers(now.p[now.p_values.argmin()]),
        "worst": None if after is None or after.w is None else numbers(after.w),
        "restarted": now.restarted.tolist(),
        "origin": numbers(origin),
        "move": None if after is None else _move(after),
    }


def _move(step: Step) -> dict[str, Any]:
    return {
        "g": numbers(np.asarray(step.g)),
        "forces": {name: numbers(force) for name, force in step.forces.items()},
        "factors": {name: numbers(factor) for name, factor in step.factors.items()},
        "length": number(step.length),
        "v": numbers(step.v),
        "x": numbers(step.x),
    }


def number(value: float) -> float:
    """With as many digits as the page gets."""
    return float(f"{value:.{DIGITS}g}")


def numbers(array: npt.NDArray[np.float64]) -> Any:
    """Nested lists of such numbers."""
    return np.vectorize(number, otypes=[float])(array).tolist()
