"""Workers that evaluate candidates: processes on this machine, or actors of a Ray cluster, both
executors of `concurrent.futures` (docs/how-to/scaling.md).

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
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import (
    InvalidOption,
    NoRoomError,
    NotFiniteError,
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
class Order:
    """A candidate to evaluate.

    Attributes:
        questions: questions to score.
        request: candidate.
        fingerprints: fingerprints of the files that the search loaded.
        last: whether this is the last attempt; smaller batches are then accepted.
    """

    questions: Questions
    request: Request
    fingerprints: Mapping[str, Any]
    last: bool = False


@dataclass(frozen=True)
class Failure:
    """A worker's failure; another worker may succeed.

    Attributes:
        kind: exception, not finite, out of memory or died.
        text: what happened.
    """

    kind: str
    text: str


Reply = Row | UserError | Failure


# In a worker


class Handler:
    """Carries out orders in the worker's process.

    Args:
        load: loads a configuration.
        config: configuration of the search.
    """

    def __init__(self, load: Load, config: SearchConfig) -> None:
        self._load = load
        self._config = config
        self._job: Job | None = None
        self._evaluators: dict[Questions, Evaluator] = {}
        self._batch_tokens = 0

    def answer(self, order: Order) -> Reply:
        """Evaluate a candidate; any exception becomes a reply. After a failure everything is loaded
        anew, so that no candidate runs in an unknown state.
        """
        try:
            reply = self._evaluated(order)
        except UndefinedModelError as error:
            return UndefinedModelError(error.text)
        except NotFiniteError as error:
            reply = Failure("not finite", str(error))
        except NoRoomError as error:
            reply = UserError(error.text) if order.last else Failure("out of memory", str(error))
        except UserError as error:
            return UserError(error.text)
        except Exception as error:  # a user's function or a library's kernel may raise anything
            text = " ".join(f"{type(error).__name__}: {error}".split())
            reply = Failure("out of memory" if out_of_memory(error) else "exception", text)
        if isinstance(reply, Failure):
            self._job = None
        return reply

    def _evaluated(self, order: Order) -> Reply:
        job = self._job
        if job is None:
            self._job = job = self._load(self._config)
            self._evaluators = {}
            self._batch_tokens = _batch_tokens(job)
        if order.fingerprints != job.fingerprints:
            return UserError(
                "a worker has loaded other files than this search: base, experts or tasks changed"
            )
        if order.questions not in self._evaluators:
            self._evaluators[order.questions] = job.evaluator(order.questions)
        row = self._evaluators[order.questions].evaluate(order.request)
        if _batch_tokens(job) < self._batch_tokens and not order.last:
            # The engine continued with smaller batches, whose values may differ in the last bit.
            text = f"batches of {self._batch_tokens} tokens do not fit any more"
            return Failure("out of memory", text)
        return row


def _batch_tokens(job: Job) -> int:
    """Tokens of a batch, chosen by memory."""
    return int(getattr(job.engine, "batch_tokens", 0))


_HERE: list[Handler] = []  # the handler of this process


def _begin(load: Load, config: SearchConfig, slots: Any) -> None:
    """Make this process a worker: it ends with the search's process, and prints nothing.

    Args:
        load: loads a configuration.
        config: configuration of the search.
        slots: shared counter of the processes; several GPUs are used in turn.
    """
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the search ends its workers
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    threading.Thread(target=_end_with_search, daemon=True).start()
    with slots.get_lock():
        slot = slots.value
        slots.value += 1
    gpus = torch.cuda.device_count()
    if config.device in ("auto", "cuda") and gpus > 1:
        config = replace(config, device=f"cuda:{slot % gpus}")
    _HERE.append(Handler(load, config))


def _carry_out(order: Order) -> Reply:
    """Carry out an order in this process."""
    return _HERE[0].answer(order)


def _end_with_search() -> None:
    """End this process when the search's process ends, even if it is killed."""
    search = parent_process()
    if search is not None:
        search.join()
        os._exit(1)


# In the search


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
        super().__init__(self.size, context, _begin, (load, config, context.Value("i", 0)))

    def order(self, order: Order) -> Future[Reply]:
        """Let a process carry out an order."""
        return self.submit(_carry_out, order)

    @property
    def memory(self) -> int:
        """Bytes of memory of the processes."""
        return sum(map(_memory_of, list(self._processes or ())))

    def end(self) -> None:
        """End all processes at once."""
        processes = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def _memory_of(pid: int) -> int:
    """Bytes of a process's memory, including its part of shared pages (Linux; elsewhere 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # already gone, or another system
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


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
        """The reply of a worker, or its failure; new workers take the place of broken ones."""
        with self._lock:
            if self._closed:
                raise CancelledError
            workers = self._workers
        try:
            reply = workers.order(order).result()
        except BrokenExecutor:
            failure = Failure("died", "its process ended")
            self._note(failure, broken=workers)
            return failure
        if isinstance(reply, Failure):
            self._note(reply)
        return reply

    def _note(self, failure: Failure, broken: Workers | None = None) -> None:
        """Report a failure; all workers of a pool break together, and count as one."""
        with self._lock:
            if self._closed:
                raise CancelledError
            if broken is not None:
                if broken is not self._workers:
                    return
                broken.end()
                self._workers = self._start()
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
    config = replace(job.plan.config, dtype=str(job.engine.dtype).removeprefix("torch."))
    if not config.processes:
        return Pool(partial(Actors, config, load), job.fingerprints, run.note_failure)
    if pick_device(config.device).type == "cpu":
        config = replace(config, device="cpu")
    return Pool(partial(Processes, config, load), job.fingerprints, run.note_failure)
