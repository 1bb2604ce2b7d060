"""A pool of workers: orders go to the next free worker, and to another one if it fails.

A worker that fails in any way is killed and replaced, so that no order runs in a process of unknown
state. Results do not depend on the worker.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.searching.scoring.evaluator import Evaluation, Questions, Request
from pyswarmopt_llm.servers.workers.messages import Failed, Order, Ready, Refused, Reply, Worker

log = logging.getLogger(__name__)

TRIES = 3  # workers that may fail at one order
LONGEST = 6 * 3600.0  # seconds that an order may take: an evaluation that is slower makes no search
_LOOK = 1.0  # seconds between looks at how many workers there may be


@dataclass(order=True)
class _Task:
    """An order with its place in the queue, by age."""

    number: int
    order: Order = field(compare=False)
    future: Future[Any] = field(compare=False, default_factory=Future)
    failures: list[Failed] = field(compare=False, default_factory=list)


class Pool:
    """Workers that carry out orders.

    Args:
        start_worker: begins to start the worker of the slot with that number.
        size: how many workers there may be now; the pool grows with it, and shrinks as workers die.
        fingerprints: of what they have to have loaded.
        on_failure: called with every failure, from any thread, one at a time.

    Each worker has a thread here that waits for it. Close the pool in the end.
    """

    def __init__(
        self,
        start_worker: Callable[[int], Worker],
        size: Callable[[], int],
        fingerprints: Mapping[str, Any],
        on_failure: Callable[[Failed], None] = lambda failed: None,
    ) -> None:
        self._start_worker, self._size, self._prints = start_worker, size, dict(fingerprints)
        self._on_failure = on_failure
        self._lock = threading.Condition()
        self._queue: list[_Task] = []
        self._numbers = itertools.count()
        self._slots: dict[int, threading.Thread] = {}
        self._workers: dict[int, Worker] = {}
        self._closed = False
        self._looked = -_LOOK
        self._grow()

    @property
    def size(self) -> int:
        """How many orders can be under way at once."""
        self._grow()
        with self._lock:
            return max(len(self._slots), 1)

    @property
    def workers(self) -> list[Worker]:
        """Those that have a slot now, whether they have loaded everything or not."""
        with self._lock:
            return list(self._workers.values())

    def submit(self, order: Order) -> Future[Evaluation]:
        """Have an order carried out, the oldest ones first.

        The future raises UserError if `TRIES` workers failed at it, or one says that the user can
        correct it.
        """
        self._grow()
        with self._lock:
            task = _Task(next(self._numbers), order)
            insort(self._queue, task)
            self._lock.notify()
        return task.future

    def close(self) -> None:
        """End all workers at once; orders that were not carried out are cancelled."""
        with self._lock:
            self._closed = True
            workers, slots = list(self._workers.values()), list(self._slots.values())
            for task in self._queue:
                task.future.cancel()
            self._lock.notify_all()
        for worker in workers:
            worker.close()
        for slot in slots:
            slot.join()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Slots

    def _grow(self) -> None:
        """Give a slot to every worker that there may be."""
        now = time.monotonic()
        with self._lock:
            if self._closed or now < self._looked + _LOOK:
                return
            self._looked = now
        size = self._size()
        with self._lock:
            for number in range(size):
                if number not in self._slots:
                    slot = threading.Thread(target=self._serve, args=(number,), daemon=True)
                    self._slots[number] = slot
                    slot.start()

    def _serve(self, slot: int) -> None:
        """Hand one order after another to the worker in a slot."""
        worker: Worker | None = None
        while True:
            worker = worker or self._fill(slot)
            ready = worker.start()  # before an order is taken, which others may be free for
            task = self._next()
            if task is None:
                return
            try:
                reply = self._carry_out(worker, ready, task)
                failed = isinstance(reply, Failed) and self._again(task, reply)
            except Exception as error:  # or the caller would wait for ever
                task.future.set_exception(error)
                failed = True
            if failed:
                self._dismiss(slot)
                worker = None
                if not self._keeps(slot):
                    return
            elif isinstance(reply, Refused):
                kind = UndefinedModelError if reply.undefined else UserError
                task.future.set_exception(kind(reply.text))
            elif not isinstance(reply, Failed):
                task.future.set_result(reply)

    def _fill(self, slot: int) -> Worker:
        try:
            worker = self._start_worker(slot)
        except Exception as error:  # such as a lost cluster: reported by the next order
            worker = _NotStarted(Failed("start", f"{type(error).__name__}: {error}"))
        with self._lock:
            self._workers[slot] = worker
            closed = self._closed
        if closed:
            worker.close()
        return worker

    def _dismiss(self, slot: int) -> None:
        with self._lock:
            worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.close()

    def _keeps(self, slot: int) -> bool:
        """Whether the slot stays although its worker failed: not if there may be fewer workers by
        now.
        """
        try:
            size = self._size()
        except Exception:  # unknown: the next order will show
            return True
        with self._lock:
            if slot < size or len(self._slots) == 1:
                return True
            del self._slots[slot]
            return False

    # Orders

    def _next(self) -> _Task | None:
        """The first order; None once the pool is closed."""
        with self._lock:
            while not self._queue and not self._closed:
                self._lock.wait()
            return None if self._closed else self._queue.pop(0)

    def _carry_out(self, worker: Worker, ready: Ready | Refused | Failed, task: _Task) -> Reply:
        """The worker's reply; of one that could not start, why."""
        if not isinstance(ready, Ready):
            return ready
        if ready.fingerprints != self._prints:
            return Refused(
                "a worker has loaded other files than this search: base, experts or tasks changed"
            )
        last = len(task.failures) + 1 == TRIES
        return worker.ask(replace(task.order, last=last), LONGEST)

    def _again(self, task: _Task, failed: Failed) -> bool:
        """Put an order back after a failure, or give it up; False if the pool is being closed."""
        with self._lock:
            if self._closed:
                task.future.cancel()
                return False
            self._on_failure(failed)
            log.warning("a worker failed (%s): %s", failed.kind, failed.text)
            task.failures.append(failed)
            if len(task.failures) < TRIES:
                insort(self._queue, task)
                self._lock.notify()
                return True
        text = (
            f"{TRIES} workers failed at one candidate, the last one so: {failed.kind}: "
            f"{failed.text}"
        )
        task.future.set_exception(
            UserError(f"{text}; every score so far is kept: correct it and resume")
        )
        return True


@dataclass(frozen=True)
class QuestionPool:
    """Has a pool evaluate candidates on these questions; a `scorer.WorkerPool`."""

    pool: Pool
    questions: Questions

    def submit(self, requests: Sequence[Request]) -> list[Future[Evaluation]]:
        """Begin to evaluate these candidates, the first ones first."""
        return [self.pool.submit(Order(self.questions, request)) for request in requests]


@dataclass(frozen=True)
class _NotStarted:
    """In the slot of a worker that could not even be started."""

    why: Failed
    pid: None = None

    def start(self) -> Failed:
        return self.why

    def ask(self, order: Order, timeout: float | None) -> Failed:
        return self.why

    def close(self) -> None:
        pass
