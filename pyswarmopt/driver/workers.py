"""Workers that call the objective: this thread, other threads, or the user's executor."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.call import CallOutcome

if TYPE_CHECKING:  # imported on use: this thread alone needs none of it
    from concurrent.futures import Executor

    from pyswarmopt.driver.journal import Journal

UNPICKLED = (
    "processes receive fun by its name: define it at the top of a module, not as a lambda or inside "
    "a function; or use threads (workers=4) or joblib's loky executor"
)
TURN = 0.5  # seconds; Python sees an interrupt before or after a wait, not always within it


class Workers:
    """Threads or an executor; threads start at the first call and must be closed.

    Args:
        spec: a number of threads, 1 for this one, -1 for one per core; or an executor with the
            interface of `concurrent.futures`, which stays open.
        call: what they call with a point.

    Raises:
        ValueError: `spec` is neither a number nor an executor.

    Example:
        >>> Workers(2, abs).count
        2
    """

    def __init__(self, spec: int | Executor, call: Callable[[Floats], CallOutcome]) -> None:
        self._call = call
        self._executor: Any = None
        self._made: deque[tuple[Any, Floats, CallOutcome]] = deque()  # by this thread
        self._sent: dict[Any, tuple[Any, Floats]] = {}  # calls under way, by their futures
        self._answered: Any = None  # a queue of finished futures; a `Study` has none, and pickles
        self.busy = 0  # number of calls under way
        self.journal: Journal | None = None  # of a search that is saved
        self._waiting: list[tuple[Any, Floats]] = []  # points for replayed answers
        self._owned = isinstance(spec, int)
        if not self._owned:
            self._executor = spec
        self.count = number_of_workers(spec)
        self.serial = self._owned and self.count == 1

    def send(self, key: Any, x: Floats) -> None:
        """Start a call for a point with this key; this thread makes it at once."""
        self.busy += 1
        if self.journal is not None and self.journal.replayed:
            self._waiting.append((key, x))
            return
        self._start_waiting()
        self._start(key, x)

    def _start_waiting(self) -> None:
        """Call the points for which there is no answer to replay."""
        waiting = self._waiting
        self._waiting = []
        for key, x in waiting:
            self._start(key, x)

    def _start(self, key: Any, x: Floats) -> None:
        if self.serial:
            self._made.append((key, x, self._call(x)))
            return
        if self._answered is None:
            self._answered = SimpleQueue()
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.count)
        future = self._executor.submit(self._call, x)
        self._sent[future] = key, x
        future.add_done_callback(self._answered.put)

    def hear(self) -> tuple[Any, Floats, CallOutcome]:
        """Key, point and outcome of the next call that has ended.

        Raises:
            ValueError: the worker returned something else.
        """
        self.busy -= 1
        if self.journal is not None and self._waiting:
            heard = self.journal.hear([x for _, x in self._waiting])
            if heard is not None:
                row, outcome = heard
                return *self._waiting.pop(row), outcome
            self._start_waiting()
        if self.serial:
            return self._made.popleft()
        while True:
            try:
                future = self._answered.get(timeout=TURN)
            except Empty:
                continue
            if future in self._sent:  # otherwise cancelled
                return *self._sent.pop(future), self._outcome(future)

    def _outcome(self, future: Any) -> CallOutcome:
        from concurrent.futures import BrokenExecutor

        try:
            outcome = future.result()
        except BrokenExecutor:
            raise
        except Exception as error:  # a result that cannot be pickled, for example
            if "pickle" in str(error):
                error.add_note(UNPICKLED)
            return CallOutcome(None, error)
        if not isinstance(outcome, CallOutcome):
            raise ValueError(
                f"the executor returned {type(outcome).__name__} instead of the function's result"
            )
        return outcome

    def take_back(self) -> None:
        """Cancel the calls that have not begun."""
        self._waiting.clear()
        for future in list(self._sent):
            if future.cancel():
                del self._sent[future]
        self.busy = len(self._made) + len(self._sent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """End our own threads; after an interrupt calls under way are not awaited."""
        if self._owned and self._executor is not None:
            self._executor.shutdown(kind is not KeyboardInterrupt, cancel_futures=True)
            self._executor = None


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
