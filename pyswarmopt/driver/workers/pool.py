"""Workers that call the objective: this thread, threads, processes, or those of the user's own."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pyswarmopt.base.arrays import Floats, as_array, is_tensor

if TYPE_CHECKING:  # imported on use: this thread alone needs none of it
    from concurrent.futures import Executor, Future

# Like the built-in map: a function and what to call it on, to the results in the same order.
MapLike = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


class CallOutcome(NamedTuple):
    """Outcome of one call: a value, or an error."""

    value: Any
    error: Exception | None


@dataclass(frozen=True, repr=False, eq=False)
class Call:
    """Calls the objective on a copy and catches what it raises; picklable if the objective is."""

    fun: Callable[[Any], Any]

    def __call__(self, x: Floats) -> CallOutcome:
        try:
            value = self.fun(x.copy())
        except Exception as error:  # whatever a user's objective raises is the business of on_error
            return CallOutcome(None, error)
        return CallOutcome(as_array(value) if is_tensor(value) else value, None)


class Workers:
    """A pool of workers that call the objective; it is opened at its first use and must be closed.

    Args:
        spec: a number of threads, -1 for as many as there are cores; "threads", "threads:N",
            "processes" or "processes:N" (N defaults to the number of cores); an executor, which
            stays open: one of `concurrent.futures` or mpi4py, Dask's client, or another object
            with `submit`; or a callable like the built-in `map`.
        fun: the objective.
        forgiving: whether a call fails whose worker gives no answer, since its process died or sent
            what cannot be pickled; else that error is raised.

    Raises:
        ValueError: none of these; or an objective that processes cannot be sent.

    Processes are started afresh ("spawn": a fork of a process that runs torch's threads may hang),
    so a script needs its ``if __name__ == "__main__":``, and the objective must be importable: a
    function at the top level of a module.

    Example:
        >>> import numpy as np
        >>> with Workers("threads:2", sum) as workers:
        ...     [outcome.value for outcome in workers.map([np.arange(3), np.arange(4)])]
        [np.int64(3), np.int64(6)]
    """

    def __init__(
        self,
        spec: int | str | MapLike | Executor,
        fun: Callable[[Any], Any],
        forgiving: bool = False,
    ) -> None:
        self.call = Call(fun)
        self._forgiving = forgiving
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

        if self.kind == "processes":
            _check_sendable(fun)

    def map(self, points: list[Floats]) -> list[CallOutcome]:
        """The outcomes at points, (D,) each, in their order; calls may be made at the same time."""
        if self._map is not None:
            outcomes = list(map(_checked, self._map(self.call, points)))
            if len(outcomes) != len(points):
                raise ValueError(
                    f"workers= gave {len(outcomes)} answers for {len(points)} points; use a "
                    "callable like map"
                )
            return outcomes
        if self.kind == "serial":
            return [self.call(x) for x in points]
        futures = [self.submit(x) for x in points]
        try:
            return [self.outcome(*pair) for pair in zip(futures, points, strict=True)]
        except BaseException:
            for future in futures:
                if hasattr(future, "cancel"):
                    future.cancel()
            raise

    def submit(self, x: Floats) -> Future[CallOutcome]:
        """Begin a call at x, (D,), and go on; a worker that is this thread makes it at once. Not for a map of
        the user's own.

        Raises:
            ValueError: an executor that gives no future.
        """
        from concurrent import futures

        if self.kind == "serial":
            future: Future[CallOutcome] = futures.Future()
            future.set_result(self.call(x))
            return future
        try:
            future = self._pool().submit(self.call, x)
        except futures.BrokenExecutor:
            if self.kind != "processes":
                raise
            self.close(wait=False)  # a process has died
            future = self._pool().submit(self.call, x)
        if not hasattr(future, "result"):
            raise ValueError(
                f"workers=: submit() of {type(self._executor).__name__} gave "
                f"{type(future).__name__}; it must give a future, with result()"
            )
        return future

    def outcome(self, future: Future[CallOutcome], x: Floats) -> CallOutcome:
        """The outcome of a call at x, (D,), that was submitted.

        Where a process dies, so do all calls of its pool: each is made again, in a process of its
        own, and what dies there has failed.
        """
        from concurrent import futures

        try:
            answer = future.result()
        except Exception as error:
            died = isinstance(error, futures.BrokenExecutor)
            if not self._forgiving or (died and self.kind != "processes"):
                raise
            return self._alone(x) if died else CallOutcome(None, error)
        return _checked(answer)

    def _alone(self, x: Floats) -> CallOutcome:
        from pyswarmopt.driver.workers.processes import open_pool

        with open_pool(1) as pool:
            try:
                return pool.submit(self.call, x).result()
            except Exception as error:
                error.add_note("the process that called fun died, or sent what cannot be read")
                return CallOutcome(None, error)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.close(wait=kind is not KeyboardInterrupt)


def _checked(outcome: Any) -> CallOutcome:
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


def _check_sendable(fun: Callable[..., Any]) -> None:
    try:
        pickle.dumps(fun)
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
    kind, colon, number = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if kind in ("threads", "processes") and not colon:
        return kind, cores
    if kind in ("threads", "processes") and number.isdecimal() and int(number) >= 1:
        return kind, int(number)
    raise ValueError(
        f"workers={spec!r}: use a number >= 1 of threads, -1 for all cores, 'threads:N', "
        "'processes:N', an executor or a callable like map"
    )
