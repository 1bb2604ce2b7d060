"""Who evaluates in a search: its own process, or a pool of workers that is started with the first questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.evaluation.scorer import OnRow, Scorer
from pyswarmopt_llm.evaluation.workers.messages import LETTERS, Failed, Questions
from pyswarmopt_llm.evaluation.workers.spec import parse_workers
from pyswarmopt_llm.jobs.search.prepare import Job, prepare
from pyswarmopt_llm.models.engines.hardware import pick_device

if TYPE_CHECKING:
    from pyswarmopt_llm.evaluation.workers.local import ForkServer
    from pyswarmopt_llm.evaluation.workers.pool import Pool
    from pyswarmopt_llm.evaluation.workers.ray import RayCluster
    from pyswarmopt_llm.evaluation.workers.sharding import ShardingPool

_PHASES = {LETTERS: "letter", "dev": "search", "fresh": "confirm"}  # in the journal


class Scorers:
    """Scorers for a search's questions; a context that ends the workers.

    Args:
        job: what is scored; also an attribute, for the questions that follow.
        run: holds the journal; failures of workers are written there.
        on_row: called with every new row.

    Attributes:
        memory: bytes that the workers on this machine took when they were ended; see `memory_of`.
    """

    def __init__(self, job: Job, run: Run, on_row: OnRow) -> None:
        self.job, self._run, self._on_row = job, run, on_row
        self._workers = parse_workers(job.config.workers)
        self._pool: Pool | None = None
        self._place: ForkServer | RayCluster | None = None
        self._sharding: list[ShardingPool] = []
        self.memory = 0

    def __enter__(self) -> Scorers:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self.memory = sum(memory_of(worker.pid) for worker in self._pool.workers if worker.pid is not None)
            self._pool.close()
        if self._place is not None:
            self._place.close()
        for sharding in self._sharding:
            sharding.close()

    def scorer(self, questions: Questions) -> Scorer:
        """Scores positions on these questions, with the run's journal."""
        evaluator = self.job.evaluator(questions)
        pool = None
        if not self._workers.alone:
            from pyswarmopt_llm.evaluation.workers.sharding import ShardingPool

            self._pool = self._pool or self._start_pool()
            pool = ShardingPool(self._pool, questions, evaluator)
            self._sharding.append(pool)
        return Scorer(self._run, self.job.space, evaluator, _PHASES[questions.split], self._on_row, pool)

    def _start_pool(self) -> Pool:
        from pyswarmopt_llm.evaluation.workers import local
        from pyswarmopt_llm.evaluation.workers.pool import Pool

        job = self.job
        # What `auto` stands for is found out once: another process or machine might decide otherwise.
        config = replace(job.config, dtype=str(job.engine.dtype).removeprefix("torch."))

        def on_failure(failed: Failed) -> None:
            self._run.note_failure(failed.kind, failed.text)

        if self._workers.address:
            from pyswarmopt_llm.evaluation.workers.ray import RayCluster

            self._place = cluster = RayCluster(self._workers.address, config, prepare)
            return Pool(cluster.start_worker, cluster.size, job.fingerprints, config.timeout, on_failure)
        device = "cpu" if pick_device(config.device).type == "cpu" else config.device
        self._place = fork_server = local.ForkServer(replace(config, device=device), prepare)
        count = self._workers.count
        return Pool(fork_server.start_worker, lambda: count, job.fingerprints, config.timeout, on_failure)


def memory_of(pid: int) -> int:
    """Bytes of a process's memory, of pages that it shares with others its share (Linux; elsewhere 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # gone by now, or another system
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
