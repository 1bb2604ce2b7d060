"""Workers that evaluate candidates: processes on this machine, or actors of a Ray cluster, both
executors of `concurrent.futures`.

Results do not depend on the worker. A candidate whose worker fails is evaluated again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.searching.decide import RAY
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Crew, Questions, Request
from pyswarmopt_llm.servers.workers.worker import (
    Failure,
    Handler,
    Load,
    Order,
    Reply,
    begin,
    carry_out,
)

log = logging.getLogger(__name__)

TRIES = 3  # evaluations of one candidate
LONGEST = 6 * 3600.0  # most seconds of an evaluation: slower ones make no search


class Processes(ProcessPoolExecutor):
    """Processes on this machine; each loads the search itself.

    Args:
        config: configuration of the search; its `threads` are for each worker.
        load: function of a module that loads a configuration in a worker.

    Attributes:
        size: number of processes.
    """

    def __init__(self, config: SearchConfig, load: Load) -> None:
        self.size = config.processes
        context = get_context("spawn")
        slots = context.Value("i", 0)
        super().__init__(self.size, context, begin, (load, config, slots))

    def order(self, order: Order) -> Future[Reply]:
        """Let a process carry out an order."""
        return self.submit(carry_out, order)

    @property
    def memory(self) -> int:
        """Bytes of memory of the processes."""
        return sum(map(memory_of, list(self._processes or ())))

    def end(self) -> None:
        """End all processes at once."""
        processes = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


class Actors(ThreadPoolExecutor):
    """Actors of a Ray cluster, one per GPU or per group of cores, each asked by a thread.

    Every node reads base, experts and tasks from the search's paths; an actor that finds other
    files is refused.

    Args:
        config: configuration of the search; its `workers` is ``ray`` (the connected cluster, the
            one on this machine, or a new one here) or ``ray://HOST[:PORT]``.
        load: function of a module that loads a configuration in a worker.

    Raises:
        UserError: Ray is not installed, or the cluster does not answer.

    Attributes:
        size: number of actors.
        memory: 0, since actors may be anywhere.
    """

    memory = 0

    def __init__(self, config: SearchConfig, load: Load) -> None:
        address = config.workers
        ray: Any = optional("ray", f"`workers` {address}")
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(
                    address=None if address == RAY else address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                why = f"the cluster does not answer ({first_line(error)}); check it"
                raise InvalidOption("workers", address, why) from error
        room = ray.cluster_resources()
        cores = config.threads or 1
        gpus = int(room.get("GPU", 0)) if config.device != "cpu" else 0
        self.size = max(gpus or int(room.get("CPU", 0) // cores), 1)
        options = {"num_cpus": cores, "num_gpus": int(gpus > 0), "max_restarts": 0}
        self._start = partial(ray.remote(**options)(Handler).remote, load, config)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.size):
            self._free.put(self._start())
        super().__init__(self.size)

    def order(self, order: Order) -> Future[Reply]:
        """Let an actor carry out an order."""
        return self.submit(self._asked, order)

    def _asked(self, order: Order) -> Reply:
        """Wait for a free actor and its reply; another actor takes the place of a dead one."""
        actor = self._free.get()
        try:
            reply: Reply = self._ray.get(actor.answer.remote(order))
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)
            threading.Thread(target=self._replace, daemon=True).start()
            return Failure("died", first_line(error))
        self._free.put(actor)
        return reply

    def _replace(self) -> None:
        """Start an actor, which is free once a node has room for it."""
        actor = self._start()
        try:
            self._ray.get(actor.__ray_ready__.remote())
        except self._ray.exceptions.RayError as error:
            log.warning("an actor did not start: %s", first_line(error))
        else:
            self._free.put(actor)

    def end(self) -> None:
        """End the actors, and leave the cluster if it was joined here."""
        self.shutdown(wait=False, cancel_futures=True)
        while not self._free.empty():
            self._ray.kill(self._free.get())
        if self._ours:
            self._ray.shutdown()


Workers = Processes | Actors


class Pool:
    """Workers that evaluate candidates. Close the pool at the end.

    Args:
        start: starts workers, at first and after their death.
        fingerprints: fingerprints of the files that workers must load.
        on_failure: called with kind and text of each failure, one at a time.
    """

    def __init__(
        self,
        start: Callable[[], Workers],
        fingerprints: Mapping[str, Any],
        on_failure: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        self._start = start
        self._fingerprints = dict(fingerprints)
        self._on_failure = on_failure
        self._lock = threading.RLock()
        self._closed = False
        self._workers = start()
        self._threads = ThreadPoolExecutor(self._workers.size, "worker")

    def crew(self, questions: Questions) -> Crew:
        """The crew that evaluates candidates on these questions."""
        return Crew(partial(self.evaluate, questions), self._threads)

    def evaluate(self, questions: Questions, request: Request) -> Row:
        """Evaluate a candidate on a worker.

        Raises:
            UserError: `TRIES` evaluations failed, or a worker reports an error of the user's.
            CancelledError: the pool was closed.
        """
        why = ""
        for tried in range(1, TRIES + 1):
            reply = self._ask(Order(questions, request, self._fingerprints, last=tried == TRIES))
            if isinstance(reply, UserError):
                raise reply
            if isinstance(reply, Row):
                return reply
            why = f"{reply.kind}: {reply.text}"
        raise UserError(
            f"{TRIES} workers failed at one candidate, the last one so: {why}; every score so far "
            "is kept: correct it and resume"
        )

    def _ask(self, order: Order) -> Reply:
        """The reply of a worker, or its failure."""
        with self._lock:
            if self._closed:
                raise CancelledError
            workers = self._workers
        try:
            reply = workers.order(order).result(LONGEST)
        except TimeoutError:
            return self._renew(workers, Failure("timeout", f"no answer in {LONGEST:g} seconds"))
        except BrokenExecutor:
            return self._renew(workers, Failure("died", "its process ended"))
        if isinstance(reply, Failure):
            self._note(reply)
        return reply

    def _renew(self, workers: Workers, failure: Failure) -> Failure:
        """Start new workers in place of broken ones: all of a pool break together."""
        with self._lock:
            if self._closed:
                raise CancelledError
            if workers is self._workers:
                workers.end()
                self._workers = self._start()
                self._note(failure)
        return failure

    def _note(self, failure: Failure) -> None:
        with self._lock:
            self._on_failure(failure.kind, failure.text)
            log.warning("a worker failed (%s): %s", failure.kind, failure.text)

    def close(self) -> int:
        """End all workers at once; unfinished candidates are not evaluated.

        Returns:
            Bytes of memory that workers on this machine used.
        """
        with self._lock:
            self._closed = True
            memory = self._workers.memory
            self._workers.end()
        self._threads.shutdown(cancel_futures=True)
        return memory


def open_pool(job: Job, run: Run, load: Load) -> Pool:
    """The workers of a search.

    Args:
        job: the search.
        run: records failures.
        load: loads the job in a worker.
    """
    # decided here: another process or machine might choose differently
    dtype = str(job.engine.dtype).removeprefix("torch.")
    config = replace(job.plan.config, dtype=dtype)
    if not config.processes:
        return Pool(partial(Actors, config, load), job.fingerprints, run.note_failure)
    if pick_device(config.device).type == "cpu":
        config = replace(config, device="cpu")
    return Pool(partial(Processes, config, load), job.fingerprints, run.note_failure)


def memory_of(pid: int) -> int:
    """Bytes of a process's memory, including its part of shared pages (Linux; elsewhere 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # already gone, or another system
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
