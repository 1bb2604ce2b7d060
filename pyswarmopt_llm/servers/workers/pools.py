"""The pools of one search: processes, a Ray cluster, or candidates in flight on a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.evaluator import Evaluator, Questions
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Crew
from pyswarmopt_llm.servers.workers import local
from pyswarmopt_llm.servers.workers.pool import Pool
from pyswarmopt_llm.servers.workers.served import ServedPool
from pyswarmopt_llm.servers.workers.worker import Host


class Pools:
    """Pools on the same workers, for one set of questions after the other.

    Args:
        job: the search.
        run: notes failures.
        load: loads the job in a worker.
    """

    def __init__(self, job: Job, run: Run, load: Callable[..., Job]) -> None:
        self._job, self._run, self._load = job, run, load
        self._pool: Pool | None = None
        self._served: list[ServedPool] = []

    def on(self, evaluator: Evaluator, questions: Questions) -> Crew:
        """The crew for these questions; `evaluator` scores them in this process."""
        if self._job.config.served:
            self._served.append(ServedPool(evaluator, self._job.engine))
            return self._served[-1].crew
        self._pool = self._pool or Pool(
            self._host(), self._job.fingerprints, self._run.note_failure
        )
        return self._pool.crew(questions)

    def close(self) -> int:
        """End the workers; returns the bytes of memory that those on this machine took."""
        memory = 0 if self._pool is None else self._pool.close()
        for pool in self._served:
            pool.close()
        return memory

    def _host(self) -> Host:
        job, workers = self._job, self._job.workers
        # What `auto` and the preset stand for is decided once: another process or machine might
        # decide otherwise.
        dtype = str(job.engine.dtype).removeprefix("torch.")
        config = replace(job.config, dtype=dtype, preset="none")
        if workers.address:
            from pyswarmopt_llm.servers.workers.ray import RayCluster

            return RayCluster(workers.address, config, self._load)
        device = "cpu" if pick_device(config.device).type == "cpu" else config.device
        return local.ForkServer(replace(config, device=device), self._load, workers.count)
