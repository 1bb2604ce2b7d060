"""Calls the objective: one or many points at a time, in parallel, with rules for failed calls, and
no point twice.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import field
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import require_callable
from pyswarmopt.base.record import StateRecord
from pyswarmopt.base.words import cut
from pyswarmopt.driver.call import Call, CallOutcome, Form, OnError, Value, add_hint, can_interrupt
from pyswarmopt.driver.workers import Workers

if TYPE_CHECKING:
    from pyswarmopt.driver.options import Options, Problem

LONGEST_TEXT = 100  # most characters of an error's message
NUMBERS = 2**16  # most coordinates and values remembered


class Memory:
    """The latest points with their values.

    Args:
        canonical: maps a point, (D,), to the representative of all points that look alike to the
            objective.
        most: maximum number of coordinates and values kept; 0: nothing is remembered.

    Example:
        >>> memory = Memory(np.asarray, most=100)
        >>> memory.keep(memory.key(np.array([0.0, 1.0])), 3.0)
        >>> memory.known.get(memory.key(np.array([-0.0, 1.0])))
        3.0
    """

    def __init__(self, canonical: Callable[[Floats], Floats], most: int) -> None:
        self._canonical = canonical
        self.most = most
        self.known: dict[bytes, Value] = {}

    def key(self, x: Floats) -> bytes:
        """A key of a point, (D,), equal for points that the objective cannot distinguish."""
        return (self._canonical(x) + 0.0).tobytes()  # -0 is 0

    def keep(self, key: bytes, value: Value) -> None:
        """Store the value of the point with this key, NaN if the call failed; the oldest is dropped
        if there are too many.
        """
        known = self.known
        known[key] = value
        if len(known) * (len(key) // 8 + 1) > self.most:
            del known[next(iter(known))]

    def state_dict(self) -> dict[str, Any]:
        """Arrays for `load_state_dict`; values are padded with NaN where one has fewer numbers, as
        after a failed call.
        """
        values = list(self.known.values())
        dim = len(next(iter(self.known), b"")) // 8
        points = np.frombuffer(b"".join(self.known)).reshape(len(values), dim)
        rows = np.full((len(values), max(map(np.size, values), default=1)), math.nan)
        for row, value in zip(rows, values, strict=True):
            row[: np.size(value)] = value
        return {"memory.points": points, "memory.values": rows}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing or has the wrong type.
        """
        values = saved["memory.values"]
        if values.shape[1] == 1:
            rows = values[:, 0].tolist()
        else:
            rows = list(values)
        keys = [x.tobytes() for x in saved["memory.points"]]
        self.known = dict(zip(keys, rows, strict=True))


class Evaluator(StateRecord):
    """Evaluates points and counts the calls, within their limit; known points are not called again.

    Results do not depend on the workers. Values may be tensors on any device. A failure whose
    retries are cut off by `max_evals` or the time limit counts as the worst, so that the last call
    does not lose all results.

    Args:
        options: of the search.
        problem: says which points are alike, and which are known.
        max_evals: maximum number of calls of `fun`; a call on m points counts m.
        outputs: None, or the number of numbers that `fun` returns for a point.
        confirms: whether a call is reserved for `confirm`.
        deadline: no call begins after it, by `time.monotonic`.

    Attributes:
        calls: calls so far.
        skipped: points that used up budget without a call, because they break a constraint.
        afresh: whether known points are called anyway.
        idle: known points in a row, without a new one.
        failures: type of error, or kind of number -> count of points without a finite value, with
            the first message.

    Raises:
        ValueError: an option is unknown, or calls can be neither interrupted nor abandoned.
    """

    calls: int = 0
    skipped: int = 0
    idle: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def __init__(
        self,
        options: Options,
        problem: Problem,
        max_evals: float,
        outputs: int | None,
        confirms: bool,
        deadline: float,
    ) -> None:
        require_callable("fun", options.fun)
        if options.vectorized not in (True, False):
            raise ValueError(
                f"vectorized={options.vectorized!r}: use True or False (True if fun takes points of shape (m, D))"
            )
        seconds = options.evaluation_timeout
        self._forgive, self._retries = _read_on_error(options.on_error)
        self._call = Call(options.fun, seconds)
        self.workers = Workers(options.workers, self._call, self._forgive or self._retries > 0)
        if seconds is not None and self.workers.serial and not can_interrupt():
            raise ValueError(
                "evaluation_timeout= cannot interrupt calls on Windows or outside the main thread; "
                "use workers=2 or more, or an executor"
            )
        limited = seconds is not None or deadline < math.inf or options.asynchronous
        # workers may be handed more points than they are
        self._at_once = sys.maxsize
        if limited or self.workers.serial:
            self._at_once = self.workers.count
        self._patience = seconds or math.inf
        self._deadline = deadline
        self.vectorized = bool(options.vectorized)
        self.form = Form(outputs, problem.constraints.returned)
        self.max_evals = max_evals
        self.memory = Memory(problem.canonical, 0 if options.noisy else NUMBERS)
        for x, value in zip(*problem.known, strict=True):
            self.memory.keep(self.memory.key(x), value)
        # the best point is called alone at the end
        self._reserved = int(confirms or (self.vectorized and outputs is None))
        self.afresh = False
        self.failures = {}

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

    def __call__(self, points: Floats) -> tuple[list[Value | None], list[bool], Exception | None]:
        """Evaluate the points, (N, D), in order, as far as the calls last; equal ones once.

        Returns:
            A value for each, NaN where a call failed, None where it was not made; whether it was
            known already; and the error that ends the search, depending on `on_error`: `fun`'s, or
            a ValueError if it did not return a number per point.
        """
        memory = self.memory
        keys: list[Any] = [memory.key(x) for x in points]
        if not memory.most or self.afresh or (self.vectorized and not memory.known):
            keys = list(range(len(points)))
        values: dict[Any, Value] = {}
        new: dict[Any, Floats] = {}
        again = []
        for key, x in zip(keys, points, strict=True):
            value = memory.known.get(key)
            again.append(value is not None or key in new)
            if value is None:
                new.setdefault(key, x)
            else:
                values[key] = value
        self.idle += sum(again)
        if self.vectorized:
            called, error = self._call_many(new)
        else:
            called, error = self._call_each(new)
        for key in new:
            if key in called:
                self.learn(key, called[key])
        values |= called
        return [values.get(key) for key in keys], again, error

    def _call_each(self, points: dict[Any, Floats]) -> tuple[dict[Any, Value], Exception | None]:
        """Values by key, of calls by workers, and the error that ends the search."""
        values: dict[Any, Value] = {}
        failure: Exception | None = None
        waiting = deque(points.items())
        while waiting or self.workers.busy:
            try:
                while waiting and self.free:
                    self.workers.send(*waiting.popleft())
                if not self.workers.busy:
                    break
                key, _, value = self.hear()
                values[key] = value
            except Exception as error:  # the user's objective may raise anything
                failure = failure or error
                self.workers.take_back()
                waiting.clear()
        return values, failure

    def _call_many(self, points: dict[Any, Floats]) -> tuple[dict[Any, Value], Exception | None]:
        """Like `_call_each`, but in one call."""
        values: dict[Any, Value] = {}
        keys = list(points)
        try:
            for tries in range(self._retries + 1):
                keys = keys[: self.left]
                if not keys or self.late:
                    break
                rows = np.array([points[key] for key in keys])
                self.calls += len(keys)
                values |= zip(keys, self._read_many(self._call(rows), rows, tries), strict=True)
                keys = [key for key in keys if np.isnan(values[key]).any()]
        except Exception as error:
            return values, error
        for value in values.values():
            self.count_if_failed(value)
        return values, None

    def _read_many(self, outcome: CallOutcome, rows: Floats, tries: int) -> list[Value]:
        if outcome.error is None:
            return self.form.read_many(outcome.value, rows)
        if self.calls == len(rows):
            add_hint(outcome.error, rows)
        self._forgiven(outcome.error, tries + 1)
        return [math.nan] * len(rows)

    # ---- one point at a time ----

    def recall(self, key: bytes) -> Value | None:
        """The value of the point with this key, if known and not to be called again."""
        if self.afresh:
            return None
        value = self.memory.known.get(key)
        self.idle += value is not None
        return value

    def learn(self, key: Any, value: Value) -> None:
        """Store the value of the point with this key."""
        self.idle = 0
        if isinstance(key, bytes) and not self.vectorized:
            self.memory.keep(key, value)

    def hear(self) -> tuple[Any, Floats, Value]:
        """Key, point and value of the next call that ends; failed ones are repeated first.

        Raises:
            ValueError: `fun` did not return a number.
            Exception: `fun`'s error, depending on `on_error`.
        """
        while True:
            sent, outcome = self.workers.hear(self._patience)
            self.calls += 1
            again = sent.tries <= self._retries and self._failed(outcome)
            if not again or self.workers.busy >= self.left or self.late:
                if self.calls == 1 and outcome.error is not None:
                    add_hint(outcome.error, sent.x)
                return sent.key, sent.x, self.value(outcome, sent.tries)
            self.workers.send(sent.key, sent.x, sent.tries + 1)

    def _failed(self, outcome: CallOutcome) -> bool:
        """Whether a call raised an error, or gave NaN."""
        return outcome.error is not None or bool(np.isnan(self.form.read(outcome.value)).any())

    def value(self, outcome: CallOutcome, tries: int = 1) -> Value:
        """The value of the last of some calls; NaN if it failed and is forgiven.

        Raises:
            ValueError: `fun` did not return a number.
            Exception: `fun`'s error, depending on `on_error`.
        """
        if outcome.error is not None:
            self._forgiven(outcome.error, tries)
            return math.nan
        value = self.form.read(outcome.value)
        self.count_if_failed(value)
        return value

    def _forgiven(self, error: Exception, tries: int) -> None:
        """Count an error, unless it ends the search: a failure whose retries are cut off does not."""
        if not self._forgive and tries > self._retries:
            raise error
        self._count_failure(type(error).__name__, str(error))

    def count_if_failed(self, value: Value) -> None:
        """Count a value that is not finite."""
        if isinstance(value, float) and math.isfinite(value):
            return
        numbers = np.ravel(value)
        if self.form.returned:  # without the constraints
            numbers = numbers[:1]
        if not np.isfinite(numbers).all():
            kind = "nan"
            if np.isinf(numbers).any():
                kind = "inf"
            self._count_failure(kind)

    def _count_failure(self, kind: str, text: str = "") -> None:
        """Count another failure of a kind, with the first line of its first text."""
        line = cut(text.partition("\n")[0], LONGEST_TEXT)
        known = (name for name in self.failures if name.partition(":")[0] == kind)
        name = next(known, f"{kind}: {line}" if line else kind)
        self.failures[name] = self.failures.get(name, 0) + 1

    # ---- the best point once more ----

    def confirm(self, x: Floats, value: float, known: bool) -> float:
        """``fun(x)`` as the user will get it.

        Args:
            x: (D,), a point.
            value: returned if the call gives no finite value, or no call is left.
            known: whether `value` is `fun`'s at x. It is still called again if a call was reserved:
                this reveals noise, and a value computed in a batch may differ in the last bit.
        """
        if (known and not self._reserved) or self.calls >= self.max_evals or self.late:
            return value
        now = self.recheck(x, forgives=True)
        self.calls += 1
        first = float(np.ravel(now)[0])
        if math.isfinite(first):
            return first
        return value

    def recheck(self, x: Floats, forgives: bool = False) -> Value:
        """``fun(x)``, for an evaluated point, (D,), without counting the call; NaN if it failed and
        is forgiven.

        Args:
            x: (D,), the point.
            forgives: whether every failure is forgiven, and counted.

        Raises:
            ValueError: `fun` returned a different form than before.
            Exception: `fun`'s error, depending on `on_error`.
        """
        if self.vectorized:
            x = x[None]
        for _ in range(self._retries + 1):
            outcome = self._call(x)
            if outcome.error is None:
                break
        if outcome.error is not None:
            if forgives:
                self._forgiven(outcome.error, 0)
            elif not self._forgive:
                raise outcome.error
            return math.nan
        if self.vectorized:
            value = self.form.read_many(outcome.value, x)[0]
        else:
            value = self.form.read(outcome.value)
        if forgives:
            self.count_if_failed(value)
        return value


def _read_on_error(on_error: OnError) -> tuple[bool, int]:
    """Whether a failure is forgiven, and how often a call is repeated before."""
    if on_error in ("raise", "worst"):
        return on_error == "worst", 0
    if isinstance(on_error, tuple) and len(on_error) == 2 and on_error[0] == "retry":
        times = on_error[1]
        if isinstance(times, Integral) and times >= 0:
            return False, int(times)
    raise ValueError(f"on_error={on_error!r}: use 'raise', 'worst' or ('retry', n)")
