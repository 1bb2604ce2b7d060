"""Workers that call the objective: this thread, other threads, or an executor of the user's."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.call import CallOutcome

if TYPE_CHECKING:  # imported on use: this thread alone needs none of it
    from concurrent.futures import Executor, Future

TURN = 0.5  # seconds; Python sees an interrupt before or after a wait, not always within it
HANGS = (
    "a call of fun hangs in its thread, and Python ends only after it: a ProcessPoolExecutor as "
    "workers= can be killed"
)


class Workers:
    """Threads or an executor; threads start at the first call and must be closed.

    Args:
        spec: a number of threads, 1 for this one, -1 for one per core; or an executor, which stays
            open: of `concurrent.futures`, or another object with `submit`, as joblib's loky, Dask,
            mpi4py, submitit and Ray have it.
        call: what they call with a point.
        forgives: whether an error of a worker, whose answer cannot be pickled say, is an outcome;
            otherwise it is raised.

    Raises:
        ValueError: neither a number nor an executor.

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
        self.owned = not hasattr(spec, "submit")
        cores = os.cpu_count() or 1
        if not self.owned:
            self._executor = spec
            size: Any = getattr(spec, "_max_workers", None)
            self.count = size if type(size) is int and size > 0 else cores
        elif type(spec) is int and (spec >= 1 or spec == -1):
            self.count = cores if spec == -1 else spec
        else:
            raise ValueError(
                f"workers={spec!r}: use a number >= 1 of threads, -1 for all cores, or an executor, "
                "such as concurrent.futures.ProcessPoolExecutor(4)"
            )
        self.serial = self.owned and self.count == 1

    def map(self, items: list[Floats], seconds: float = math.inf) -> list[CallOutcome]:
        """The outcomes for `items`, in order; each is abandoned after `seconds`."""
        if self.serial:
            return [self._call(item) for item in items]
        end = time.monotonic() + seconds
        futures = [self.submit(item) for item in items]
        try:
            return [self.answer(future, end) for future in futures]
        except BaseException:
            for future in futures:
                _cancel(future)
            raise

    def submit(self, item: Floats) -> Future[CallOutcome]:
        """Start a call without waiting; this thread makes it at once.

        Raises:
            ValueError: an executor returns no future.
        """
        if self.serial:
            from concurrent.futures import Future

            made: Future[CallOutcome] = Future()
            made.set_result(self._call(item))
            return made
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.count)
        future: Future[CallOutcome] = self._executor.submit(self._call, item)
        if not hasattr(future, "result"):
            raise ValueError(
                f"workers=: submit() of {type(self._executor).__name__} gave "
                f"{type(future).__name__}; it must give a future, with result()"
            )
        return future

    def answer(self, future: Future[CallOutcome], end: float = math.inf) -> CallOutcome:
        """The outcome of a call, abandoned at `end`, by `time.monotonic`.

        Raises:
            ValueError: the worker gave something else.
        """
        from concurrent.futures import BrokenExecutor

        try:
            outcome = _result(future, end)
        except BrokenExecutor:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and time.monotonic() >= end:
                self.give_up(future)
            if not self._forgives:
                raise
            return CallOutcome(None, error)
        if not isinstance(outcome, CallOutcome):
            raise ValueError(
                f"workers= gave {type(outcome).__name__} where it must give what the function that "
                "it was handed returns"
            )
        return outcome

    def give_up(self, future: Any) -> None:
        """Stop waiting for a call; a hanging thread of ours is left behind with its pool."""
        if not _cancel(future) and self.owned:
            warnings.warn(HANGS, stacklevel=2)
            self.close(wait=False)

    def close(self, wait: bool = True) -> None:
        """End our own threads; calls under way are awaited or not, queued ones never start."""
        if self.owned and self._executor is not None:
            self._executor.shutdown(wait, cancel_futures=True)
            self._executor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.close(wait=kind is not KeyboardInterrupt)


def _result(future: Future[CallOutcome], end: float) -> Any:
    """A call's result, awaited in turns until `end`, by `time.monotonic`.

    Raises:
        TimeoutError: there is none by then.
    """
    from concurrent.futures import Future

    if not isinstance(future, Future):  # others may accept no timeout
        left = () if end == math.inf else (max(end - time.monotonic(), 0.0),)
        return future.result(*left)
    while True:
        remaining = max(end - time.monotonic(), 0.0)
        try:
            return future.result(min(remaining, TURN))
        except TimeoutError:
            if future.done():  # now, or with an error of its own
                return future.result(0)
            if remaining <= TURN:
                raise


def _cancel(future: Any) -> bool:
    """Whether a call could be cancelled before it started."""
    return bool(future.cancel()) if hasattr(future, "cancel") else False
