"""Workers that call the objective: this thread, threads, processes, or the user's own."""

from __future__ import annotations

import math
import os
import pickle
import re
import time
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:  # imported on use: this thread alone needs none of it
    from concurrent.futures import Executor, Future

X = TypeVar("X")
Y = TypeVar("Y")

# Like the built-in map: a function and items to call it on -> results in the same order.
MapLike = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

DIED = (
    "a process died or sent what cannot be read: fun ended it, or this script lacks "
    '`if __name__ == "__main__":` before what it runs'
)

HANGS = (
    "a call of fun hangs in its thread, and Python ends only after it: workers='processes:N' ends "
    "such calls"
)


TURN = 0.5  # seconds; Python sees an interrupt before or after a wait, not always within it


class Workers(Generic[X, Y]):
    """A pool of workers that call one function; it is opened at its first use and must be closed.

    Args:
        spec: a number of threads, -1 for one per core; "threads", "threads:N", "processes" or
            "processes:N" (N defaults to the number of cores); an executor, which stays open: from
            `concurrent.futures` or mpi4py, Dask's client, or another object with `submit`; or a
            callable like the built-in `map`.
        function: function to call.
        lost: turns an error into the answer of a worker that gave none: its process died, its
            answer cannot be pickled, or it was too slow. None: the error is raised.

    Raises:
        ValueError: an unknown spec, or for processes a function that cannot be pickled.

    Processes are started afresh ("spawn": a fork of a process that runs torch's threads may hang),
    so a script needs its ``if __name__ == "__main__":``, and the objective must be importable: a
    function at the top level of a module.

    Example:
        >>> with Workers("threads:2", abs) as workers:
        ...     workers.map([-1, 2, -3])
        [1, 2, 3]
    """

    def __init__(
        self,
        spec: int | str | MapLike | Executor,
        function: Callable[[X], Y],
        lost: Callable[[Exception], Y] | None = None,
    ) -> None:
        self._function = function
        self._lost = lost
        self._map: MapLike | None = None
        self._executor: Any = None
        if hasattr(spec, "submit"):
            size: Any = getattr(spec, "_max_workers", None)
            self.count = size if type(size) is int and size > 0 else os.cpu_count() or 1
            self.kind = "executor"
            self._executor = spec
        elif callable(spec):
            self.kind = "map"
            self.count = 1
            self._map = spec
        else:
            self.kind, self.count = _parse(spec)
        if self.kind == "processes":
            _check_sendable(function)

    def map(self, items: list[X], seconds: float = math.inf) -> list[Y]:
        """The answers for `items`, in order, possibly computed in parallel; each is abandoned after
        `seconds`.
        """
        if self._map is not None:
            answers = list(self._map(self._function, items))
            if len(answers) != len(items):
                raise ValueError(
                    f"workers= gave {len(answers)} answers for {len(items)} points; use a callable "
                    "like map"
                )
            return answers
        if self.kind == "serial":
            return [self._function(item) for item in items]
        end = time.monotonic() + seconds
        futures = [self.submit(item) for item in items]
        try:
            return [self.answer(*pair, end) for pair in zip(futures, items, strict=True)]
        except BaseException:
            for future in futures:
                _cancel(future)
            raise

    def submit(self, item: X) -> Future[Y]:
        """Start a call without waiting; a worker in this thread makes it at once. Not supported by
        a user's map.

        Raises:
            ValueError: an executor returns no future.
        """
        from concurrent import futures

        if self.kind == "serial":
            future: Future[Y] = futures.Future()
            future.set_result(self._function(item))
            return future
        try:
            future = self._pool().submit(self._function, item)
        except futures.BrokenExecutor:
            if self.kind != "processes":
                raise
            self.close(wait=False)  # a process has died
            future = self._pool().submit(self._function, item)
        if not hasattr(future, "result"):
            raise ValueError(
                f"workers=: submit() of {type(self._executor).__name__} gave "
                f"{type(future).__name__}; it must give a future, with result()"
            )
        return future

    def answer(self, future: Future[Y], item: X, end: float = math.inf) -> Y:
        """The answer for a submitted item, abandoned at `end`, by `time.monotonic`.

        If a process dies, so do all calls of its pool: each is repeated in a process of its own,
        and counts as lost if that dies, too.
        """
        from concurrent import futures

        try:
            return _result(future, end)
        except futures.BrokenExecutor as error:
            if self.kind != "processes":
                raise
            if self._lost is None:
                error.add_note(DIED)
                raise
            return self._alone(item, self._lost)
        except Exception as error:
            if isinstance(error, TimeoutError) and time.monotonic() >= end:
                self.give_up(future)
            if self._lost is None:
                raise
            return self._lost(error)

    def give_up(self, future: Any) -> None:
        """Stop waiting for a call; a hanging thread of ours is left behind with its pool."""
        if not _cancel(future) and self.kind == "threads":
            warnings.warn(HANGS, stacklevel=2)
            self.close(wait=False)

    def _alone(self, item: X, lost: Callable[[Exception], Y]) -> Y:
        from pyswarmopt.driver.workers.processes import open_pool

        with open_pool(1) as pool:
            try:
                return _result(pool.submit(self._function, item))
            except Exception as error:
                error.add_note(DIED)
                return lost(error)

    def _pool(self) -> Any:
        if self._executor is None and self.kind == "threads":
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.count)
        elif self._executor is None:
            from pyswarmopt.driver.workers.processes import open_pool

            self._executor = open_pool(self.count)
        return self._executor

    def close(self, wait: bool = True) -> None:
        """End the pool's threads or processes; calls under way are awaited or not, queued ones
        never start.
        """
        if self._executor is not None and self.kind in ("threads", "processes"):
            self._executor.shutdown(wait, cancel_futures=True)
            self._executor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.close(wait=kind is not KeyboardInterrupt)


def _result(future: Future[Y], end: float = math.inf) -> Y:
    """A call's result, awaited in turns until `end`, by `time.monotonic`.

    Raises:
        TimeoutError: there is none by then.
    """
    from concurrent import futures

    if not isinstance(future, futures.Future):  # others may accept no timeout
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


def _check_sendable(function: Callable[..., Any]) -> None:
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the objective cannot be sent to processes ({error}); define it at the top level of a "
            "module, or use threads"
        ) from error


def _parse(spec: int | str) -> tuple[str, int]:
    """The kind of workers and their number."""
    cores = os.cpu_count() or 1
    if isinstance(spec, int) and (spec >= 1 or spec == -1):
        return ("serial" if spec == 1 else "threads"), cores if spec == -1 else spec
    named = (
        re.fullmatch("(threads|processes)(?::([0-9]+))?", spec) if isinstance(spec, str) else None
    )
    count = int(named[2] or cores) if named else 0
    if named is None or count < 1:
        raise ValueError(
            f"workers={spec!r}: use a number >= 1 of threads, -1 for all cores, 'threads:N', "
            "'processes:N', an executor, or a callable like map, such as pool.map"
        )
    return named[1], count
