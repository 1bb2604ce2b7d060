"""One call of the objective: on a copy, with errors caught, interrupted if too long."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyswarmopt.base.arrays import Floats, as_array, is_tensor

Objective = Callable[[Any], Any]


class CallOutcome(NamedTuple):
    """Outcome of one call: a value, or an error."""

    value: Any
    error: Exception | None


@dataclass(repr=False, eq=False)
class Call:
    """Calls the objective on a copy and catches what it raises; picklable if the objective is."""

    fun: Objective
    seconds: float | None = None

    def __call__(self, x: Floats) -> CallOutcome:
        try:
            with _at_most(self.seconds):
                value = self.fun(x.copy())
        except Exception as error:  # on_error decides about any error of the user's objective
            return CallOutcome(None, error)
        return CallOutcome(as_array(value) if is_tensor(value) else value, None)


HAS_ALARMS = hasattr(signal, "setitimer")  # missing on Windows


def can_interrupt() -> bool:
    """Whether a call can be interrupted here: only in a process's main thread, where signals
    arrive.
    """
    import threading  # imported on use, for a faster start of searches

    return HAS_ALARMS and threading.current_thread() is threading.main_thread()


@contextmanager
def _at_most(seconds: float | None) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer, if possible."""
    if seconds is None or not can_interrupt():
        yield
        return

    def end(number: int, frame: Any) -> None:
        raise TimeoutError(f"fun took longer than evaluation_timeout={seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
