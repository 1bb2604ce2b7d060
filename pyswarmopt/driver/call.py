"""Calls the objective on a copy of a point, catches errors, and checks what it returns."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats, as_array, holds_numbers, is_masked, is_tensor
from pyswarmopt.base.inputs import as_values
from pyswarmopt.base.words import cut

Objective = Callable[[Any], Any]
OnError = Literal["raise", "worst"]
RETURNED = "the values of fun"
Value = Floats | float  # of a point: a number, or several


class CallOutcome(NamedTuple):
    """Outcome of one call: a value, or an error."""

    value: Any
    error: Exception | None


def call(fun: Objective, x: Floats) -> CallOutcome:
    """Call the objective on a copy of a point, and catch what it raises."""
    try:
        value = fun(x.copy())
    except Exception as error:  # on_error decides about any error of the user's objective
        return CallOutcome(None, error)
    if not isinstance(value, float) and (is_tensor(value) or is_masked(value)):
        value = as_array(value)
    return CallOutcome(value, None)


class Form:
    """What an objective returns for a point.

    Args:
        outputs: number of numbers for a point; 0: a single number.
        returned: whether a point has a value and constraints, in the form of `row_of`.

    Attributes:
        shape: shape of a value: () or (outputs,); with constraints () before the first is known.
        values: number of values before the constraints.
    """

    def __init__(self, outputs: int, returned: bool) -> None:
        self.shape: tuple[int, ...] = ()
        self.values = outputs or 1
        if outputs and not returned:
            self.shape = (outputs,)
        self.returned = returned

    def read(self, value: Any) -> Value:
        """The value returned for a point, as a number or as (outputs,).

        Raises:
            ValueError: it has a different form.
        """
        if isinstance(value, float) and not (self.shape or self.returned):
            return value
        if not self._fits(value):
            raise ValueError(
                f"fun must return {self._wanted}, got {cut(repr(value), 60)}{self._hint(value)}"
            )
        if self.returned:
            self.shape = value.shape
        return as_values(value, np.shape(value), RETURNED).reshape(self.shape)

    def read_many(self, values: Any, points: Floats) -> list[Value]:
        """The values returned for points, (m, D).

        Raises:
            ValueError: they are not one value for each point.
        """
        wanted = len(points), *self.shape
        if _shape(values) != wanted:
            raise ValueError(
                f"fun returned shape {_shape(values)} for points of shape {points.shape}; "
                f"it must return shape {wanted}, with {self._wanted} per point"
            )
        return list(as_values(values, wanted, RETURNED))

    def _fits(self, value: Any) -> bool:
        shape = _shape(value)
        if shape is None or not holds_numbers(np.asarray(value)):
            return False
        if self.returned and not self.shape:
            return isinstance(value, np.ndarray) and value.size > self.values
        if self.shape:
            return shape == self.shape
        return math.prod(shape) == 1

    def _hint(self, value: Any) -> str:
        """What to do about None, a dict, a coroutine or several numbers."""
        if isinstance(value, Mapping):
            return "; return one of its values"
        if inspect.iscoroutine(value):
            value.close()  # no warning that it was never awaited
            return "; fun is asynchronous, so pass lambda x: asyncio.run(fun(x))"
        if value is None or (isinstance(value, tuple | list) and None in value):
            return "; return NaN, not None, for a failure"
        shape = _shape(value)
        if self.shape or self.returned or (shape is not None and math.prod(shape) < 2):
            return ""
        return (
            "; for many points of shape (m, D), pass vectorized=True; for several objectives, use "
            "pso.minimize_multi; for (value, constraints), pass constraints='returned'"
        )

    @property
    def _wanted(self) -> str:
        if not self.returned:
            if self.shape:
                return f"{self.shape[0]} numbers"
            return "a number"
        as_before = ""
        if self.shape:
            as_before = f" with {self.shape[0] - self.values} constraints, as before"
        pair = "(value, constraints)"
        if self.values > 1:
            pair = f"({self.values} values, constraints)"
        return f"{pair}{as_before}"


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of `fun`'s return value; None if nested irregularly."""
    try:
        return np.shape(value)
    except ValueError:
        return None
