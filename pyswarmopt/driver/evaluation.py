"""Calls the objective: one or many points at a time, in parallel, with rules for failed calls, and
no point twice.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import require_callable
from pyswarmopt.base.record import StateRecord
from pyswarmopt.driver.call import CallOutcome, Form, Value, call
from pyswarmopt.driver.workers import Workers

if TYPE_CHECKING:
    from pyswarmopt.driver.journal import Journal
    from pyswarmopt.driver.options import Options, Problem

# of a point; of one that is not remembered, its place in the round
Key = bytes | int
NUMBERS = 2**16  # most coordinates and values remembered
MOST_HELD_BACK = 0.2  # share of the time limit for calls after the search


class Memory:
    """The latest points with their values.

    Args:
        canonical: maps a point, (D,), to the representative of all points that look alike to the
            objective; None: all look different.
        most: maximum number of coordinates and values kept; 0: nothing is remembered.

    Example:
        >>> memory = Memory(np.asarray, most=100)
        >>> memory.keep(memory.key(np.array([0.0, 1.0])), 3.0)
        >>> memory.known.get(memory.key(np.array([-0.0, 1.0])))
        3.0
    """

    def __init__(self, canonical: Callable[[Floats], Floats] | None, most: int) -> None:
        self._canonical = canonical
        self.most = most
        self.known: dict[bytes, Value] = {}

    def key(self, x: Floats) -> bytes:
        """A key of a point, (D,), equal for points that the objective cannot distinguish."""
        if self._canonical is not None:
            x = self._canonical(x)
        return (x + 0.0).tobytes()  # -0 is 0

    def keep(self, key: bytes, value: Value) -> None:
        """Store the value of the point with this key, NaN if the call failed; the oldest is dropped
        if there are too many.
        """
        known = self.known
        known[key] = value
        if len(known) * (len(key) // 8 + 1) > self.most:
            del known[next(iter(known))]

    def state_dict(self) -> dict[str, Any]:
        """Keys and values for `load_state_dict`."""
        keys = np.empty((0, 0))
        if self.known:
            keys = np.frombuffer(b"".join(self.known)).reshape(len(self.known), -1)
        values = [_numbers(value) for value in self.known.values()]
        return {"memory.keys": keys, "memory.values": values}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing or has the wrong type.
        """
        keys = [x.tobytes() for x in saved["memory.keys"]]
        values = [row[0] if len(row) == 1 else np.array(row) for row in saved["memory.values"]]
        self.known = dict(zip(keys, values, strict=True))


def _numbers(value: Value) -> list[float]:
    """A value's numbers."""
    if isinstance(value, float):
        return [float(value)]
    numbers: list[float] = np.ravel(value).tolist()
    return numbers


class Evaluator(StateRecord):
    """Evaluates points and counts the calls, within their limit; known points are not called again.

    Results do not depend on the workers. Values may be tensors on any device.

    Args:
        options: of the search.
        problem: says which points are alike, and which are known.
        outputs: number of numbers that `fun` returns for a point; 0: a single number.
        confirms: whether a call is reserved for `confirm`.
        deadline: no call begins after it, by `time.monotonic`.

    Attributes:
        max_evals: maximum number of calls of `fun`; a call on m points counts m.
        calls: calls so far.
        skipped: points that used up budget without a call, because they break a constraint.
        held_back: calls after the search, for which time is left before the deadline.
        idle: known points in a row, without a new one.
        failures: type of error, "nan" or "inf" -> number of failed calls.
        journal: keeps and replays the answers, if the search is saved.

    Raises:
        ValueError: an option is unknown.
    """

    failures: dict[str, int]
    calls: int = 0
    skipped: int = 0
    idle: int = 0

    def __init__(
        self,
        options: Options,
        problem: Problem,
        outputs: int,
        confirms: bool,
        deadline: float,
    ) -> None:
        require_callable("fun", options.fun)
        if options.vectorized not in (True, False):
            raise ValueError(
                f"vectorized={options.vectorized!r}: use True or False (True if fun takes points of shape (m, D))"
            )
        if options.on_error not in ("raise", "worst"):
            raise ValueError(f"on_error={options.on_error!r}: use 'raise' or 'worst'")
        self._forgives = options.on_error == "worst"
        self.journal: Journal | None = None
        self._call = functools.partial(call, options.fun)
        self.workers = Workers(options.workers, self._call)
        # the most calls under way: a whole round may wait in the workers' queue, unless each call
        # has to be worth starting when it is sent
        self._at_once = sys.maxsize
        if deadline < math.inf or options.asynchronous or self.workers.serial:
            self._at_once = self.workers.count
        self.held_back = 0
        self._began = time.monotonic()
        self._deadline = deadline
        self.vectorized = options.vectorized
        self.form = Form(outputs, problem.constraints.returned)
        self.max_evals = options.max_evals or math.inf
        canonical = None
        if problem.space is not None:
            canonical = problem.space.canonical
        self.memory = Memory(canonical, 0 if options.noisy else NUMBERS)
        for x, value in zip(problem.known.points, problem.known.values, strict=True):
            self.memory.keep(self.memory.key(x), value)
        # the best point is called alone at the end
        self._reserved = int(confirms or (self.vectorized and not outputs))
        self.failures = {}

    @property
    def late(self) -> bool:
        """Whether no more calls may start."""
        now = time.monotonic()
        return now >= self._deadline - self._time_held_back(now)

    def _time_held_back(self, now: float) -> float:
        """Seconds for the calls that are held back, at the speed so far."""
        if not self.held_back or self._deadline == math.inf:
            return 0.0
        needed = self.held_back * (now - self._began) / max(self.calls, 1)
        return min(needed, MOST_HELD_BACK * (self._deadline - self._began))

    @property
    def left(self) -> int:
        """Remaining calls, without one reserved for `confirm`."""
        left = self.max_evals - self.calls - self.skipped - self._reserved
        return int(min(max(left, 0), sys.maxsize))

    @property
    def busy(self) -> int:
        """Number of calls under way."""
        return self.workers.busy

    @property
    def free(self) -> int:
        """1 if a call may start now, else 0."""
        busy = self.workers.busy
        return int(busy < self._at_once and busy < self.left and not self.late)

    # ---- a round of points ----

    def __call__(self, points: Floats) -> tuple[list[Value | None], list[bool], Exception | None]:
        """Evaluate the points, (N, D), in order, as far as the calls last; equal ones once.

        Returns:
            A value for each, NaN where a call failed, None where it was not made; whether it was
            known already; and the error that ends the search, depending on `on_error`: `fun`'s, or
            a ValueError if it did not return a number per point.
        """
        known = self.memory.known
        keys: list[Key]
        if not self.memory.most or (self.vectorized and not known):
            keys = list(range(len(points)))  # none is known, and equal ones are called again
        else:
            keys = [self.memory.key(x) for x in points]
        values: dict[Key, Value] = {key: known[key] for key in keys if key in known}
        new: dict[Key, Floats] = {}
        again = []
        for key, x in zip(keys, points, strict=True):
            again.append(key in values or key in new)
            if key not in values:
                new.setdefault(key, x)
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

    def _call_each(self, points: dict[Key, Floats]) -> tuple[dict[Key, Value], Exception | None]:
        """Values by key, of calls by workers, and the error that ends the search."""
        values: dict[Key, Value] = {}
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

    def _call_many(self, points: dict[Key, Floats]) -> tuple[dict[Key, Value], Exception | None]:
        """Like `_call_each`, but in one call."""
        keys = list(points)[: self.left]
        if not keys or self.late:
            return {}, None
        rows = np.array([points[key] for key in keys])
        values = self._replay_many(rows)
        self.calls += len(keys)
        if values is None:
            try:
                values = self._read_many(self._call(rows), rows)
            except Exception as error:
                return {}, error
        if self.journal is not None:
            numbers = range(self.calls - len(keys) + 1, self.calls + 1)
            for number, x, value in zip(numbers, rows, values, strict=True):
                self.journal.keep(number, x, value)
        return dict(zip(keys, values, strict=True)), None

    def _replay_many(self, rows: Floats) -> list[Value] | None:
        """The replayed values of points, (m, D); None unless there is one for each."""
        heard = [self._replay(x) for x in rows]
        outcomes = [each for each in heard if each is not None]
        if len(outcomes) < len(rows):
            return None
        return [self.value(each, forgives=True) for each in outcomes]

    def _read_many(self, outcome: CallOutcome, rows: Floats, forgives: bool = False) -> list[Value]:
        if outcome.error is not None:
            return [self.value(outcome, forgives)] * len(rows)
        values = self.form.read_many(outcome.value, rows)
        for value in values:
            self.count_if_failed(value)
        return values

    # ---- one point at a time ----

    def key(self, x: Floats) -> bytes:
        """A key of a point, (D,), equal for points that the objective cannot distinguish."""
        return self.memory.key(x)

    def recall(self, x: Floats) -> Value | None:
        """The value of a known point, (D,), which counts as idle; None if it is new."""
        value = self.memory.known.get(self.memory.key(x))
        if value is not None:
            self.idle += 1
        return value

    def send(self, x: Floats) -> None:
        """Start a call for a point, (D,)."""
        self.workers.send(self.memory.key(x), x)

    def learn(self, key: Key, value: Value) -> None:
        """Note that a point was new, and store its value if values are remembered."""
        self.idle = 0
        if isinstance(key, bytes) and not self.vectorized:
            self.memory.keep(key, value)

    def hear(self) -> tuple[Key, Floats, Value]:
        """Key, point and value of the next call that ends.

        Raises:
            ValueError: `fun` did not return a number.
            Exception: `fun`'s error, depending on `on_error`.
        """
        key, x, outcome = self.workers.hear()
        self.calls += 1
        if self.calls == 1 and isinstance(outcome.error, IndexError):
            outcome.error.add_note(
                f"fun receives one point of shape {x.shape}; if it accepts many points of shape "
                "(m, D), pass vectorized=True"
            )
        value = self.value(outcome)
        if self.journal is not None:
            self.journal.keep(self.calls, x, value, outcome.error)
        return key, x, value

    def value(self, outcome: CallOutcome, forgives: bool = False) -> Value:
        """The value of a call; NaN if it failed and `forgives` or `on_error` allows that.

        Raises:
            ValueError: `fun` did not return a number.
            Exception: `fun`'s error, depending on `on_error`.
        """
        if outcome.error is not None:
            if not (forgives or self._forgives):
                raise outcome.error
            self._count_failure(type(outcome.error).__name__)
            return math.nan
        value = self.form.read(outcome.value)
        self.count_if_failed(value)
        return value

    def count_if_failed(self, value: Value) -> None:
        """Count a value that is not finite."""
        if isinstance(value, float) and math.isfinite(value):
            return
        numbers = np.ravel(value)
        if self.form.returned:  # without the constraints
            numbers = numbers[: self.form.values]
        if not np.isfinite(numbers).all():
            kind = "nan"
            if np.isinf(numbers).any():
                kind = "inf"
            self._count_failure(kind)

    def _count_failure(self, kind: str) -> None:
        self.failures[kind] = self.failures.get(kind, 0) + 1

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
        heard = self._replay(x)
        if heard is None:
            now = self.recheck(x)
        else:
            now = self.value(heard, forgives=True)
        self.calls += 1
        if self.journal is not None:
            self.journal.keep(self.calls, x, now)
        first = float(np.ravel(now)[0])
        if math.isfinite(first):
            return first
        return value

    def recheck(self, x: Floats) -> Value:
        """``fun(x)`` at an evaluated point, (D,), without counting the call; NaN if it failed.

        Raises:
            ValueError: `fun` returned a different form than before.
        """
        if self.vectorized:
            return self._read_many(self._call(x[None]), x[None], forgives=True)[0]
        return self.value(self._call(x), forgives=True)

    # ---- answers of an interrupted search ----

    def replay_from(self, journal: Journal) -> None:
        """Keep the answers in this journal, and hear those that it replays."""
        self.journal = self.workers.journal = journal

    def _replay(self, x: Floats) -> CallOutcome | None:
        """The replayed answer at x, (D,), if it is the next."""
        if self.journal is None:
            return None
        heard = self.journal.hear([x])
        if heard is None:
            return None
        return heard[1]
