"""Workers that evaluate candidates: processes on this machine, or actors of a Ray cluster, with one
interface (docs/how-to/scaling.md).

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
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context, parent_process
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.decide import RAY
from pyswarmopt_llm.searching.prepare import Job, reopen
from pyswarmopt_llm.searching.scorer import Answer, CandidateEvaluator, Crew

ENDED = "a worker ended; scores are kept, so fix the cause (often too little memory) and resume"


@dataclass
class Worker:
    """Evaluates candidates on dev, with a search that it loads itself.

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

    def answer(self, position: Tensor) -> Answer:
        """Evaluate a candidate."""
        return self.evaluator.answer(position)


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


def _answer(position: Tensor) -> Answer:
    """The answer of this process's worker."""
    return _HERE[0].answer(position)


def _end_with_search() -> None:
    """End this process when the search's process ends, even if it is killed."""
    search = parent_process()
    if search is not None:
        search.join()
        os._exit(1)


class Processes:
    """A crew of processes on this machine; `threads` of the configuration are for each."""

    def __init__(self, worker: Worker) -> None:
        context = get_context("spawn")
        given = (context.Value("i", 0), worker)
        size = worker.config.processes
        self._executor = ProcessPoolExecutor(size, context, _begin, given)
        self._sent: dict[str, Future[Answer]] = {}

    def send(self, key: str, position: Tensor) -> None:
        self._sent[key] = self._executor.submit(_answer, position)

    def hear(self, key: str) -> Answer:
        return self._sent.pop(key).result()

    def end(self) -> None:
        """Kill the processes."""
        processes = list((self._executor._processes or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


@contextmanager
def _processes(worker: Worker) -> Iterator[Crew]:
    """The crew of processes, which end with the context.

    Raises:
        UserError: one ended.
    """
    crew = Processes(worker)
    try:
        yield crew
    except BrokenExecutor as error:
        raise UserError(ENDED) from error
    finally:
        crew.end()


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
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    finally:
        for actor in actors:
            ray.kill(actor)
        if ours:
            ray.shutdown()


class Actors:
    """A crew of Ray actors. One that ends, for example with its node, leaves the crew, and its candidate
    goes to another.
    """

    def __init__(self, ray: Any, actors: Sequence[Any]) -> None:
        self._ray = ray
        self._free = list(actors)
        self._waiting: deque[tuple[str, Tensor]] = deque()
        self._sent: dict[Any, tuple[str, Tensor, Any]] = {}  # by Ray's reference, with the actor
        self._answers: dict[str, Answer] = {}  # not yet heard

    def send(self, key: str, position: Tensor) -> None:
        self._waiting.append((key, position))
        self._hand_out()

    def hear(self, key: str) -> Answer:
        while key not in self._answers:
            self._await_one()
        return self._answers.pop(key)

    def _hand_out(self) -> None:
        """Send the waiting candidates to free actors."""
        while self._waiting and self._free:
            actor = self._free.pop()
            key, position = self._waiting.popleft()
            self._sent[actor.answer.remote(position)] = key, position, actor

    def _await_one(self) -> None:
        """Keep the next answer that comes.

        Raises:
            UserError: no actor is left.
        """
        if not self._sent:
            raise UserError(ENDED)
        (done, *_), _ = self._ray.wait([*self._sent])
        key, position, actor = self._sent.pop(done)
        try:
            self._answers[key] = self._ray.get(done)
            self._free.append(actor)
        except self._ray.exceptions.RayActorError:
            self._waiting.appendleft((key, position))
        self._hand_out()


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
