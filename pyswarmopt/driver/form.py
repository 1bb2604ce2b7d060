"""The form of an objective: whether it takes one point or many, and what it returns for a point."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from pyswarmopt.base.arrays import Floats, holds_numbers
from pyswarmopt.driver.call import Call, CallOutcome
from pyswarmopt.driver.memory import Value

FEW = 2  # points that show whether an objective takes many
FIRST_TRY = 1 + FEW  # most points of a first call that fails: one, then a few at once


class WrongShapeError(ValueError):
    """The objective returned something other than one number per point."""


class Form:
    """What an objective takes and returns; open points are settled by `settle`, at its first call.

    Args:
        vectorized: True, False, or "auto"; see `pyswarmopt.driver.evaluation.Evaluator`.
        outputs: None, or the number of numbers for a point.
        returned: whether a point has a value and constraints, in the form of `returned_row`.

    Attributes:
        vectorized: whether the objective takes many points, (m, D); None until settled.
        settled: whether the first call, which shows what the objective accepts, was made or is not
            needed.
        shape: shape of a value: () or (outputs,); with constraints () before the first is known.

    Raises:
        ValueError: an unknown `vectorized`.
    """

    def __init__(
        self, vectorized: bool | Literal["auto"], outputs: int | None, returned: bool
    ) -> None:
        if vectorized not in (True, False, "auto"):
            raise ValueError(f"vectorized={vectorized!r}: use True, False or 'auto'")
        self.vectorized: bool | None = None if vectorized == "auto" else bool(vectorized)
        self.settled = False
        self.shape: tuple[int, ...] = () if outputs is None else (outputs,)
        self.returned = returned

    # ---- one point or many ----

    def settle(self, call: Call, points: Floats, left: int) -> tuple[list[CallOutcome], int]:
        """Find out how the objective wants to be called: by one point, then by a batch, as far as
        `vectorized` leaves both open.

        Args:
            call: calls the objective.
            points: (n, D).
            left: number of points that may be called, at least 1.

        Returns:
            The outcomes of the first points, each of which counts as a call, and the number of
            points in calls that did not fit.

        Raises:
            WrongShapeError: it does not return a number for each point.
        """
        asked = self.vectorized
        given = points[:left] if asked else points[0]
        first = call(given)
        outcomes = self._of_many(first, given) if asked else self._of_one(first)
        in_vain = 0
        if asked is None and not outcomes:
            outcomes, in_vain = self._try_many(call, points, left, first)
        self.vectorized = bool(self.vectorized)
        self.settled = True
        if outcomes:
            return outcomes, in_vain
        if first.error is None:
            raise WrongShapeError(self._unlike(first.value, given))
        _hint_at_tensors(first.error)
        return [first] * (len(given) if asked else 1), in_vain

    def _try_many(
        self, call: Call, points: Floats, left: int, failure: CallOutcome
    ) -> tuple[list[CallOutcome], int]:
        """The outcomes of a batch, after one point's failure, empty if it failed, too; and the
        number of points in calls that did not fit.
        """
        # With as many points as coordinates, a result of shape (D,) would look like one number per
        # point.
        few = min(len(points), FEW)
        batch = points[: min(few - (few == points.shape[1]), left - 1)]
        if not len(batch):
            return [], 0
        answer = call(batch)
        outcomes = self._of_many(answer, batch)
        if outcomes:
            self.vectorized = True
        elif failure.error is not None and answer.error is None:
            failure.error.add_note(
                f"On points of shape {batch.shape} fun returned shape {_shape(answer.value)}; "
                f"one that takes many points must return shape {self._shape_of(batch)}."
            )
        return outcomes, 1 if outcomes else len(batch)

    def _of_one(self, answer: CallOutcome) -> list[CallOutcome]:
        """A point's outcome; empty if it has none of this form."""
        return [answer] if answer.error is None and self.fits(answer.value) else []

    def _of_many(self, answer: CallOutcome, points: Floats) -> list[CallOutcome]:
        """The outcomes of a batch; empty if it has none of this form."""
        if answer.error is not None or _shape(answer.value) != self._shape_of(points):
            return []
        return [CallOutcome(value, None) for value in _as_floats(answer.value)]

    def split(self, answer: CallOutcome, points: Floats) -> list[CallOutcome]:
        """The outcomes of a batch, (m, D), from that of its call.

        Raises:
            WrongShapeError: it did not return a number for each point.
        """
        if answer.error is not None:
            return [answer] * len(points)
        outcomes = self._of_many(answer, points)
        if not outcomes:
            raise WrongShapeError(
                f"fun returned shape {_shape(answer.value)} for points of shape {points.shape}; "
                f"it must return shape {self._shape_of(points)}, {self._wanted} for each"
            )
        return outcomes

    def _shape_of(self, points: Floats) -> tuple[int, ...]:
        """The shape of the values of points, (m, D)."""
        return len(points), *self.shape

    # ---- what counts as a value ----

    def fits(self, value: Any) -> bool:
        """Whether `value`, returned for a point, has this form.

        Raises:
            WrongShapeError: complex numbers, or numbers beyond float64.
        """
        try:
            if not holds_numbers(np.asarray(value)):
                return False
            array = _as_floats(value)
        except WrongShapeError:
            raise
        except (TypeError, ValueError):
            return False
        if self.returned and not self.shape:
            return isinstance(value, np.ndarray) and array.size > 1
        return array.shape == self.shape if self.shape else array.size == 1

    def read(self, value: Any) -> Value:
        """The value returned for a point, as a number or as (outputs,).

        Raises:
            WrongShapeError: it has another form.
        """
        if isinstance(value, float) and not self.shape:
            return value
        if not self.fits(value):
            raise WrongShapeError(
                f"fun must return {self._wanted} for a point, got {_described(value)}"
                f"{self._hint(value)}"
            )
        if self.returned:
            self.shape = value.shape
        return np.asarray(value, dtype=np.float64).reshape(self.shape)

    def learn_shape(self, values: Iterable[Value]) -> None:
        """Take the number of constraints from known values, if it is open."""
        if self.returned and not self.shape:
            self.shape = next((np.shape(value) for value in values if np.ndim(value)), ())

    def objectives(self, value: Value) -> Value:
        """A value without its constraints."""
        return float(np.ravel(value)[0]) if self.returned else value

    # ---- messages ----

    def _unlike(self, value: Any, given: Floats) -> str:
        """What is wrong with a value of the first call, and what is wanted."""
        many = "" if self.returned else f", or {self._wanted} for each of many, shape (m, D)"
        return (
            f"fun returned {_described(value)} given shape {given.shape}; it must give "
            f"{self._wanted} for a point of shape (D,){many}{self._hint(value)}"
        )

    def _hint(self, value: Any) -> str:
        """A hint for a function that returns several numbers instead of one, or a coroutine."""
        if hasattr(value, "cr_frame"):
            value.close()
            return "; an async fun is called as lambda x: asyncio.run(fun(x))"
        several = isinstance(value, tuple | list) and len(value) > 1 and not self.returned
        if not several:
            return ""
        if self.shape == (len(value),):
            return "; one that failed is NaN, not None" if None in value else ""
        if self.shape:
            return f"; say n_objectives={len(value)}"
        return (
            "; a function of several objectives is one for pso.minimize_multi, and one that "
            "returns (value, constraints) needs constraints='returned'"
        )

    @property
    def _wanted(self) -> str:
        if not self.returned:
            return f"{self.shape[0]} numbers" if self.shape else "a number"
        as_before = f" with {self.shape[0] - 1} constraints, as before," if self.shape else ""
        return f"(value, constraints){as_before}"


def _hint_at_tensors(error: Exception) -> None:
    """Say that an objective gets arrays, if its error looks as if it expected tensors."""
    wrong_kind = isinstance(error, TypeError | AttributeError) or "dtype" in str(error)
    if wrong_kind and "torch" in sys.modules:
        error.add_note(
            "fun gets float64 NumPy arrays; where it takes tensors, call it with "
            "torch.from_numpy(x), and .float() for float32"
        )


def _described(value: Any) -> str:
    """`fun`'s return value, in words."""
    shape = _shape(value)
    if not shape:
        return type(value).__name__ + (f" of {len(value)}" if shape is None else "")
    return f"{type(value).__name__} of shape {shape}"


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of `fun`'s return value; None if nested irregularly."""
    try:
        return np.shape(value)
    except ValueError:
        return None


def _as_floats(values: Any) -> Floats:
    """`fun`'s return values as real numbers.

    Raises:
        WrongShapeError: complex numbers, or numbers beyond float64.
    """
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise WrongShapeError("fun returned complex numbers; it must return real ones")
    if not holds_numbers(array):
        raise WrongShapeError(f"fun returned {array.dtype} of shape {array.shape}, not numbers")
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise WrongShapeError("fun returned a number beyond the range of float64") from None
