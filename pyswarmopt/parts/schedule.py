"""Schedules: functions of the iteration, counted from 0, that return a number.

A schedule can replace any number in a recipe: the step length or a term's weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real

from pyswarmopt.base.inputs import require_callable

Schedule = Callable[[int], float]
UNPLANNED = 1000  # iterations of a `Linear` in a run of unknown length


@dataclass(frozen=True)
class Constant:
    """The same value in every iteration.

    Attributes:
        value: the value.

    Raises:
        ValueError: the value is not finite.

    Example:
        >>> Constant(0.5)(7)
        0.5
    """

    value: float

    def __post_init__(self) -> None:
        _require_finite(self.value)

    def __call__(self, move: int) -> float:
        return self.value


@dataclass(frozen=True)
class Exponential:
    """``start * factor**move``, never below `floor`.

    Model Swarms multiplies its step length lambda by phi_lambda after each iteration (Feng et al.
    2024, arXiv 2410.11163, Algorithm 1).

    Attributes:
        start: value in iteration 0.
        factor: factor per iteration.
        floor: the smallest value.
        floor_start: whether the floor also holds in iteration 0; False in the authors' released
            code for Model Swarms.

    Raises:
        ValueError: a number is not finite.

    Example:
        >>> [Exponential(0.8, 0.5, floor=0.3)(t) for t in range(3)]
        [0.8, 0.4, 0.3]
    """

    start: float
    factor: float
    floor: float = 0.0
    floor_start: bool = True

    def __post_init__(self) -> None:
        _require_finite(self.start, self.factor, self.floor)

    def __call__(self, move: int) -> float:
        if move == 0 and not self.floor_start:
            return self.start
        return max(self.start * self.factor**move, self.floor)


@dataclass(frozen=True)
class Linear:
    """From `start` in iteration 0 to `end` in iteration `moves`, and `end` from then on.

    The inertia weight of Shi and Eberhart (1998) falls in this way from 0.9 to 0.4.

    Attributes:
        start: value in iteration 0.
        end: value from iteration `moves` on.
        moves: number of iterations over which it changes; None: the whole run if its length is
            known, as in `minimize`, else 1,000.

    Raises:
        ValueError: a number is not finite, or `moves` is below 1.

    Example:
        >>> [round(Linear(0.9, 0.4, moves=10)(t), 2) for t in (0, 5, 10, 99)]
        [0.9, 0.65, 0.4, 0.4]
    """

    start: float
    end: float
    moves: int | None = None

    def __post_init__(self) -> None:
        _require_finite(self.start, self.end)
        if self.moves is not None and self.moves < 1:
            raise ValueError(f"moves of a linear schedule must be at least 1, got {self.moves}")

    def __call__(self, move: int) -> float:
        moves = self.moves or UNPLANNED
        return self.start + (self.end - self.start) * min(move / moves, 1.0)


def _require_finite(*values: float) -> None:
    for value in values:
        if not math.isfinite(value):
            raise ValueError(f"a weight or step length must be finite, got {value}")


def as_schedule(value: float | Schedule) -> Schedule:
    """`value` itself if it is a schedule, else a constant schedule.

    Args:
        value: a number, or a function of the iteration.

    Returns:
        A function of the iteration, counted from 0, that returns the value.

    Raises:
        ValueError: a number is not finite.
        TypeError: `value` is neither a number nor a function.

    Example:
        >>> as_schedule(0.5)(3)
        0.5
    """
    if not isinstance(value, Real):
        require_callable("a weight or step length", value)
    if callable(value):
        return value
    return Constant(float(value))


def planned(value: float | Schedule, moves: int) -> float | Schedule:
    """A weight or schedule for a run of `moves` iterations.

    Example:
        >>> planned(Linear(0.9, 0.4), 50)
        Linear(start=0.9, end=0.4, moves=50)
    """
    if isinstance(value, Linear) and value.moves is None:
        return replace(value, moves=moves)
    return value


__all__ = ["Constant", "Exponential", "Linear", "Schedule", "as_schedule"]
