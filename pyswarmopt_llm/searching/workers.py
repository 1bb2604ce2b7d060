"""Workers that do the tasks of a search (`crew`): processes on this machine, or actors of a Ray cluster
(docs/how-to/scaling.md).

Results do not depend on the worker. If a process fails or ends, the search ends and can be resumed;
if a Ray actor ends, for example with its node, the others continue.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from socket import gethostname
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import versions
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.cluster import Actors, Cluster, address_of
from pyswarmopt_llm.searching.crew import Crew, Task
from pyswarmopt_llm.searching.prepare import Job, reopen
from pyswarmopt_llm.searching.scorer import CandidateEvaluator

ENDED = "a worker ended; scores are kept, so fix the cause (often too little memory) and resume"


@dataclass
class Worker:
    """Does tasks with a search that it loads itself.

    Attributes:
        config: decided settings of the search.
        fingerprints: those of the search's files.
        answer_formats: answer format of each task.
        versions: package -> version.
    """

    config: SearchConfig
    fingerprints: Mapping[str, Any]
    answer_formats: Mapping[str, AnswerFormat]
    versions: Mapping[str, str] = field(default_factory=versions)

    @cached_property
    def evaluator(self) -> CandidateEvaluator:
        """The loaded search.

        Raises:
            UserError: its files or versions are not those that the search began with.
        """
        where = f"the worker on {gethostname()}"
        if other := different(self.versions, versions()):
            raise UserError(f"{where} has other versions: {other}; install the same and resume")
        job = reopen(self.config)
        if other := different(self.fingerprints, job.fingerprints):
            raise UserError(f"{where} has other files: {other}; restore them and resume")
        return job.evaluator("dev", self.answer_formats)

    def do(self, task: Task) -> Any:
        """Do a task."""
        return task.run(self.evaluator)

    def fault(self) -> str:
        """Load the search. Returns why that cannot be done; "" if it can."""
        try:
            _ = self.evaluator
        except UserError as error:
            return str(error)
        return ""


def different(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """What differs between two records, by name; "" if nothing does.

    Example:
        >>> different({"base": "a", "experts": {"x": 1, "y": 2}}, {"base": "a", "experts": {"x": 1, "y": 3}})
        'experts y'
    """
    names = []
    for name in sorted(ours.keys() | theirs.keys()):
        one = ours.get(name)
        other = theirs.get(name)
        if one == other:
            continue
        within = ""
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            within = f" {different(one, other)}"
        names.append(f"{name}{within}")
    return ", ".join(names)


# Processes

_HERE: list[Worker] = []  # the worker in this process


def _begin(slots: Any, worker: Worker) -> None:
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
    if worker.config.device in ("auto", "cuda") and gpus > 1:
        worker = replace(worker, config=replace(worker.config, device=f"cuda:{slot % gpus}"))
    _HERE.append(worker)


def _do(task: Task) -> Any:
    """The answer of this process's worker."""
    return _HERE[0].do(task)


def _end_with_search() -> None:
    """End this process when the search's process ends, even if it is killed."""
    search = parent_process()
    if search is not None:
        search.join()
        os._exit(1)


class Processes(Crew):
    """Processes on this machine.

    Args:
        executor: makes them workers.
        size: number of processes.
    """

    size = 0

    def __init__(self, executor: Executor, size: int) -> None:
        self._executor = executor
        self.size = size
        self._numbers = count()
        self._heard: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()

    def submit(self, task: Task) -> int:
        """See `Crew.submit`."""
        number = next(self._numbers)
        future = self._executor.submit(_do, task)
        future.add_done_callback(partial(self._hear, number))
        return number

    def _hear(self, number: int, future: Future[Any]) -> None:
        self._heard.put((number, future))

    def hear(self) -> tuple[int, Any]:
        """See `Crew.hear`."""
        number, future = self._heard.get()
        return number, future.result()


@contextmanager
def _processes(worker: Worker) -> Iterator[Crew]:
    """Processes on this machine; `threads` of the configuration are for each."""
    context = get_context("spawn")
    given = (context.Value("i", 0), worker)
    size = worker.config.processes
    executor = ProcessPoolExecutor(size, context, _begin, given)
    try:
        yield Processes(executor, size)
    except BrokenExecutor as error:
        raise UserError(ENDED) from error
    finally:
        processes = list((executor._processes or {}).values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


# Ray


@contextmanager
def _actors(worker: Worker, job: Job) -> Iterator[Crew]:
    """Actors of a Ray cluster, one per GPU or per group of cores.

    Every node reads the base, experts and tasks from the search's paths. `workers` of the configuration
    is ``ray`` (the connected cluster, the one on this machine, or a new one here) or
    ``ray://HOST[:PORT]``.

    Raises:
        UserError: Ray is not installed, the cluster does not respond, or all actors ended.
    """
    config = worker.config
    ray: Any = optional("ray", f"`workers` {config.workers}")
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, config.workers)
    given = (config, worker.fingerprints, worker.answer_formats, worker.versions)
    cluster = Cluster(ray, config, Worker, given, job.tell)
    cluster.tell(cluster.summary())
    for line in job.idle(cluster.room()):
        cluster.tell(line)
    try:
        yield Actors(cluster)
    finally:
        cluster.leave()
        if ours:
            ray.shutdown()


def _connect(ray: Any, workers: str) -> None:
    """Connect to the cluster, or start one, in silence; SIGTERM stays as it is handled.

    Raises:
        InvalidOption: the cluster cannot be used.
    """
    address = address_of(workers)
    handler = signal.getsignal(signal.SIGTERM)
    # Ray's own text, by its core in C++ too, would stand before our one line.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except ImportError as error:
        why = f': {first_line(error)}; install "ray[client]"'
        raise InvalidOption("workers", workers, why) from error
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        text = " ".join(str(error).split())
        if "ersion mismatch" not in text:
            text = first_line(error)
        why = f": the cluster cannot be used ({text}); check its address and versions"
        raise InvalidOption("workers", workers, why) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def open_crew(job: Job, answer_formats: Mapping[str, AnswerFormat]) -> AbstractContextManager[Crew]:
    """The workers of a search, which end with the context.

    Args:
        job: the search.
        answer_formats: answer format of each task.
    """
    # decided here: another process or machine might choose differently
    job = job.with_settings(dtype=str(job.engine.dtype).removeprefix("torch."))
    config = job.config
    if config.processes and pick_device(config.device).type == "cpu":
        config = replace(config, device="cpu")
    worker = Worker(config, job.fingerprints, answer_formats)
    if config.processes:
        return _processes(worker)
    return _actors(worker, job)
