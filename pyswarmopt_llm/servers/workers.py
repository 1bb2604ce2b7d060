"""Workers that evaluate candidates: processes on this machine, or actors of a Ray cluster, with one
interface (docs/how-to/scaling.md).

Results do not depend on the worker. A candidate whose worker fails is evaluated again.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from typing import Any, NamedTuple

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import (
    InvalidOption,
    NoRoomError,
    NotFiniteError,
    UserError,
    first_line,
)
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.hardware import out_of_memory, pick_device
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.decide import RAY
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Crew, Evaluator, Request

log = logging.getLogger(__name__)

TRIES = 3  # evaluations of one candidate
Load = Callable[[SearchConfig], Job]  # sent to workers by name
OnFailure = Callable[[str, str], None]
Scorings = Mapping[str, Scoring]  # task -> its answer format


@dataclass(frozen=True)
class Failure:
    """A worker's failure, after which another worker may succeed: an exception, lack of memory or its death."""

    kind: str
    text: str


Reply = Row | UserError | Failure


class Setup(NamedTuple):
    """What a worker loads: a function, its configuration, and the fingerprints of the files."""

    load: Load
    config: SearchConfig
    fingerprints: Mapping[str, Any]


class Handler:
    """Evaluates candidates in a worker, which loads the search itself."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._job: Job | None = None
        self._evaluator: Evaluator | None = None
        self._tokens = 0

    def answer(self, scorings: Scorings, request: Request) -> Reply:
        """Evaluate a candidate; any exception becomes a reply. After a failure everything is loaded
        anew, so that no candidate runs in an unknown state.
        """
        try:
            return self._evaluated(scorings, request)
        except NotFiniteError as error:
            return type(error)(error.text)
        except Exception as error:  # a user's function or a library's kernel may raise anything
            full = isinstance(error, NoRoomError) or out_of_memory(error)
            if isinstance(error, UserError) and not full:
                return UserError(error.text)
            self._job = None
            kind = "exception"
            if full:
                kind = "out of memory"
            return Failure(kind, " ".join(f"{type(error).__name__}: {error}".split()))

    def _evaluated(self, scorings: Scorings, request: Request) -> Row:
        if self._job is None:
            self._job = self._setup.load(self._setup.config)
            self._evaluator = None
            self._tokens = _batch_tokens(self._job)
        if self._job.fingerprints != self._setup.fingerprints:
            raise UserError(
                "the base model, experts or tasks changed before a worker loaded them; restore them and resume"
            )
        if self._evaluator is None:
            self._evaluator = self._job.evaluator("dev", scorings)
        row = self._evaluator.evaluate(request)
        if _batch_tokens(self._job) < self._tokens and not request.last:
            # In smaller batches the last bits of values may differ.
            raise MemoryError(f"batches of {self._tokens} tokens no longer fit")
        return row


def _batch_tokens(job: Job) -> int:
    """Tokens of a batch, chosen by memory."""
    return int(getattr(job.engine, "batch_tokens", 0))


class Pool:
    """Workers that evaluate candidates, `size` at a time. Close the pool at the end.

    Args:
        size: number of workers.
        on_failure: called with kind and text of each failure, one at a time.
    """

    def __init__(self, size: int, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(size, "worker")

    def crew(self, scorings: Scorings) -> Crew:
        """The crew that evaluates candidates on dev, each task in its answer format."""
        return Crew(partial(self.evaluate, scorings), self._threads.map)

    def evaluate(self, scorings: Scorings, request: Request) -> Row:
        """Evaluate a candidate on a worker.

        Raises:
            UserError: `TRIES` evaluations failed, or a worker reports an error of the user's.
            CancelledError: the pool was closed.
        """
        why = ""
        for tried in range(1, TRIES + 1):
            reply = self.answer(scorings, replace(request, last=tried == TRIES))
            if isinstance(reply, UserError):
                raise reply
            if isinstance(reply, Row):
                return reply
            why = f"{reply.kind}: {reply.text}"
            log.warning("a worker failed (%s)", why)
            with self._lock:
                self._on_failure(reply.kind, reply.text)
        raise UserError(
            f"{TRIES} workers failed on one candidate (the last one: {why}); scores are kept, so fix "
            "the cause and resume"
        )

    def answer(self, scorings: Scorings, request: Request) -> Reply:
        """The reply of a free worker."""
        raise NotImplementedError

    def close(self) -> None:
        """End all workers at once; unfinished candidates are not evaluated."""
        self._threads.shutdown(wait=False, cancel_futures=True)


# Processes

_HERE: list[Handler] = []  # the handler of this process


def _begin(slots: Any, setup: Setup) -> None:
    """Make this process a worker: it ends with the search's process, and prints nothing.

    `slots` counts the processes, which use several GPUs in turn.
    """
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the search ends its workers
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    threading.Thread(target=_end_with_search, daemon=True).start()
    with slots.get_lock():
        slots.value += 1
        slot = slots.value
    gpus = torch.cuda.device_count()
    if setup.config.device in ("auto", "cuda") and gpus > 1:
        setup = setup._replace(config=replace(setup.config, device=f"cuda:{slot % gpus}"))
    _HERE.append(Handler(setup))


def _answer(scorings: Scorings, request: Request) -> Reply:
    return _HERE[0].answer(scorings, request)


def _end_with_search() -> None:
    """End this process when the search's process ends, even if it is killed."""
    search = parent_process()
    if search is not None:
        search.join()
        os._exit(1)


class Processes(Pool):
    """Processes on this machine; `threads` of the configuration are for each."""

    def __init__(self, setup: Setup, on_failure: OnFailure) -> None:
        processes = setup.config.processes
        super().__init__(processes, on_failure)
        context = get_context("spawn")
        given = (context.Value("i", 0), setup)
        self._start = partial(ProcessPoolExecutor, processes, context, _begin, given)
        self._executor = self._start()

    def answer(self, scorings: Scorings, request: Request) -> Reply:
        """See `Pool`; all processes break together, which counts as one failure."""
        executor = self._executor
        try:
            return executor.submit(_answer, scorings, request).result()
        except BrokenExecutor:
            with self._lock:
                if self._closed:
                    raise CancelledError from None
                first = executor is self._executor
                if first:
                    _kill(executor)
                    self._executor = self._start()
        if first:
            return Failure("died", "its process ended")
        return self.answer(scorings, request)

    def close(self) -> None:
        """See `Pool`."""
        with self._lock:
            self._closed = True
            _kill(self._executor)
        super().close()


def _kill(executor: ProcessPoolExecutor) -> None:
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


class Actors(Pool):
    """Actors of a Ray cluster, one per GPU or per group of cores.

    Every node reads the base, experts and tasks from the search's paths. `workers` of the configuration
    is ``ray`` (the connected cluster, the one on this machine, or a new one here) or
    ``ray://HOST[:PORT]``.

    Raises:
        UserError: Ray is not installed, or the cluster does not respond.
    """

    def __init__(self, setup: Setup, on_failure: OnFailure) -> None:
        config = setup.config
        ray: Any = optional("ray", f"`workers` {config.workers}")
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            address = None if config.workers == RAY else config.workers
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                why = f": the cluster does not respond ({first_line(error)}); check its address"
                raise InvalidOption("workers", config.workers, why) from error
        room = ray.cluster_resources()
        cores = config.threads or 1
        gpus = 0
        if config.device != "cpu":
            gpus = int(room.get("GPU", 0))
        size = max(gpus or int(room.get("CPU", 0) // cores), 1)
        actor = ray.remote(num_cpus=cores, num_gpus=int(gpus > 0), max_restarts=0)(Handler)
        super().__init__(size, on_failure)
        self._start = partial(actor.remote, setup)
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._actors = [self._start() for _ in range(size)]
        for actor in self._actors:
            self._free.put(actor)

    def answer(self, scorings: Scorings, request: Request) -> Reply:
        """See `Pool`; another actor takes the place of a dead one."""
        actor = self._free.get()
        if self._closed:
            self._free.put(actor)  # for the next thread
            raise CancelledError
        try:
            reply: Reply = self._ray.get(actor.answer.remote(scorings, request))
        except self._ray.exceptions.RayError as error:
            if self._closed:
                raise CancelledError from error
            self._ray.kill(actor)
            threading.Thread(target=self._replace, daemon=True).start()
            return Failure("died", first_line(error))
        self._free.put(actor)
        return reply

    def _replace(self) -> None:
        """Start an actor, which is free once a node has room for it."""
        actor = self._start()
        self._actors.append(actor)
        try:
            self._ray.get(actor.__ray_ready__.remote())
            self._free.put(actor)
        except self._ray.exceptions.RayError as error:  # or the pool was closed
            log.warning("a Ray actor did not start: %s", first_line(error))

    def close(self) -> None:
        """End the actors, and leave the cluster if it was joined here."""
        self._closed = True
        self._free.put(None)  # wakes threads that wait for an actor
        for actor in self._actors:
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()
        super().close()


def open_pool(job: Job, run: Run, load: Load) -> Pool:
    """The workers of a search.

    Args:
        job: the search.
        run: records failures.
        load: loads the job in a worker.
    """
    # decided here: another process or machine might choose differently
    job = job.with_settings(dtype=str(job.engine.dtype).removeprefix("torch."))
    config = job.plan.config
    if config.processes and pick_device(config.device).type == "cpu":
        config = replace(config, device="cpu")
    workers = Processes if config.processes else Actors
    return workers(Setup(load, config, job.fingerprints), run.note_failure)
