"""One call of the objective: on a copy, with what it raises caught, and interrupted where it takes too
long.
"""

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
        except Exception as error:  # whatever a user's objective raises is the business of on_error
            return CallOutcome(None, error)
        return CallOutcome(as_array(value) if is_tensor(value) else value, None)


def lost_call(error: Exception) -> CallOutcome:
    """Outcome of a call whose worker gave no answer."""
    return CallOutcome(None, error)


HAS_ALARMS = hasattr(signal, "setitimer")  # not on Windows


def can_interrupt() -> bool:
    """Whether a call can be interrupted here: in the main thread of a process, where signals
    arrive.
    """
    import threading  # on use: a search without it begins earlier

    return HAS_ALARMS and threading.current_thread() is threading.main_thread()


@contextmanager
def _at_most(seconds: float | None) -> Iterator[None]:
    """Raise TimeoutError in what takes longer, where that is possible."""
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


def checked_outcome(outcome: Any) -> CallOutcome:
    """Check a worker's answer: it has the form that `Call` gives.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(outcome, CallOutcome):
        raise ValueError(
            f"workers= gave {type(outcome).__name__} where it must give what the function that it "
            "was handed returns"
        )
    return outcome
