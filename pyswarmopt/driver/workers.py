"""Workers that call the objective: this thread, other threads, or the user's executor."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.call import CallOutcome

if TYPE_CHECKING:  # imported on use: this thread alone needs none of it
    from concurrent.futures import Executor

TURN = 0.5  # seconds; Python sees an interrupt before or after a wait, not always within it
HANGS = (
    "a call to fun hangs in its thread and keeps Python from exiting; use "
    "workers=ProcessPoolExecutor() to avoid this"
)


class Sent(NamedTuple):
    """A call under way: whose it is, its point, how many were made for it, and when it began."""

    key: Any
    x: Floats
    tries: int
    began: float
    future: Any


class Workers:
    """Threads or an executor; threads start at the first call and must be closed.

    Args:
        spec: a number of threads, 1 for this one, -1 for one per core; or an executor, which stays
            open: of `concurrent.futures`, or another object with `submit`, as joblib's loky, Dask,
            mpi4py, submitit and Ray have it.
        call: what they call with a point.
        forgives: whether an error of a worker, such as a result that cannot be pickled, is an
            outcome; otherwise it is raised.

    Raises:
        ValueError: `spec` is neither a number nor an executor.

    Example:
        >>> Workers(2, abs).count
        2
    """

    def __init__(
        self,
        spec: int | Executor,
        call: Callable[[Floats], CallOutcome],
        forgives: bool = False,
    ) -> None:
        self._call = call
        self._forgives = forgives
        self._executor: Any = None
        self._made: deque[tuple[Sent, CallOutcome]] = deque()  # by this thread
        self._sent: dict[int, Sent] = {}  # by the identity of its future
        self._answered: Any = None  # a queue of finished futures; a `Study` has none, and pickles
        self._owned = isinstance(spec, int)
        if not self._owned:
            self._executor = spec
        self.count = number_of_workers(spec)
        self.serial = self._owned and self.count == 1

    @property
    def busy(self) -> int:
        """Number of calls under way."""
        return len(self._made) + len(self._sent)

    def send(self, key: Any, x: Floats, tries: int = 1) -> None:
        """Start a call; this thread makes it at once.

        Raises:
            ValueError: the executor does not return a future.
        """
        if self.serial:
            self._made.append((Sent(key, x, tries, 0.0, None), self._call(x)))
            return
        if self._answered is None:
            self._answered = SimpleQueue()
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.count)
        future = self._executor.submit(self._call, x)
        if not hasattr(future, "result"):
            raise ValueError(
                f"submit() of the executor {type(self._executor).__name__} returned "
                f"{type(future).__name__}; it must return a future with a result() method"
            )
        self._sent[id(future)] = Sent(key, x, tries, time.monotonic(), future)
        if hasattr(future, "add_done_callback"):
            future.add_done_callback(self._answered.put)

    def hear(self, seconds: float = math.inf) -> tuple[Sent, CallOutcome]:
        """The next call that has ended, or the oldest if it took `seconds`; with its outcome.

        Raises:
            ValueError: the worker returned something else.
        """
        if self.serial:
            return self._made.popleft()
        oldest = next(iter(self._sent.values()))
        future = oldest.future
        if hasattr(future, "add_done_callback"):
            future = self._next_answered(oldest.began + seconds)
        if future is None:
            self._give_up(self._sent.pop(id(oldest.future)).future)
            late = TimeoutError(f"fun took longer than evaluation_timeout={seconds} s")
            return oldest, CallOutcome(None, late)
        return self._sent.pop(id(future)), self._outcome(future)

    def _next_answered(self, end: float) -> Any:
        """The next finished future; None if there is none by `end`, by `time.monotonic`."""
        while True:
            left = end - time.monotonic()
            try:
                future = self._answered.get(timeout=max(min(left, TURN), 0.0))
            except Empty:
                if left <= TURN:
                    return None
                continue
            if id(future) in self._sent:  # otherwise abandoned
                return future

    def _outcome(self, future: Any) -> CallOutcome:
        from concurrent.futures import BrokenExecutor

        try:
            outcome = future.result()
        except BrokenExecutor:
            raise
        except Exception as error:
            if not self._forgives:
                raise
            return CallOutcome(None, error)
        if not isinstance(outcome, CallOutcome):
            raise ValueError(
                f"the executor returned {type(outcome).__name__} instead of the function's result"
            )
        return outcome

    def take_back(self) -> None:
        """Cancel the calls that have not begun."""
        for name, sent in list(self._sent.items()):
            if _cancel(sent.future):
                del self._sent[name]

    def _give_up(self, future: Any) -> None:
        """Stop waiting for a call; a hanging thread of ours is left behind with its pool."""
        if not _cancel(future) and self._owned:
            warnings.warn(HANGS, stacklevel=2)
            self._close(wait=False)

    def _close(self, wait: bool) -> None:
        if self._owned and self._executor is not None:
            self._executor.shutdown(wait, cancel_futures=True)
            self._executor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """End our own threads; after an interrupt calls under way are not awaited."""
        self._close(wait=kind is not KeyboardInterrupt)


def number_of_workers(spec: int | Executor) -> int:
    """How many calls are made at a time: of an executor that does not say so, one per core.

    Raises:
        ValueError: `spec` is neither a number nor an executor.
    """
    cores = os.cpu_count() or 1
    if hasattr(spec, "submit"):
        size: Any = getattr(spec, "_max_workers", None)
        if type(size) is int and size > 0:
            return size
        return cores
    if spec == -1:
        return cores
    if type(spec) is int and spec >= 1:
        return spec
    raise ValueError(
        f"workers={spec!r}: use a number of threads, -1 for all cores, or an executor, such as "
        "concurrent.futures.ProcessPoolExecutor(4)"
    )


def _cancel(future: Any) -> bool:
    """Whether a call could be cancelled before it started."""
    if hasattr(future, "cancel"):
        return bool(future.cancel())
    return False
