"""The pools of one search: processes, a Ray cluster, or candidates in flight on a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.evaluator import Evaluator, Questions
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.servers.workers import local
from pyswarmopt_llm.servers.workers.messages import Failed
from pyswarmopt_llm.servers.workers.pool import Pool, QuestionPool
from pyswarmopt_llm.servers.workers.served import CandidatePool, candidate_pool


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
        self._place: Any = None  # a fork server or a cluster
        self._served: list[CandidatePool] = []

    def on(self, evaluator: Evaluator, questions: Questions) -> QuestionPool | CandidatePool:
        """The pool for these questions; `evaluator` scores them in this process."""
        if self._job.config.served:
            self._served.append(candidate_pool(evaluator, self._job.engine))
            return self._served[-1]
        self._pool = self._pool or self._start()
        return QuestionPool(self._pool, questions)

    def close(self) -> int:
        """End the workers; returns the bytes of memory that those on this machine took."""
        memory = 0
        if self._pool is not None:
            memory = sum(memory_of(w.pid) for w in self._pool.workers if w.pid is not None)
            self._pool.close()
        if self._place is not None:
            self._place.close()
        for pool in self._served:
            pool.close()
        return memory

    def _start(self) -> Pool:
        job, workers = self._job, self._job.workers
        # What `auto` and the preset stand for is decided once: another process or machine might
        # decide otherwise.
        dtype = str(job.engine.dtype).removeprefix("torch.")
        config = replace(job.config, dtype=dtype, preset="none")

        def on_failure(failed: Failed) -> None:
            self._run.note_failure(failed.kind, failed.text)

        if workers.address:
            from pyswarmopt_llm.servers.workers.ray import RayCluster

            self._place = cluster = RayCluster(workers.address, config, self._load)
            return Pool(cluster.start_worker, cluster.size, job.fingerprints, on_failure)
        device = "cpu" if pick_device(config.device).type == "cpu" else config.device
        self._place = fork_server = local.ForkServer(replace(config, device=device), self._load)
        return Pool(fork_server.start_worker, lambda: workers.count, job.fingerprints, on_failure)


def memory_of(pid: int) -> int:
    """Bytes of a process's memory, its share of shared pages included (Linux; elsewhere 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # gone by now, or another system
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
