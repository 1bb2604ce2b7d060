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
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.crew import Crew, Task
from pyswarmopt_llm.searching.decide import RAY
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
    """

    config: SearchConfig
    fingerprints: Mapping[str, Any]
    answer_formats: Mapping[str, AnswerFormat]

    @cached_property
    def evaluator(self) -> CandidateEvaluator:
        """The loaded search.

        Raises:
            UserError: its files have changed.
        """
        job = reopen(self.config)
        if job.fingerprints != self.fingerprints:
            raise UserError(
                "the base model, experts or tasks changed before a worker loaded them; restore them and resume"
            )
        return job.evaluator("dev", self.answer_formats)

    def do(self, task: Task) -> Any:
        """Do a task."""
        return task.run(self.evaluator)


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
def _actors(worker: Worker) -> Iterator[Crew]:
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
        address = None if config.workers == RAY else config.workers
        try:
            # Ray's own text, by its core in C++ too, would stand before our one line.
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            why = f": the cluster does not respond ({first_line(error)}); check its address"
            raise InvalidOption("workers", config.workers, why) from error
    room = ray.cluster_resources()
    cores = config.threads or 1
    gpus = 0
    if config.device != "cpu":
        gpus = int(room.get("GPU", 0))
    kind = ray.remote(num_cpus=cores, num_gpus=int(gpus > 0))(Worker)
    given = (config, worker.fingerprints, worker.answer_formats)
    size = max(gpus or int(room.get("CPU", 0) // cores), 1)
    actors = [kind.remote(*given) for _ in range(size)]
    try:
        yield Actors(ray, actors)
    finally:
        for actor in actors:
            ray.kill(actor)
        if ours:
            ray.shutdown()


class Actors(Crew):
    """Actors of a Ray cluster. The task of one that ends goes to another.

    Args:
        ray: the package.
        actors: the actors, all free.
    """

    def __init__(self, ray: Any, actors: Sequence[Any]) -> None:
        self._ray = ray
        self._free = [*actors]
        self._numbers = count()
        self._waiting: deque[tuple[int, Task]] = deque()
        self._under_way: dict[Any, tuple[int, Task, Any]] = {}

    @property
    def size(self) -> int:
        """Number of actors that live, as far as known."""
        return len(self._free) + len(self._under_way)

    def submit(self, task: Task) -> int:
        """See `Crew.submit`."""
        number = next(self._numbers)
        self._waiting.append((number, task))
        self._start()
        return number

    def _start(self) -> None:
        """Give waiting tasks to free actors."""
        while self._waiting and self._free:
            number, task = self._waiting.popleft()
            actor = self._free.pop()
            self._under_way[actor.do.remote(task)] = number, task, actor

    def hear(self) -> tuple[int, Any]:
        """See `Crew.hear`."""
        while self._under_way:
            (done, *_), _ = self._ray.wait([*self._under_way])
            number, task, actor = self._under_way.pop(done)
            try:
                answer = self._ray.get(done)
            except self._ray.exceptions.RayActorError:
                self._waiting.appendleft((number, task))
                self._start()
                continue
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            self._free.append(actor)
            self._start()
            return number, answer
        raise UserError(ENDED)


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
    return _processes(worker) if config.processes else _actors(worker)
