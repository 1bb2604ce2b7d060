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
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import (
    InvalidOption,
    NoRoomError,
    UndefinedModelError,
    UserError,
    first_line,
)
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.hardware import out_of_memory, pick_device
from pyswarmopt_llm.searching.decide import RAY
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Crew, Evaluator, Questions, Request

log = logging.getLogger(__name__)

TRIES = 3  # evaluations of one candidate
Load = Callable[[SearchConfig], Job]  # sent to workers by name


@dataclass(frozen=True)
class Failure:
    """A worker's failure, after which another worker may succeed: exception, out of memory or died."""

    kind: str
    text: str


Reply = Row | UserError | Failure


class Handler:
    """Evaluates candidates in a worker, which loads the search itself.

    Args:
        load: loads a configuration.
        config: configuration of the search.
        fingerprints: fingerprints of the files that the search loaded.
    """

    def __init__(self, load: Load, config: SearchConfig, fingerprints: Mapping[str, Any]) -> None:
        self._load = load
        self._config = config
        self._fingerprints = fingerprints
        self._job: Job | None = None
        self._evaluators: dict[Questions, Evaluator] = {}

    def answer(self, questions: Questions, request: Request) -> Reply:
        """Evaluate a candidate; any exception becomes a reply. After a failure everything is loaded
        anew, so that no candidate runs in an unknown state.
        """
        try:
            return self._evaluated(questions, request)
        except UndefinedModelError as error:
            return UndefinedModelError(error.text)
        except Exception as error:  # a user's function or a library's kernel may raise anything
            full = isinstance(error, NoRoomError) or out_of_memory(error)
            if isinstance(error, UserError) and not full:
                return UserError(error.text)
            self._job = None
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Failure("out of memory" if full else "exception", text)

    def _evaluated(self, questions: Questions, request: Request) -> Row:
        if self._job is None:
            self._job = self._load(self._config)
            self._evaluators = {}
        if self._job.fingerprints != self._fingerprints:
            raise UserError(
                "a worker has loaded other files than this search: base, experts or tasks changed"
            )
        if questions not in self._evaluators:
            self._evaluators[questions] = self._job.evaluator(questions)
        return self._evaluators[questions].evaluate(request)


class Workers(Protocol):
    """Several workers; `size` of them evaluate at a time."""

    size: int

    def answer(self, questions: Questions, request: Request) -> Reply:
        """Evaluate a candidate on a free worker; `BrokenExecutor` if all have ended."""

    @property
    def memory(self) -> int:
        """Bytes of memory of the workers on this machine."""

    def end(self) -> None:
        """End all workers at once."""


# Processes

_HERE: list[Handler] = []  # the handler of this process


def _begin(slots: Any, load: Load, config: SearchConfig, fingerprints: Mapping[str, Any]) -> None:
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
    if config.device in ("auto", "cuda") and gpus > 1:
        config = replace(config, device=f"cuda:{slot % gpus}")
    _HERE.append(Handler(load, config, fingerprints))


def _answer(questions: Questions, request: Request) -> Reply:
    return _HERE[0].answer(questions, request)


def _end_with_search() -> None:
    """End this process when the search's process ends, even if it is killed."""
    search = parent_process()
    if search is not None:
        search.join()
        os._exit(1)


class Processes:
    """Processes on this machine; `threads` of the configuration are for each."""

    def __init__(self, load: Load, config: SearchConfig, fingerprints: Mapping[str, Any]) -> None:
        self.size = config.processes
        context = get_context("spawn")
        given = (context.Value("i", 0), load, config, fingerprints)
        self._executor = ProcessPoolExecutor(self.size, context, _begin, given)

    def answer(self, questions: Questions, request: Request) -> Reply:
        """See `Workers`."""
        return self._executor.submit(_answer, questions, request).result()

    @property
    def memory(self) -> int:
        """See `Workers`; of shared pages their part."""
        return sum(map(_memory_of, list(self._executor._processes or ())))

    def end(self) -> None:
        """See `Workers`."""
        processes = list((self._executor._processes or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def _memory_of(pid: int) -> int:
    """Bytes of a process's memory (Linux; elsewhere 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # already gone, or another system
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class Actors:
    """Actors of a Ray cluster, one per GPU or per group of cores.

    Every node reads base, experts and tasks from the search's paths. `workers` of the configuration
    is ``ray`` (the connected cluster, the one on this machine, or a new one here) or
    ``ray://HOST[:PORT]``.

    Raises:
        UserError: Ray is not installed, or the cluster does not answer.
    """

    memory = 0  # actors may be anywhere

    def __init__(self, load: Load, config: SearchConfig, fingerprints: Mapping[str, Any]) -> None:
        ray: Any = optional("ray", f"`workers` {config.workers}")
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            address = None if config.workers == RAY else config.workers
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                why = f"the cluster does not answer ({first_line(error)}); check it"
                raise InvalidOption("workers", config.workers, why) from error
        room = ray.cluster_resources()
        cores = config.threads or 1
        gpus = int(room.get("GPU", 0)) if config.device != "cpu" else 0
        self.size = max(gpus or int(room.get("CPU", 0) // cores), 1)
        actor = ray.remote(num_cpus=cores, num_gpus=int(gpus > 0), max_restarts=0)(Handler)
        self._start = partial(actor.remote, load, config, fingerprints)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.size):
            self._free.put(self._start())

    def answer(self, questions: Questions, request: Request) -> Reply:
        """See `Workers`; another actor takes the place of a dead one."""
        actor = self._free.get()
        try:
            reply: Reply = self._ray.get(actor.answer.remote(questions, request))
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)
            threading.Thread(target=self._replace, daemon=True).start()
            return Failure("died", first_line(error))
        self._free.put(actor)
        return reply

    def _replace(self) -> None:
        """Start an actor, which is free once a node has room for it."""
        actor = self._start()
        self._ray.get(actor.__ray_ready__.remote())
        self._free.put(actor)

    def end(self) -> None:
        """End the actors, and leave the cluster if it was joined here."""
        while not self._free.empty():
            self._ray.kill(self._free.get())
        if self._ours:
            self._ray.shutdown()


# In the search


class Pool:
    """Workers that evaluate candidates. Close the pool at the end.

    Args:
        start: starts workers, at first and after their death.
        on_failure: called with kind and text of each failure, one at a time.
    """

    def __init__(
        self, start: Callable[[], Workers], on_failure: Callable[[str, str], None]
    ) -> None:
        self._start = start
        self._on_failure = on_failure
        self._lock = threading.Lock()
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
        for _ in range(TRIES):
            reply = self._asked(questions, request)
            if isinstance(reply, UserError):
                raise reply
            if isinstance(reply, Row):
                return reply
            why = f"{reply.kind}: {reply.text}"
        raise UserError(
            f"{TRIES} workers failed at one candidate, the last one so: {why}; every score so far "
            "is kept: correct it and resume"
        )

    def _asked(self, questions: Questions, request: Request) -> Reply:
        """The reply of a worker; a failure is told, and broken workers are replaced.

        All workers of a pool break together, which counts as one failure.
        """
        workers = self._workers
        broken = False
        try:
            reply = workers.answer(questions, request)
        except BrokenExecutor:
            broken = True
            reply = Failure("died", "its process ended")
        with self._lock:
            if self._closed:
                raise CancelledError
            if isinstance(reply, Failure) and workers is self._workers:
                log.warning("a worker failed (%s): %s", reply.kind, reply.text)
                self._on_failure(reply.kind, reply.text)
                if broken:
                    workers.end()
                    self._workers = self._start()
        return reply

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
    config = replace(job.plan.config, dtype=str(job.engine.dtype).removeprefix("torch."))
    if config.processes and pick_device(config.device).type == "cpu":
        config = replace(config, device="cpu")
    workers = Processes if config.processes else Actors
    return Pool(partial(workers, load, config, job.fingerprints), run.note_failure)
