"""Calls the objective: one or many points at a time, in parallel, with rules for failed calls."""

from __future__ import annotations

import copy
import math
import sys
import time
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, holds_numbers
from pyswarmopt.base.inputs import require_callable
from pyswarmopt.base.record import check
from pyswarmopt.driver.call import (
    HAS_ALARMS,
    Call,
    CallOutcome,
    Objective,
    can_interrupt,
    checked_outcome,
    lost_call,
)
from pyswarmopt.driver.memory import Memory
from pyswarmopt.driver.workers.pool import MapLike, Workers

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

OnError = Literal["raise", "worst"] | tuple[Literal["retry"], int]


class WrongShapeError(ValueError):
    """The objective returned something other than one number per point."""


class Evaluator:
    """Evaluates batches of points and counts the calls, within their limit.

    Args:
        fun: ``(D,) float64 -> float``, or ``(m, D) -> (m,)``, on NumPy arrays. Results may be
            tensors, too, wherever they live.
        vectorized: True, False, or "auto": the first point is tried alone; if `fun` does not give a
            number for it, the first batch is tried as a whole. A function that takes both is called
            point by point, so that its value at a point never depends on the batch; say True where
            speed matters more.
        workers: who calls `fun` at the same time; see `pyswarmopt.driver.workers.pool.Workers`.
            Results do not depend on it. Ignored for a vectorised `fun`.
        on_error: reaction to an error of `fun`: "raise" it again, count the point as the "worst"
            possible, or ("retry", n): call it up to n times more, also after a NaN, and then raise;
            a failure whose retries are cut off by `max_evals` or the time limit counts as the
            worst, so that the last call does not lose all results.
        max_evals: most calls of `fun`; a call on m points counts m, and failed tries of the first
            call count 0.
        outputs: None, or the number of numbers that `fun` returns for a point: ``(D,) ->
            (outputs,)``.
        returned: whether `fun` returns value and constraints, in the form of `returned_row`.

    Attributes:
        calls: calls so far.
        skipped: points that used up budget without a call, because they break a constraint.
        memory: known points, which are not called again, unless `fun` takes many points at once;
            None for a noisy function.
        afresh: whether known points are called all the same.
        idle: known points in a row, without a new one.
        failures: type of error, or kind of number -> count of points without a finite value, with
            the first message.
        confirms: whether a call is reserved for `confirm`, as always for a vectorised `fun`.
        retries: most repetitions of a failed call.
        vectorized: how `fun` is called; None until the trial.
        tried: whether the first call, which shows what `fun` accepts, was made or is not needed.
        shape: shape of a value: () or (outputs,); with constraints () before the first is known.
        patience: seconds to wait for a call under way.
        workers: the pool; close it in the end.

    Raises:
        ValueError: an unknown option.
    """

    def __init__(
        self,
        fun: Objective,
        vectorized: bool | Literal["auto"] = "auto",
        workers: int | str | MapLike | Executor = 1,
        on_error: OnError = "raise",
        max_evals: float = math.inf,
        outputs: int | None = None,
        returned: bool = False,
    ) -> None:
        require_callable("fun", fun)
        if vectorized not in (True, False, "auto"):
            raise ValueError(f"vectorized={vectorized!r}: use True, False or 'auto'")
        self.calls = 0
        self.skipped = 0
        self.failures: dict[str, int] = {}
        self.confirms = False
        self.vectorized: bool | None = None if vectorized == "auto" else bool(vectorized)
        self.tried = False
        self.max_evals = max_evals
        self.shape: tuple[int, ...] = () if outputs is None else (outputs,)
        self.returned = returned
        self.memory: Memory | None = None
        self.afresh = False
        self.idle = 0
        self._again = -1, math.nan  # calls before the best point was called again, and its value
        self._deadline = self.patience = math.inf
        self._forgive, self.retries = _read_on_error(on_error)
        self._call = Call(fun)
        # otherwise a worker's first error ends the search at once
        lost = lost_call if self._forgive or self.retries else None
        self.workers = Workers(workers, self._call, lost)

    def limit_time(self, deadline: float, seconds: float | None) -> None:
        """Start no call after `deadline`, by `time.monotonic`, and let calls longer than `seconds`
        fail. They are interrupted in main threads; elsewhere they are abandoned.

        Raises:
            ValueError: calls can be neither interrupted nor abandoned.
        """
        self._deadline = deadline
        if seconds is None:
            return
        kind = self.workers.kind
        if kind == "map" or (kind == "serial" and not can_interrupt()):
            raise ValueError(
                "evaluation_timeout= cannot end calls outside of the main thread, nor those of a "
                "map, nor on Windows those of the process itself: use workers=1 in the main "
                "thread, 2 and more, 'processes:N' or an executor"
            )
        self._call.seconds = seconds
        if kind not in ("serial", "processes") or not HAS_ALARMS:
            self.patience = seconds

    @property
    def late(self) -> bool:
        """Whether no more calls may start."""
        return time.monotonic() >= self._deadline

    @property
    def left(self) -> int:
        """Remaining calls, without one reserved for `confirm`."""
        left = self.max_evals - self.calls - self.skipped - self._keeps_one
        return int(min(max(left, 0), sys.maxsize))

    @property
    def over(self) -> bool:
        """Whether calls or time are used up, so that failed calls are not repeated."""
        return not self.left or self.late

    @property
    def _keeps_one(self) -> bool:
        return bool(self.vectorized) or self.confirms

    def __call__(self, points: Floats) -> tuple[Floats, Bools, Exception | None]:
        """Evaluate the points, (N, D), in order, as far as the calls last.

        Returns:
            Values, (N,) or (N, outputs), NaN where a call failed; a mask, (N,), of evaluated
            points; and the error that ends the search, depending on `on_error`: `fun`'s, or a
            ValueError if it did not return a number per point.
        """
        found, new, twins, keys = self._recall(points)
        failure: Exception | None = None
        try:
            outcomes = self._outcomes(points[new])
        except Exception as error:
            outcomes = {}
            failure = error
        for i, outcome in outcomes.items():
            try:
                value = found[new[i]] = self.value(outcome, last=self.over)
                if keys and self.memory is not None and not self.vectorized:
                    self.memory.keep_key(keys[new[i]], value)
            except Exception as error:
                failure = failure or error
        if outcomes:
            self.idle = 0
        found |= {i: found[first] for i, first in twins.items() if first in found}
        if self.returned and not self.shape:  # memory has it, too
            self.shape = next((np.shape(row) for row in found.values() if np.ndim(row)), ())
        values = np.full((len(points), *self.shape), math.nan)
        for i, value in found.items():
            values[i] = value
        evaluated = np.zeros(len(points), bool)
        evaluated[list(found)] = True
        return values, evaluated, failure

    def _recall(
        self, points: Floats
    ) -> tuple[dict[int, Any], list[int], dict[int, int], list[bytes]]:
        """Known values, by row; new rows; repeated rows; and the keys of all rows, empty if not
        looked up.
        """
        found: dict[int, Any] = {}
        first: dict[bytes, int] = {}
        memory = self.memory
        if memory is None or self.afresh or (self.vectorized and not len(memory)):
            return found, list(range(len(points))), {}, []
        keys = memory.keys(points)
        for i, key in enumerate(keys):
            value = memory.recall_key(key)
            if value is None:
                first.setdefault(key, i)
            else:
                found[i] = value
        self.idle += len(found)
        new = list(first.values())
        twins: dict[int, int] = {}
        if len(new) + len(found) < len(keys):
            rest = set(range(len(keys))) - found.keys() - set(new)
            twins = {i: first[keys[i]] for i in rest}
        return found, new, twins, keys

    def recall(self, x: Floats) -> Floats | float | None:
        """The value at x, (D,), if known and not to be called again."""
        value = None if self.memory is None or self.afresh else self.memory.recall(x)
        self.idle += value is not None
        return value

    def learn(self, x: Floats, value: Floats | float) -> None:
        """Store the value at x, (D,)."""
        self.idle = 0
        if self.memory is not None and not self.vectorized:
            self.memory.keep(x, value)

    def _outcomes(self, points: Floats) -> dict[int, CallOutcome]:
        """Evaluate points, with retries; return the outcome of each."""
        outcomes: dict[int, CallOutcome] = {}
        if not self.tried and len(points) and self.left:
            self._trial(points, outcomes)
            if self._ends_at_errors and any(outcome.error for outcome in outcomes.values()):
                return outcomes
        self._evaluate(points, [i for i in range(len(points)) if i not in outcomes], outcomes)
        for _ in range(self.retries):
            again = [i for i, outcome in outcomes.items() if self.failed(outcome)]
            if not again or self.over:
                break
            self._evaluate(points, again, outcomes)
        return outcomes

    def value(self, outcome: CallOutcome, last: bool) -> Floats | float:
        """The value of a call; NaN if it failed and is forgiven, including a `last` call with
        retries left.

        Raises:
            ValueError: `fun` did not return a number.
            Exception: `fun`'s error, depending on `on_error`.
        """
        value = self._read(outcome, last)
        if outcome.error is not None:
            self._count_failure(type(outcome.error).__name__, str(outcome.error))
        else:
            self.count_if_failed(value)
        return value

    def count_if_failed(self, value: Floats | float) -> None:
        """Count a value that is not finite."""
        numbers = _first(value) if self.returned else value
        if not np.isfinite(numbers).all():
            self._count_failure("inf" if np.isinf(numbers).any() else "nan")

    def _read(self, outcome: CallOutcome, last: bool) -> Floats | float:
        """As `value`, without counting failures."""
        if outcome.error is None:
            return self._number(outcome.value)
        if not (self._forgive or (self.retries > 0 and last)):
            raise outcome.error
        return math.nan

    def _count_failure(self, kind: str, text: str = "") -> None:
        """Count another failure of a kind, with the first line of its first text."""
        line = text.partition("\n")[0]
        line = line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]} ..."
        known = (name for name in self.failures if name == kind or name.startswith(f"{kind}: "))
        name = next(known, f"{kind}: {line}" if line else kind)
        self.failures[name] = self.failures.get(name, 0) + 1

    def outcome(self, future: Future[CallOutcome], x: Floats) -> CallOutcome:
        """The outcome of a finished call at x, (D,)."""
        return checked_outcome(self.workers.answer(future, x))

    def confirm(self, x: Floats, value: float, known: bool = True) -> float:
        """``fun(x)`` as the user will get it.

        Args:
            x: (D,), a point.
            value: returned if the call gives no finite value, or no call is left.
            known: whether `value` is `fun`'s at x. It is still called again if a call was reserved:
                this reveals noise, and a value computed in a batch may differ in the last bit.
        """
        if (known and not self._keeps_one) or self.calls >= self.max_evals or self.late:
            return value
        made_at, now = self._again
        if self.vectorized or made_at != self.calls or not math.isfinite(now):
            now = self._at_last(x)
        self.calls += 1
        return now if math.isfinite(now) else value

    def _at_last(self, x: Floats) -> float:
        """The value of one more call at x, NaN if it fails."""
        outcome = self._call(x) if self.vectorized else self._one_by_one(x[None])[0]
        if self.vectorized and (outcome.error is not None or not self._fits(outcome.value)):
            outcome = self._batch(x[None])[0]  # it does not accept a single point
        return math.nan if outcome.error is not None else _first(self._number(outcome.value))

    def again(self, x: Floats) -> Floats | float:
        """``fun(x)`` in the known form, for an evaluated point, (D,); not counted, unless `confirm`
        would make the same call next.

        Returns:
            The value, of `shape`; NaN if the call failed and is forgiven.

        Raises:
            ValueError: `fun` returned another form than before.
            Exception: `fun`'s error, depending on `on_error`.
        """
        for _ in range(self.retries + 1):
            outcome = self._batch(x[None])[0] if self.vectorized else self._call(x)
            if not self.failed(outcome):
                break
        value = self._read(outcome, last=self.over)
        if not self.shape:
            self._again = self.calls, float(value)
        return value

    # ---- which form the objective takes ----

    def _trial(self, points: Floats, outcomes: dict[int, CallOutcome]) -> None:
        """Find out how `fun` wants to be called, keeping the values it returns."""
        asked = self.vectorized
        failure = self._try_forms(points, asked, outcomes)
        self.tried = True
        if failure is None:
            return
        error = failure.error
        wrong_kind = isinstance(error, TypeError | AttributeError) or "dtype" in str(error)
        if error is not None and wrong_kind and "torch" in sys.modules:
            error.add_note(
                "fun gets float64 NumPy arrays; where it takes tensors, call it with "
                "torch.from_numpy(x), and .float() for float32"
            )
        self.vectorized = bool(asked)
        count = min(len(points), self.left) if asked else 1
        if failure.error is None:
            given = points[:count].shape if asked else points[0].shape
            many = "" if self.returned else f", or {self._wanted} for each of many, shape (m, D)"
            raise WrongShapeError(
                f"fun returned {_described(failure.value)} given shape {given}; it must give "
                f"{self._wanted} for a point of shape (D,){many}{self._several(failure.value)}"
            )
        self.calls += count
        outcomes.update(dict.fromkeys(range(count), failure))

    def _try_forms(
        self, points: Floats, asked: bool | None, outcomes: dict[int, CallOutcome]
    ) -> CallOutcome | None:
        """Try one point, then a batch, as far as `asked` leaves both open; None on success, else
        the failure.
        """
        failure = None
        n, d = points.shape
        # With as many points as coordinates, a result of shape (D,) would look like one number per
        # point.
        most = min(n, self.left) if asked else min(n - (n == d), self.left - 1)
        for vectorized in (False, True) if asked is None else (asked,):
            count = most if vectorized else 1
            if not count:
                break
            answer = self._call(points[:count] if vectorized else points[0])
            wanted = (count, *self.shape)
            shape = _shape(answer.value) if vectorized else ()
            if answer.error is None and (
                shape == wanted if vectorized else self._fits(answer.value)
            ):
                values = _as_floats(answer.value) if vectorized else [answer.value]
                self.vectorized = vectorized
                self.calls += count
                outcomes.update((i, CallOutcome(value, None)) for i, value in enumerate(values))
                return None
            if failure is not None and failure.error is not None and answer.error is None:
                failure.error.add_note(
                    f"On points of shape {(count, d)} fun returned shape {shape}; "
                    f"one that takes many points must return shape {wanted}."
                )
            failure = failure or answer
        return failure

    # ---- calls ----

    def _evaluate(self, points: Floats, which: list[int], outcomes: dict[int, CallOutcome]) -> None:
        which = which[: self.left]
        hurried = min(self._deadline, self.patience) < math.inf
        together = self.workers.count if hurried and not self.vectorized else len(which)
        while which and not self.late:
            now = which[:together]
            which = which[together:]
            self.calls += len(now)
            answers = self._batch(points[now]) if self.vectorized else self._one_by_one(points[now])
            outcomes.update(zip(now[: len(answers)], answers, strict=True))
            if len(answers) < len(now):
                self.calls -= len(now) - len(answers)
                break

    @property
    def _ends_at_errors(self) -> bool:
        """Whether the first error ends the search: the calls after it would be in vain. Other
        workers have begun them.
        """
        return self.workers.kind == "serial" and not (self._forgive or self.retries)

    def _one_by_one(self, points: Floats) -> list[CallOutcome]:
        """The outcomes of points, in order, up to an error that ends the search."""
        if self._ends_at_errors:
            return self._until_error(points)
        outcomes = self.workers.map(list(points), self.patience)
        return [checked_outcome(outcome) for outcome in outcomes]

    def _until_error(self, points: Floats) -> list[CallOutcome]:
        outcomes: list[CallOutcome] = []
        for x in points:
            outcome = self._call(x)
            outcomes.append(outcome)
            if outcome.error is not None or outcome.value is None:  # None: a forgotten return
                break
        return outcomes

    def _batch(self, points: Floats) -> list[CallOutcome]:
        value, error = self._call(points)
        if error is not None:
            return [CallOutcome(None, error)] * len(points)
        expected = (len(points), *self.shape)
        if _shape(value) != expected:
            raise WrongShapeError(
                f"fun returned shape {_shape(value)} for points of shape {points.shape}; "
                f"it must return shape {expected}, {self._wanted} for each"
            )
        return [CallOutcome(v, None) for v in _as_floats(value)]

    # ---- what counts as a value ----

    def _several(self, value: Any) -> str:
        """A hint for a function that returns several numbers instead of one, or a coroutine."""
        if hasattr(value, "cr_frame"):
            value.close()
            return "; an async fun is called as lambda x: asyncio.run(fun(x))"
        if isinstance(value, tuple | list) and len(value) > 1 and not self.returned:
            if not self.shape:
                return (
                    "; a function of several objectives is one for pso.minimize_multi, and one that "
                    "returns (value, constraints) needs constraints='returned'"
                )
            return f"; say n_objectives={len(value)}"
        return ""

    @property
    def _wanted(self) -> str:
        if self.returned:
            return f"(value, constraints){self._as_before}"
        return f"{self.shape[0]} numbers" if self.shape else "a number"

    @property
    def _as_before(self) -> str:
        return f" with {self.shape[0] - 1} constraints, as before," if self.shape else ""

    def _fits(self, value: Any) -> bool:
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

    def _number(self, value: Any) -> Floats | float:
        if isinstance(value, float) and not self.shape:
            return value
        if not self._fits(value):
            raise WrongShapeError(
                f"fun must return {self._wanted} for a point, got {_described(value)}"
                f"{self._several(value)}"
            )
        if self.returned:
            self.shape = value.shape
        return np.asarray(value, dtype=np.float64).reshape(self.shape)

    def failed(self, outcome: CallOutcome) -> bool:
        """Whether a call raised an error, or gave NaN."""
        return outcome.error is not None or bool(np.isnan(self._number(outcome.value)).any())

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """State for a resume: the counts and the form of the objective."""
        memory = {} if self.memory is None else self.memory.state_dict()
        return memory | {f"evaluator.{name}": copy.copy(getattr(self, name)) for name in SAVED}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or has another kind.
        """
        check(saved, {f"evaluator.{name}": kind for name, kind in SAVED.items()})
        for name in SAVED:
            setattr(self, name, copy.copy(saved[f"evaluator.{name}"]))
        if self.memory is not None:
            self.memory.load_state_dict(saved)


MAYBE = (bool, type(None))
SAVED: dict[str, Any] = {
    "calls": int, "skipped": int, "idle": int, "failures": dict, "vectorized": MAYBE, "tried": bool,
}  # fmt: skip
LONGEST_TEXT = 100  # most characters of an error's message


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


def _first(value: Floats | float) -> float:
    """The first of some numbers, or the number."""
    return float(np.ravel(value)[0])


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


def _read_on_error(on_error: OnError) -> tuple[bool, int]:
    """Whether a failure is forgiven, and how often a call is repeated before."""
    if on_error in ("raise", "worst"):
        return on_error == "worst", 0
    if isinstance(on_error, tuple) and len(on_error) == 2 and on_error[0] == "retry":
        times = on_error[1]
        if isinstance(times, Integral) and times >= 0:
            return False, int(times)
    raise ValueError(f"on_error={on_error!r}: use 'raise', 'worst' or ('retry', n)")
