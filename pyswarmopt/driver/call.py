"""One call of the objective: on a copy, with errors caught; and its values as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats, as_array, holds_numbers, is_tensor

Objective = Callable[[Any], Any]
Value = Floats | float  # of a point: a number, or several
OnError = Literal["raise", "worst"]


class CallOutcome(NamedTuple):
    """Outcome of one call: a value, or an error."""

    value: Any
    error: Exception | None


@dataclass(repr=False, eq=False)
class Call:
    """Calls the objective on a copy and catches what it raises; picklable if the objective is."""

    fun: Objective

    def __call__(self, x: Floats) -> CallOutcome:
        try:
            value = self.fun(x.copy())
        except Exception as error:  # on_error decides about any error of the user's objective
            return CallOutcome(None, error)
        return CallOutcome(as_array(value) if is_tensor(value) else value, None)


def as_numbers(returned: Any) -> Floats:
    """What the objective returned, as float64.

    Raises:
        ValueError: it is no real number, and no array of them.
    """
    try:
        array = np.asarray(returned)
        if holds_numbers(array):
            return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"fun must return real numbers in float64's range, not {returned!r:.50}")
