"""Pools of workers: each evaluates one candidate after another, and is replaced on failure.

A failed worker is killed, so that no candidate runs in a process of unknown state. Results do not
depend on the worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.rules import MOST, RAY
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Crew, Questions, Request
from pyswarmopt_llm.servers.workers import local
from pyswarmopt_llm.servers.workers.worker import Failure, Handler, Load, Order, Reply

log = logging.getLogger(__name__)

TRIES = 3  # workers tried for one candidate
_LOOK = 1.0  # seconds between checks of the possible number of workers


class RayCluster:
    """Starts actors, as many as fit on the cluster: one per GPU, or one per group of cores.

    Every node reads base, experts and tasks from the search's paths; an actor that finds other
    files is refused.

    Args:
        address: ``ray`` (the connected cluster, the one on this machine, or a new one here) or
            ``ray://HOST[:PORT]``.
        config: configuration of the search.
        load: function of a module that loads a configuration in a worker.

    Raises:
        UserError: Ray is not installed, or the cluster does not answer.

    Attributes:
        memory: 0, since actors may be anywhere.
    """

    memory = 0

    def __init__(self, address: str, config: SearchConfig, load: Load) -> None:
        ray = optional("ray", f"`workers` {address}")
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(
                    address=None if address == RAY else address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                reason = str(error).strip().partition("\n")[0]
                raise InvalidOption(
                    "workers", address, f"the cluster does not answer ({reason}); check it"
                ) from error
        self._config = config
        self._load = load
        self._cores = config.threads or 1
        self._on_gpus = config.device != "cpu" and self._total("GPU") > 0

    def size(self) -> int:
        """Number of actors that now fit on the cluster; nodes may join and leave."""
        return max(
            int(self._total("GPU") if self._on_gpus else self._total("CPU") // self._cores), 1
        )

    def start(self, slot: int) -> RayWorker:
        """Start an actor where there is room, without waiting."""
        options = {"num_cpus": self._cores, "num_gpus": int(self._on_gpus), "max_restarts": 0}
        actor = self._ray.remote(**options)(Handler).remote(self._load, self._config)
        return RayWorker(self._ray, actor)

    def close(self) -> None:
        """Leave the cluster, if it was joined here."""
        if self._ours:
            self._ray.shutdown()

    def _total(self, resource: str) -> float:
        return float(self._ray.cluster_resources().get(resource, 0.0))


class RayWorker:
    """An actor that carries out orders.

    Args:
        ray: module `ray`.
        actor: remote `Handler`.
    """

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor

    def ask(self, order: Order) -> Reply:
        """Wait for the actor to be placed, and let it evaluate a candidate."""
        try:
            reply: Reply = self._ray.get(self._actor.answer.remote(order))
        except self._ray.exceptions.RayError as error:
            return Failure("died", str(error).strip().partition("\n")[0])
        return reply

    def close(self) -> None:
        """End the actor."""
        self._ray.kill(self._actor)


Host = local.ForkServer | RayCluster
Worker = local.LocalWorker | RayWorker


class Pool:
    """Workers that evaluate candidates. Close the pool at the end.

    Args:
        host: starts the workers; the pool grows with its size, and shrinks as workers fail.
        fingerprints: fingerprints of the files that workers must load.
        on_failure: called with kind and text of each failure, one at a time.
    """

    def __init__(
        self,
        host: Host,
        fingerprints: Mapping[str, Any],
        on_failure: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        self._host = host
        self._fingerprints = dict(fingerprints)
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._workers: dict[int, Worker] = {}  # slot -> worker
        self._free: list[int] = []
        self._closed = False
        self._threads = ThreadPoolExecutor(MOST, "worker")

    def crew(self, questions: Questions) -> Crew:
        """The crew that evaluates candidates on these questions."""
        return Crew(partial(self.evaluate, questions), self._threads)

    def evaluate(self, questions: Questions, request: Request) -> Row:
        """Evaluate a candidate on a worker.

        Raises:
            UserError: `TRIES` workers failed, or one reports an error of the user's.
            CancelledError: the pool was closed.
        """
        for tried in range(1, TRIES + 1):
            order = Order(questions, request, self._fingerprints, last=tried == TRIES)
            slot, worker = self._hire()
            reply = worker.ask(order)
            self._release(slot, reply)
            if isinstance(reply, UserError):
                raise reply
            if isinstance(reply, Row):
                return reply
            why = f"{reply.kind}: {reply.text}"
        raise UserError(
            f"{TRIES} workers failed at one candidate, the last one so: {why}; every score so far "
            "is kept: correct it and resume"
        )

    def _hire(self) -> tuple[int, Worker]:
        """A free or new worker, and its slot."""
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
        """Free a worker after its reply; end it if it failed."""
        with self._changed:
            self._changed.notify()
            if not isinstance(reply, Failure):
                self._free.append(slot)
                return
            self._workers.pop(slot).close()
            if self._closed:
                raise CancelledError
            self._on_failure(reply.kind, reply.text)
            log.warning("a worker failed (%s): %s", reply.kind, reply.text)

    def close(self) -> int:
        """End all workers at once; unfinished candidates are not evaluated.

        Returns:
            Bytes of memory that workers on this machine used.
        """
        with self._changed:
            self._closed = True
            # no worker may start while they are counted
            memory = self._host.memory
            workers = list(self._workers.values())
            self._changed.notify_all()
        for worker in workers:
            worker.close()
        self._threads.shutdown(cancel_futures=True)
        self._host.close()
        return memory


def open_pool(job: Job, run: Run, load: Callable[..., Job]) -> Pool:
    """The workers of a search.

    Args:
        job: the search.
        run: records failures.
        load: loads the job in a worker.
    """
    return Pool(host_of(job, load), job.fingerprints, run.note_failure)


def host_of(job: Job, load: Callable[..., Job]) -> Host:
    """The host that starts a search's workers."""
    # decided here: another process or machine might choose differently
    dtype = str(job.engine.dtype).removeprefix("torch.")
    config = replace(job.plan.config, dtype=dtype)
    if not config.processes:
        return RayCluster(config.workers, config, load)
    device = "cpu" if pick_device(config.device).type == "cpu" else config.device
    return local.ForkServer(replace(config, device=device), load, config.processes)
