"""A pool of workers: each evaluates one candidate after another, and is replaced if it fails.

A worker that fails in any way is killed, so that no candidate runs in a process of unknown state.
Results do not depend on the worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.scoring.evaluator import Questions, Request
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Crew
from pyswarmopt_llm.servers.workers.worker import Host, Order, Reply, Worker, WorkerFailedError

log = logging.getLogger(__name__)

TRIES = 3  # workers that may fail at one candidate
MOST = 4096  # workers
_LOOK = 1.0  # seconds between looks at how many workers there may be


class Pool:
    """Workers that evaluate candidates. Close the pool in the end.

    Args:
        host: starts the workers; the pool grows with its size, and shrinks as workers fail.
        fingerprints: of what they have to have loaded.
        on_failure: called with the kind and the text of every failure, one at a time.
    """

    def __init__(
        self,
        host: Host,
        fingerprints: Mapping[str, Any],
        on_failure: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        self._host, self._fingerprints = host, dict(fingerprints)
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._workers: dict[int, Worker] = {}  # by slot
        self._free: list[int] = []
        self._closed = False
        self._threads = ThreadPoolExecutor(MOST, "worker")

    def crew(self, questions: Questions) -> Crew:
        """Those who evaluate candidates on these questions."""
        return Crew(partial(self.evaluate, questions), self._threads)

    def evaluate(self, questions: Questions, request: Request) -> Row:
        """Have a candidate evaluated.

        Raises:
            UserError: `TRIES` workers failed at it, or one says that the user can correct it.
            CancelledError: the pool was closed.
        """
        for tried in range(1, TRIES + 1):
            order = Order(questions, request, self._fingerprints, last=tried == TRIES)
            slot, worker = self._hire()
            reply = worker.ask(order)
            self._release(slot, reply)
            if isinstance(reply, Row):
                return reply
            if isinstance(reply, UserError):
                raise reply
            why = f"{reply.kind}: {reply.text}"
        raise UserError(
            f"{TRIES} workers failed at one candidate, the last one so: {why}; every score so far "
            "is kept: correct it and resume"
        )

    def _hire(self) -> tuple[int, Worker]:
        """A worker that is free, or a new one, and its slot."""
        with self._changed:
            while not self._closed:
                if self._free:
                    slot = self._free.pop()
                    return slot, self._workers[slot]
                for slot in range(self._host.size()):
                    if slot not in self._workers:
                        worker = self._workers[slot] = self._host.start(slot)
                        return slot, worker
                self._changed.wait(_LOOK)
        raise CancelledError

    def _release(self, slot: int, reply: Reply) -> None:
        """Free a worker after its reply; one that failed is ended."""
        with self._changed:
            self._changed.notify()
            if not isinstance(reply, WorkerFailedError):
                self._free.append(slot)
                return
            self._workers.pop(slot).close()
            if self._closed:
                raise CancelledError
            self._on_failure(reply.kind, reply.text)
            log.warning("a worker failed (%s): %s", reply.kind, reply.text)

    def close(self) -> int:
        """End all workers at once; what they have not finished is not evaluated.

        Returns:
            Bytes of memory that those on this machine took.
        """
        memory = self._host.memory
        with self._changed:
            self._closed = True
            workers = list(self._workers.values())
            self._changed.notify_all()
        for worker in workers:
            worker.close()
        self._threads.shutdown(cancel_futures=True)
        self._host.close()
        return memory
