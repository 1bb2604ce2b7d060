"""Who evaluates in a search: its own process, or a pool of workers that is started with the first questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.evaluation.scorer import OnRow, Scorer
from pyswarmopt_llm.evaluation.workers.local import Nursery
from pyswarmopt_llm.evaluation.workers.messages import Failed
from pyswarmopt_llm.evaluation.workers.pool import Crew
from pyswarmopt_llm.evaluation.workers.sharding import Team
from pyswarmopt_llm.evaluation.workers.spec import parse_workers
from pyswarmopt_llm.jobs.search.prepare import LETTERS, Job, Questions
from pyswarmopt_llm.models.engines.hardware import pick_device

if TYPE_CHECKING:
    from pyswarmopt_llm.evaluation.workers.ray import RayCluster

_PHASES = {LETTERS: "letter", "dev": "search", "fresh": "confirm"}  # in the journal


class Scorers:
    """Scorers for a search's questions; a context that ends the workers.

    Args:
        job: what is scored.
        run: holds the journal; failures of workers are written there.
        on_row: called with every new row.

    Attributes:
        memory: bytes that the workers on this machine took when they were ended; see `memory_of`.
    """

    def __init__(self, job: Job, run: Run, on_row: OnRow) -> None:
        self._job, self._run, self._on_row = job, run, on_row
        self._workers = parse_workers(job.config.workers)
        self._crew: Crew | None = None
        self._place: Nursery | RayCluster | None = None
        self._teams: list[Team] = []
        self.memory = 0

    def __enter__(self) -> Scorers:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._crew is not None:
            self.memory = sum(memory_of(worker.pid) for worker in self._crew.workers if worker.pid is not None)
            self._crew.close()
        if self._place is not None:
            self._place.close()
        for team in self._teams:
            team.close()

    def scorer(self, questions: Questions) -> Scorer:
        """Scores positions on these questions, with the run's journal."""
        evaluator = self._job.evaluator(questions)
        team = None
        if not self._workers.alone:
            self._crew = self._crew or self._hire()
            team = Team(self._crew, questions, evaluator)
            self._teams.append(team)
        return Scorer(self._run, self._job.space, evaluator, _PHASES[questions.split], self._on_row, team)

    def _hire(self) -> Crew:
        job = self._job
        # What `auto` stands for is found out once: another process or machine might decide otherwise.
        config = replace(job.config, dtype=str(job.engine.dtype).removeprefix("torch."))

        def on_failure(failed: Failed) -> None:
            self._run.note_failure(failed.kind, failed.text)

        if self._workers.address:
            from pyswarmopt_llm.evaluation.workers.ray import RayCluster

            self._place = cluster = RayCluster(self._workers.address, config)
            return Crew(cluster.hire, cluster.size, job.fingerprints, config.timeout, on_failure)
        device = "cpu" if pick_device(config.device).type == "cpu" else config.device
        self._place = nursery = Nursery(replace(config, device=device))
        count = self._workers.count
        return Crew(nursery.hire, lambda: count, job.fingerprints, config.timeout, on_failure)


def memory_of(pid: int) -> int:
    """Bytes of a process's memory, of pages that it shares with others its share (Linux; elsewhere 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # gone by now, or another system
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


__all__ = ["Scorers", "memory_of"]
