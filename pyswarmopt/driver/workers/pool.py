"""Workers that call the objective: this thread, threads, processes, Ray, or a map of the user's
own.
"""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # imported on use: this thread alone needs none of it
    from concurrent.futures import Executor, Future

X = TypeVar("X")
Y = TypeVar("Y")

# Like the built-in map: a function and what to call it on, to the results in the same order.
MapLike = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


class Workers:
    """A pool that is opened at its first use and must be closed.

    Args:
        spec: a number of threads, -1 for as many as there are cores; "threads", "threads:N",
            "processes" or "processes:N" (N defaults to the number of cores); "ray", which uses the
            cluster that Ray is connected to, or starts one on this machine; an executor, which
            stays open: one of `concurrent.futures` or mpi4py, Dask's client, or another object
            with `submit`; or a callable like the built-in `map`.

    Raises:
        ValueError: none of these.
        ImportError: "ray" where Ray is not installed.

    Processes are started afresh ("spawn": a fork of a process that runs torch's threads may hang),
    so a script needs its ``if __name__ == "__main__":``, and the objective must be importable: a
    function at the top level of a module. Ray also sends functions that were defined elsewhere, but
    what they use must be importable on its workers.

    Example:
        >>> with Workers("threads:2") as workers:
        ...     workers.map(abs, [-1, 2, -3])
        [1, 2, 3]
    """

    def __init__(self, spec: int | str | MapLike | Executor) -> None:
        self._map: MapLike | None = None
        self._executor: Any = None
        if hasattr(spec, "submit"):
            size: Any = getattr(spec, "_max_workers", None)
            self.count = size if type(size) is int and size > 0 else os.cpu_count() or 1
            self.kind, self._executor = "executor", spec
        elif callable(spec):
            self.kind, self.count, self._map = "map", 1, spec
        else:
            self.kind, self.count = _parse(spec)
        if self.kind == "ray":
            self._executor = _Ray()

    def check(self, function: Callable[[Any], Any]) -> None:
        """Whether `function` can be sent to where it will run.

        Raises:
            ValueError: it cannot be pickled, and the workers are processes.
        """
        if self.kind != "processes":
            return
        try:
            pickle.dumps(function)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                f"the objective cannot be sent to processes ({error}); define it at the top level "
                "of a module, "
                "or use threads"
            ) from error

    def map(
        self,
        function: Callable[[X], Y],
        items: list[X],
        lost: Callable[[Exception], Y] | None = None,
        seconds: float = math.inf,
    ) -> list[Y]:
        """``[function(item) for item in items]``, possibly at the same time; `lost` and `seconds`
        as for `answer`.
        """
        if self._map is not None:
            answers = list(self._map(function, items))
            if len(answers) != len(items):
                raise ValueError(
                    f"workers= gave {len(answers)} answers for {len(items)} points; use a callable "
                    "like map"
                )
            return answers
        if self.kind == "serial":
            return [function(item) for item in items]
        end = time.monotonic() + seconds
        futures = [self.submit(function, item) for item in items]
        try:
            pairs = zip(futures, items, strict=True)
            return [self.answer(future, function, item, lost, end) for future, item in pairs]
        except BaseException:
            for future in futures:
                _cancel(future)
            raise

    def submit(self, function: Callable[[X], Y], item: X) -> Future[Y]:
        """Begin a call and go on; a worker that is this thread makes it at once. Not for a map of
        the user's own.

        Raises:
            ValueError: an executor that gives no future.
        """
        from concurrent import futures

        if self.kind == "serial":
            future: Future[Y] = futures.Future()
            future.set_result(function(item))
            return future
        try:
            future = self._pool().submit(function, item)
        except futures.BrokenExecutor:
            if self.kind != "processes":
                raise
            self.close(wait=False)  # a process has died
            future = self._pool().submit(function, item)
        if not hasattr(future, "result"):
            raise ValueError(
                f"workers=: submit() of {type(self._executor).__name__} gave "
                f"{type(future).__name__}; it must give a future, with result()"
            )
        return future

    def answer(
        self,
        future: Future[Y],
        function: Callable[[X], Y],
        item: X,
        lost: Callable[[Exception], Y] | None = None,
        end: float = math.inf,
    ) -> Y:
        """The answer of a call that was submitted.

        Args:
            future: of the call.
            function: what was called.
            item: with what.
            lost: from an error to what stands for the answer of a worker that gave none: its
                process died, it sent what cannot be pickled, or it was too slow. None: the error is
                raised.
            end: when to give it up, by `time.monotonic`.

        Where a process dies, so do all calls of its pool: each is made again, in a process of its
        own, and what dies there is lost.
        """
        from concurrent import futures

        try:
            # some futures take no timeout
            left = () if end == math.inf else (max(end - time.monotonic(), 0.0),)
            return future.result(*left)
        except futures.BrokenExecutor:
            if lost is None or self.kind != "processes":
                raise
            return self._alone(function, item, lost)
        except Exception as error:
            if isinstance(error, TimeoutError) and time.monotonic() >= end:
                self.give_up(future)
            if lost is None:
                raise
            return lost(error)

    def give_up(self, future: Any) -> None:
        """Wait no longer for a call; a thread of ours that hangs is left behind, with its pool."""
        if not _cancel(future) and self.kind == "threads":
            self.close(wait=False)

    @staticmethod
    def _alone(function: Callable[[X], Y], item: X, lost: Callable[[Exception], Y]) -> Y:
        from pyswarmopt.driver.workers.processes import open_pool

        with open_pool(1) as pool:
            try:
                return pool.submit(function, item).result()
            except Exception as error:
                error.add_note("the process that called fun died, or sent what cannot be read")
                return lost(error)

    def capacity(self) -> int:
        """Number of calls that can be under way at once; a Ray cluster may grow and shrink."""
        return int(self._executor.capacity()) if self.kind == "ray" else self.count

    def _pool(self) -> Any:
        if self._executor is None and self.kind == "threads":
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.count)
        elif self._executor is None:
            from pyswarmopt.driver.workers.processes import open_pool

            self._executor = open_pool(self.count)
        return self._executor

    def close(self, wait: bool = True) -> None:
        """End the pool's threads or processes; what is under way is waited for, or not; what is
        queued is not begun.
        """
        if self._executor is not None and self.kind in ("threads", "processes"):
            self._executor.shutdown(wait, cancel_futures=True)
            self._executor = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.close(wait=kind is not KeyboardInterrupt)


def _cancel(future: Any) -> bool:
    """Whether a call could be kept from beginning."""
    return bool(future.cancel()) if hasattr(future, "cancel") else False


def _parse(spec: int | str) -> tuple[str, int]:
    """The kind of workers and their number."""
    cores = os.cpu_count() or 1
    if isinstance(spec, int) and (spec >= 1 or spec == -1):
        return ("serial" if spec == 1 else "threads"), cores if spec == -1 else spec
    kind, colon, number = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if spec == "ray":
        return kind, 1
    if kind in ("threads", "processes") and not colon:
        return kind, cores
    if kind in ("threads", "processes") and number.isdecimal() and int(number) >= 1:
        return kind, int(number)
    raise ValueError(
        f"workers={spec!r}: use a number >= 1 of threads, -1 for all cores, 'threads:N', "
        "'processes:N', 'ray', an executor or a callable like map"
    )


class _Ray:
    """Calls on the cluster that Ray is connected to; at the first one a cluster is started where
    there is none.
    """

    def __init__(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError(
                "workers='ray' needs Ray, which is not installed: pip install ray"
            ) from error
        self._ray: Any = ray
        self._task: Any = ray.remote(lambda function, item: function(item))
        self._sent: tuple[Any, Any] = (None, None)  # a function and where Ray keeps it

    def submit(self, function: Callable[[Any], Any], item: Any) -> Future[Any]:
        if self._sent[0] is not function:
            self._connect()
            self._sent = function, self._ray.put(function)
        future: Future[Any] = self._task.remote(self._sent[1], item).future()
        return future

    def capacity(self) -> int:
        self._connect()
        return max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def _connect(self) -> None:
        if not self._ray.is_initialized():
            self._ray.init()
