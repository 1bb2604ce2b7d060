"""Calls the objective: one or many points at a time, in parallel, with rules for failed calls; and
remembers its values.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import require_callable
from pyswarmopt.base.record import check
from pyswarmopt.driver.call import Call, CallOutcome, Value, as_numbers
from pyswarmopt.driver.workers import Workers

if TYPE_CHECKING:
    from pyswarmopt.driver.options import Options, Problem

LONGEST_TEXT = 100  # most characters of an error's message
REMEMBERED = 2**16  # most coordinates and values of known points
SAVED = {"calls": int, "skipped": int, "idle": int, "failures": dict}


class Evaluator:
    """Evaluates points and counts the calls, within their limit.

    Args:
        options: say what is called, by whom, and what a failure is.
        problem: has the known points, and says which points are alike.
        max_evals: most calls of `fun`; a call on m points counts m.
        deadline: no call begins after it, by `time.monotonic`.
        outputs: None, or the number of numbers that `fun` returns for a point.
        confirms: whether a call is reserved for `confirm`.

    Attributes:
        calls: calls so far.
        skipped: points that used up budget without a call, because they break a constraint.
        afresh: whether known points are called all the same.
        idle: known points in a row, without a new one.
        failures: type of error, or kind of number -> count of points without a finite value, with
            the first message.
        memory: key -> value of known points, which are not called again; None under noise.

    Raises:
        ValueError: an unknown option.
    """

    def __init__(
        self,
        options: Options,
        problem: Problem,
        max_evals: float,
        deadline: float = math.inf,
        outputs: int | None = None,
        confirms: bool = False,
    ) -> None:
        require_callable("fun", options.fun)
        if options.on_error not in ("raise", "worst"):
            raise ValueError(f"on_error={options.on_error!r}: use 'raise' or 'worst'")
        self._forgives = options.on_error == "worst"
        self._call = Call(options.fun)
        self.workers = Workers(options.workers, self._call)
        queues = not (options.asynchronous or self.workers.serial or deadline < math.inf)
        self._at_once = sys.maxsize if queues else self.workers.count
        self._deadline = deadline
        self.vectorized = options.vectorized
        self._returned = problem.constraints.returned
        self._shape = () if outputs is None else (outputs,)  # of a value
        self.max_evals = max_evals
        # the best point is called alone at the end
        self._reserved = int(confirms or (self.vectorized and outputs is None))
        self._canonical = problem.canonical
        self._dim = problem.dim
        points, values = problem.known
        self.memory: dict[bytes, Value] | None = None
        if len(points) or not (options.noisy or self.vectorized):
            self.memory = dict(zip(map(self.key, points), values, strict=True))
        self.calls = 0
        self.skipped = 0
        self.idle = 0
        self.afresh = False
        self.failures: dict[str, int] = {}

    @property
    def late(self) -> bool:
        """Whether no more calls may start."""
        return time.monotonic() >= self._deadline

    @property
    def left(self) -> int:
        """Remaining calls, without one reserved for `confirm`."""
        left = self.max_evals - self.calls - self.skipped - self._reserved
        return int(min(max(left, 0), sys.maxsize))

    @property
    def free(self) -> bool:
        """Whether a call may start now."""
        busy = self.workers.busy
        return busy < self._at_once and busy < self.left and not self.late

    # ---- a round of points ----

    def __call__(self, points: Floats) -> tuple[list[Value | None], Exception | None]:
        """Evaluate the points, (N, D), in order, as far as the calls last; equal ones once.

        Returns:
            A value for each, NaN where a call failed, None where it was not made; and the error
            that ends the search, depending on `on_error`: `fun`'s, or a ValueError if it did not
            return a number per point.
        """
        keys: list[Any] = [self.key(x) for x in points]
        if self.memory is None or self.afresh:
            keys = list(range(len(points)))
        known = {key: self._known(key) for key in keys}
        new: dict[Any, Floats] = {}
        for key, x in zip(keys, points, strict=True):
            if known[key] is None:
                new.setdefault(key, x)
        self.idle += len(points) - len(new)
        called, error = self._call_many(new) if self.vectorized else self._call_each(new)
        for key in new:
            if key in called:
                self.learn(key, called[key])
        return [called.get(key, known[key]) for key in keys], error

    def _call_each(self, points: dict[Any, Floats]) -> tuple[dict[Any, Value], Exception | None]:
        """Values by key, of calls by workers, and the error that ends the search."""
        values: dict[Any, Value] = {}
        failure: Exception | None = None
        waiting = deque(points.items())
        while self.workers.busy or (waiting and self.free):
            try:
                while waiting and self.free:
                    self.workers.send(*waiting.popleft())
                key, _, value = self.hear()
                values[key] = value
            except Exception as error:  # the user's objective may raise anything
                failure = failure or error
                self.workers.take_back()
                waiting.clear()
        return values, failure

    def _call_many(self, points: dict[Any, Floats]) -> tuple[dict[Any, Value], Exception | None]:
        """As `_call_each`, all at once."""
        keys = list(points)[: self.left]
        if not keys or self.late:
            return {}, None
        self.calls += len(keys)
        try:
            values = self._call_rows(np.array([points[key] for key in keys]))
        except Exception as error:
            return {}, error
        return dict(zip(keys, values, strict=True)), None

    def _call_rows(self, rows: Floats) -> list[Value]:
        """Values of points, (m, D), of a vectorised objective."""
        value, error = self._call(rows)
        if error is not None:
            return [self._failed(error)] * len(rows)
        values = as_numbers(value)
        wanted = len(rows), *self._shape
        if values.shape != wanted:
            raise ValueError(
                f"fun returned shape {values.shape} for points of shape {rows.shape}; with "
                f"vectorized=True it must return shape {wanted}"
            )
        for each in values:
            self.count_if_failed(each)
        return list(values)

    # ---- one point at a time ----

    def key(self, x: Floats) -> bytes:
        """A key of a point, (D,), equal for points that the objective cannot distinguish."""
        same = x if self._canonical is None else self._canonical(x)
        return (same + 0.0).tobytes()  # -0 is 0

    def _known(self, key: Any) -> Value | None:
        return None if self.memory is None or self.afresh else self.memory.get(key)

    def recall(self, key: bytes) -> Value | None:
        """The value of the point with this key, if known and not to be called again."""
        value = self._known(key)
        self.idle += value is not None
        return value

    def learn(self, key: Any, value: Value) -> None:
        """Store the value of the point with this key; the oldest goes if there are too many."""
        self.idle = 0
        if self.memory is not None and isinstance(key, bytes):
            self.memory[key] = value
            if len(self.memory) * (self._dim + 1) > REMEMBERED:
                del self.memory[next(iter(self.memory))]

    def hear(self) -> tuple[Any, Floats, Value]:
        """Key, point and value of the next call that ends.

        Raises:
            ValueError: `fun` did not return a number.
            Exception: `fun`'s error, depending on `on_error`.
        """
        key, x, outcome = self.workers.hear()
        self.calls += 1
        return key, x, self.value(outcome)

    def value(self, outcome: CallOutcome) -> Value:
        """The value of a call; NaN if it failed and is forgiven.

        Raises:
            ValueError: `fun` did not return a number.
            Exception: `fun`'s error, depending on `on_error`.
        """
        if outcome.error is not None:
            return self._failed(outcome.error)
        value = self._read(outcome.value)
        self.count_if_failed(value)
        return value

    def _read(self, returned: Any) -> Value:
        """What `fun` returned for a point."""
        if isinstance(returned, float) and not (self._shape or self._returned):
            return returned
        row = as_numbers(returned)
        if self._returned and not self._shape and row.ndim == 1 and row.size > 1:
            self._shape = row.shape  # value and constraints: known from the first point on
        wanted = math.prod(self._shape)
        if row.size != wanted or (self._returned and not self._shape):
            raise ValueError(
                f"fun must return {wanted or 1} numbers for a point, got shape {row.shape}; of "
                "several objectives use pso.minimize_multi, of constraints "
                "constraints='returned', of many points vectorized=True"
            )
        return row.reshape(self._shape) if self._shape else float(row.item())

    def _failed(self, error: Exception) -> float:
        """NaN, the value of a forgiven error."""
        if not self._forgives:
            raise error
        self._count_failure(type(error).__name__, str(error))
        return math.nan

    def count_if_failed(self, value: Value) -> None:
        """Count a value that is not finite."""
        if isinstance(value, float) and math.isfinite(value):
            return
        numbers = np.ravel(value)[:1] if self._returned else np.ravel(value)
        if not np.isfinite(numbers).all():
            self._count_failure("inf" if np.isinf(numbers).any() else "nan")

    def _count_failure(self, kind: str, text: str = "") -> None:
        """Count another failure of a kind, with the first line of its first text."""
        line = text.partition("\n")[0][:LONGEST_TEXT]
        first = f"{kind}: {line}" if line else kind
        name = next((name for name in self.failures if name.split(":")[0] == kind), first)
        self.failures[name] = self.failures.get(name, 0) + 1

    # ---- the best point once more ----

    def confirm(self, x: Floats, value: float, known: bool = True) -> float:
        """``fun(x)`` as the user will get it.

        Args:
            x: (D,), a point.
            value: returned if the call gives no finite value, or no call is left.
            known: whether `value` is `fun`'s at x. It is still called again if a call was reserved:
                this reveals noise, and a value computed in a batch may differ in the last bit.
        """
        if (known and not self._reserved) or self.calls >= self.max_evals or self.late:
            return value
        now = float(np.ravel(self.recheck(x))[0])
        self.calls += 1
        return now if math.isfinite(now) else value

    def recheck(self, x: Floats) -> Value:
        """``fun(x)``, for an evaluated point, (D,), without counting; NaN if the call fails."""
        if self.vectorized:
            value, error = self._call(x[None])
            return math.nan if error is not None else as_numbers(value)[0]
        value, error = self._call(x)
        return math.nan if error is not None else self._read(value)

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """State for a resume."""
        known = self.memory or {}
        width = max(map(np.size, known.values()), default=1)  # a failed call has one NaN
        values = [np.broadcast_to(value, width) for value in known.values()]
        return {
            **{f"evaluator.{name}": getattr(self, name) for name in SAVED},
            "memory.points": np.frombuffer(b"".join(known)).reshape(len(known), self._dim),
            "memory.values": np.array(values).reshape(len(known), width),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or has another kind.
        """
        arrays = {"memory.points": ("float64", "nD"), "memory.values": ("float64", "nv")}
        check(saved, {f"evaluator.{name}": kind for name, kind in SAVED.items()})
        check(saved, arrays, {"D": self._dim})
        for name in SAVED:
            setattr(self, name, saved[f"evaluator.{name}"])
        if self.memory is not None:
            values = saved["memory.values"]
            plain = values[:, 0].tolist() if values.shape[1] == 1 else list(values.copy())
            points = saved["memory.points"]
            self.memory = dict(zip((x.tobytes() for x in points), plain, strict=True))
