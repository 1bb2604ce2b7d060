"""Calls the objective: one or many points at a time, in parallel, with rules for failed calls."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.inputs import require_callable
from pyswarmopt.base.record import check
from pyswarmopt.driver.call import Call, CallOutcome, Objective, can_interrupt
from pyswarmopt.driver.form import Form
from pyswarmopt.driver.memory import Memory, Value
from pyswarmopt.driver.workers import Workers

if TYPE_CHECKING:
    from concurrent.futures import Executor

OnError = Literal["raise", "worst"] | tuple[Literal["retry"], int]


class Evaluator:
    """Evaluates batches of points and counts the calls, within their limit.

    Args:
        fun: ``(D,) float64 -> float``, or ``(m, D) -> (m,)``, on NumPy arrays. Results may be
            tensors, too, wherever they live.
        vectorized: True, False, or "auto": the first point is tried alone; if `fun` does not give a
            number for it, the first batch is tried as a whole. A function that takes both is called
            point by point, so that its value at a point never depends on the batch; say True where
            speed matters more.
        workers: who calls `fun` at the same time; see `pyswarmopt.driver.workers.Workers`.
            Results do not depend on it. Ignored for a vectorised `fun`.
        on_error: reaction to an error of `fun`: "raise" it again, count the point as the "worst"
            possible, or ("retry", n): call it up to n times more, also after a NaN, and then raise;
            a failure whose retries are cut off by `max_evals` or the time limit counts as the
            worst, so that the last call does not lose all results.
        max_evals: most calls of `fun`; a call on m points counts m.
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
        confirms: whether a call is reserved for `confirm`, as always for a vectorised `fun` with one
            output.
        retries: most repetitions of a failed call.
        form: what `fun` takes and returns.
        patience: seconds to wait for a call under way.
        workers: the pool; close it in the end.

    Raises:
        ValueError: an unknown option.
    """

    def __init__(
        self,
        fun: Objective,
        vectorized: bool | Literal["auto"] = "auto",
        workers: int | Executor = 1,
        on_error: OnError = "raise",
        max_evals: float = math.inf,
        outputs: int | None = None,
        returned: bool = False,
    ) -> None:
        require_callable("fun", fun)
        self.calls = 0
        self.skipped = 0
        self.failures: dict[str, int] = {}
        self.confirms = False
        self.form = Form(vectorized, outputs, returned)
        self.max_evals = max_evals
        self.memory: Memory | None = None
        self.afresh = False
        self.idle = 0
        self._returns_one = outputs is None  # best point, which is then called alone
        self._again = -1, math.nan  # calls before the best point was called again, and its value
        self._deadline = self.patience = math.inf
        self._forgive, self.retries = _read_on_error(on_error)
        self._call = Call(fun)
        self.workers = Workers(workers, self._call, self._forgive or self.retries > 0)

    def limit_time(self, deadline: float, seconds: float | None) -> None:
        """Start no call after `deadline`, by `time.monotonic`, and let calls longer than `seconds`
        fail. They are interrupted in main threads; elsewhere they are abandoned.

        Raises:
            ValueError: calls can be neither interrupted nor abandoned.
        """
        self._deadline = deadline
        if seconds is None:
            return
        if self.workers.serial and not can_interrupt():
            raise ValueError(
                "evaluation_timeout= cannot end calls outside of the main thread, nor on Windows: "
                "use workers=2 and more, or an executor"
            )
        self._call.seconds = seconds
        if not self.workers.serial:
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
        return self.confirms or (self._returns_one and bool(self.form.vectorized))

    def __call__(self, points: Floats) -> tuple[Floats, Bools, Exception | None]:
        """Evaluate the points, (N, D), in order, as far as the calls last.

        Returns:
            Values, (N,) or (N, outputs), NaN where a call failed; a mask, (N,), of evaluated
            points; and the error that ends the search, depending on `on_error`: `fun`'s, or a
            ValueError if it did not return a number per point.
        """
        keys, known = self._recall(points)
        self.idle += sum(key in known for key in keys)
        new = _first_rows(keys, known)
        failure: Exception | None = None
        try:
            outcomes = self._outcomes(points[list(new.values())])
        except Exception as error:
            outcomes = {}
            failure = error
        names = list(new)
        for i, outcome in outcomes.items():
            try:
                known[names[i]] = self._value_to_keep(names[i], outcome)
            except Exception as error:
                failure = failure or error
        if outcomes:
            self.idle = 0
        return *self._table(keys, known), failure

    def _recall(self, points: Floats) -> tuple[Sequence[Any], dict[Any, Value]]:
        """A key for each point, equal where one call is enough, and the known values by key."""
        memory = None if self.afresh else self.memory
        if memory is None or (self.form.vectorized and not len(memory)):
            return range(len(points)), {}
        keys = memory.keys(points)
        values = {key: memory.recall_key(key) for key in keys}
        return keys, {key: value for key, value in values.items() if value is not None}

    def _value_to_keep(self, key: Any, outcome: CallOutcome) -> Value:
        """As `value`, stored under the point's key."""
        value = self.value(outcome, last=self.over)
        if self.memory is not None and not self.afresh and not self.form.vectorized:
            self.memory.keep_key(key, value)
        return value

    def _table(self, keys: Sequence[Any], known: Mapping[Any, Value]) -> tuple[Floats, Bools]:
        """The values of N points, (N,) or (N, outputs), NaN where unknown, and a mask of the known
        ones.
        """
        self.form.learn_shape(known.values())  # memory has it, too
        values = np.full((len(keys), *self.form.shape), math.nan)
        evaluated = np.zeros(len(keys), dtype=np.bool_)
        for i, key in enumerate(keys):
            if key in known:
                values[i] = known[key]
                evaluated[i] = True
        return values, evaluated

    def due(self, points: Floats) -> list[int]:
        """Rows of the points, (N, D), that would be called, in order."""
        return list(_first_rows(*self._recall(points)).values())[: self.left]

    def recall(self, x: Floats) -> Value | None:
        """The value at x, (D,), if known and not to be called again."""
        value = None if self.memory is None or self.afresh else self.memory.recall(x)
        self.idle += value is not None
        return value

    def learn(self, x: Floats, value: Value) -> None:
        """Store the value at x, (D,)."""
        self.idle = 0
        if self.memory is not None and not self.form.vectorized:
            self.memory.keep(x, value)

    def _outcomes(self, points: Floats) -> dict[int, CallOutcome]:
        """Evaluate points, with retries; return the outcome of each."""
        outcomes: dict[int, CallOutcome] = {}
        if not self.form.settled and len(points) and self.left:
            first, in_vain = self.form.settle(self._call, points, self.left)
            self.calls += len(first) + in_vain
            outcomes.update(enumerate(first))
            if self._ends_at_errors and any(outcome.error for outcome in outcomes.values()):
                return outcomes
        self._evaluate(points, [i for i in range(len(points)) if i not in outcomes], outcomes)
        for _ in range(self.retries):
            again = [i for i, outcome in outcomes.items() if self.failed(outcome)]
            if not again or self.over:
                break
            self._evaluate(points, again, outcomes)
        return outcomes

    def value(self, outcome: CallOutcome, last: bool) -> Value:
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

    def count_if_failed(self, value: Value) -> None:
        """Count a value that is not finite."""
        numbers = self.form.objectives(value)
        if not np.isfinite(numbers).all():
            self._count_failure("inf" if np.isinf(numbers).any() else "nan")

    def _read(self, outcome: CallOutcome, last: bool) -> Value:
        """As `value`, without counting failures."""
        if outcome.error is None:
            return self.form.read(outcome.value)
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
        if self.form.vectorized or made_at != self.calls or not math.isfinite(now):
            now = self._at_last(x)
        self.calls += 1
        return now if math.isfinite(now) else value

    def _at_last(self, x: Floats) -> float:
        """The value of one more call at x, NaN if it fails."""
        alone = self._answers(x[None])[0]
        if alone.error is not None:
            return math.nan
        return float(self.form.objectives(self.form.read(alone.value)))

    def again(self, x: Floats) -> Value:
        """``fun(x)`` in the known form, for an evaluated point, (D,); not counted, unless `confirm`
        would make the same call next.

        Returns:
            The value, of `form.shape`; NaN if the call failed and is forgiven.

        Raises:
            ValueError: `fun` returned another form than before.
            Exception: `fun`'s error, depending on `on_error`.
        """
        for _ in range(self.retries + 1):
            outcome = self._batch(x[None])[0] if self.form.vectorized else self._call(x)
            if not self.failed(outcome):
                break
        value = self._read(outcome, last=self.over)
        if not self.form.shape:
            self._again = self.calls, float(value)
        return value

    # ---- calls ----

    def _evaluate(self, points: Floats, which: list[int], outcomes: dict[int, CallOutcome]) -> None:
        which = which[: self.left]
        hurried = min(self._deadline, self.patience) < math.inf
        together = self.workers.count if hurried and not self.form.vectorized else len(which)
        while which and not self.late:
            now = which[:together]
            which = which[together:]
            self.calls += len(now)
            answers = self._answers(points[now])
            outcomes.update(zip(now[: len(answers)], answers, strict=True))
            if len(answers) < len(now):
                self.calls -= len(now) - len(answers)
                break

    def _answers(self, points: Floats) -> list[CallOutcome]:
        """The outcomes of points, of the first ones only if one ends the search."""
        if self.form.vectorized:
            return self._batch(points)
        if self._ends_at_errors:
            return self._until_error(points)
        return self.workers.map(list(points), self.patience)

    @property
    def _ends_at_errors(self) -> bool:
        """Whether the first error ends the search: the calls after it would be in vain. Other
        workers have begun them.
        """
        return self.workers.serial and not (self._forgive or self.retries)

    def _until_error(self, points: Floats) -> list[CallOutcome]:
        outcomes: list[CallOutcome] = []
        for x in points:
            outcome = self._call(x)
            outcomes.append(outcome)
            if outcome.error is not None or outcome.value is None:  # None: a forgotten return
                break
        return outcomes

    def _batch(self, points: Floats) -> list[CallOutcome]:
        return self.form.split(self._call(points), points)

    def failed(self, outcome: CallOutcome) -> bool:
        """Whether a call raised an error, or gave NaN."""
        return outcome.error is not None or bool(np.isnan(self.form.read(outcome.value)).any())

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """State for a resume: the counts and the form of the objective."""
        memory = {} if self.memory is None else self.memory.state_dict()
        return memory | {
            "evaluator.calls": self.calls,
            "evaluator.skipped": self.skipped,
            "evaluator.idle": self.idle,
            "evaluator.failures": dict(self.failures),
            "evaluator.vectorized": self.form.vectorized,
            "evaluator.tried": self.form.settled,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or has another kind.
        """
        check(saved, {f"evaluator.{name}": kind for name, kind in SAVED.items()})
        self.calls = saved["evaluator.calls"]
        self.skipped = saved["evaluator.skipped"]
        self.idle = saved["evaluator.idle"]
        self.failures = dict(saved["evaluator.failures"])
        self.form.vectorized = saved["evaluator.vectorized"]
        self.form.settled = saved["evaluator.tried"]
        if self.memory is not None:
            self.memory.load_state_dict(saved)


SAVED: dict[str, Any] = {
    "calls": int, "skipped": int, "idle": int, "failures": dict,
    "vectorized": (bool, type(None)), "tried": bool,
}  # fmt: skip
LONGEST_TEXT = 100  # most characters of an error's message


def _first_rows(keys: Iterable[Any], known: Container[Any]) -> dict[Any, int]:
    """Key -> first row of each point that is not known."""
    rows: dict[Any, int] = {}
    for i, key in enumerate(keys):
        if key not in known:
            rows.setdefault(key, i)
    return rows


def _read_on_error(on_error: OnError) -> tuple[bool, int]:
    """Whether a failure is forgiven, and how often a call is repeated before."""
    if on_error in ("raise", "worst"):
        return on_error == "worst", 0
    if isinstance(on_error, tuple) and len(on_error) == 2 and on_error[0] == "retry":
        times = on_error[1]
        if isinstance(times, Integral) and times >= 0:
            return False, int(times)
    raise ValueError(f"on_error={on_error!r}: use 'raise', 'worst' or ('retry', n)")
