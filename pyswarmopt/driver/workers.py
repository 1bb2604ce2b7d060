"""Workers that call the objective: this thread, other threads, or an executor of the user's."""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.call import CallOutcome

if TYPE_CHECKING:  # imported on use: this thread alone needs none of it
    from concurrent.futures import Executor


class Sent(NamedTuple):
    """A call under way: its key, its point, and its future, or in this thread its outcome."""

    key: Any
    x: Floats
    answer: Any


class Workers:
    """Threads or an executor; threads start at the first call and must be closed.

    Args:
        spec: a number of threads, 1 for this one, -1 for one per usable core; or an executor of
            `concurrent.futures`, or one like it (joblib's loky, Dask, mpi4py), which stays open.
        call: what they call with a point.

    Raises:
        ValueError: neither a number nor an executor.

    Example:
        >>> Workers(2, abs).count
        2
    """

    def __init__(self, spec: int | Executor, call: Callable[[Floats], CallOutcome]) -> None:
        self._call = call
        self._owned = isinstance(spec, int)
        self._executor: Any = None if self._owned else spec
        self._sent: dict[int, Sent] = {}  # by the identity of its answer
        self._answered: Any = None  # a queue of finished futures; a `Study` has none, and pickles
        self.count = number_of_workers(spec)
        self.serial = self._owned and self.count == 1

    @property
    def busy(self) -> int:
        """Number of calls under way."""
        return len(self._sent)

    def send(self, key: Any, x: Floats) -> None:
        """Start a call; this thread makes it at once."""
        if self.serial:
            outcome = self._call(x)
            self._sent[id(outcome)] = Sent(key, x, outcome)
            return
        if self._answered is None:
            self._answered = SimpleQueue()
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.count)
        future = self._executor.submit(self._call, x)
        self._sent[id(future)] = Sent(key, x, future)
        future.add_done_callback(self._answered.put)

    def hear(self) -> tuple[Any, Floats, CallOutcome]:
        """Key, point and outcome of the next call that ends."""
        if self.serial:
            _, sent = self._sent.popitem()
            return sent
        from concurrent.futures import BrokenExecutor

        future = self._answered.get()
        while id(future) not in self._sent:  # taken back, or told twice
            future = self._answered.get()
        key, x, _ = self._sent.pop(id(future))
        try:
            return key, x, future.result()
        except BrokenExecutor:
            raise
        except Exception as error:  # what a worker's answer may fail with: pickling, say
            return key, x, CallOutcome(None, error)

    def take_back(self) -> None:
        """Cancel the calls that have not begun."""
        self._sent = {name: sent for name, sent in self._sent.items() if not sent.answer.cancel()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """End our own threads; after an interrupt calls under way are not awaited."""
        if self._owned and self._executor is not None:
            self._executor.shutdown(wait=kind is not KeyboardInterrupt, cancel_futures=True)
            self._executor = None


def number_of_workers(spec: int | Executor) -> int:
    """How many calls are made at a time: of an executor that does not say so, one per usable core.

    Raises:
        ValueError: neither a number nor an executor.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    if hasattr(spec, "submit"):
        size: Any = getattr(spec, "_max_workers", None)
        return size if type(size) is int and size > 0 else cores
    if type(spec) is int and (spec >= 1 or spec == -1):
        return cores if spec == -1 else spec
    raise ValueError(
        f"workers={spec!r}: use a number of threads, -1 for all cores, or an executor such as "
        "concurrent.futures.ProcessPoolExecutor(4)"
    )
