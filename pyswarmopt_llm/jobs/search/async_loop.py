"""``--async``: a particle moves as soon as its own value is known, on the bests known by then.

What happens follows from the seed and from two things that a clock decides: which evaluation ends next, and how many
particles were pending by then. Each row of the journal holds both (`number` of the ticket, `asked`: tickets issued), so
that an interrupted search is replayed; what was pending is evaluated again, at the same positions.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait

from pyswarmopt.base.optimizer import ParticleOptimizer
from pyswarmopt.swarm import Ticket
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.evaluation.evaluator import Evaluation
from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.evaluation.run_directory import Checkpoint, position_key
from pyswarmopt_llm.evaluation.scorer import Scorer
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.selection import Archive


class AsyncLoop:
    """The search's loop without rounds; a checkpoint follows every N values, N the population."""

    def __init__(
        self,
        job: Job,
        swarm: ParticleOptimizer,
        scorer: Scorer,
        archive: Archive,
        checkpoint: Checkpoint,
        notify: OnEvent,
    ) -> None:
        self._job, self._swarm, self._scorer = job, swarm, scorer
        self._archive, self._checkpoint, self._notify = archive, checkpoint, notify
        self._out: dict[int, Ticket] = {}
        self._begun: dict[Future[Evaluation], int] = {}  # number of the ticket
        self._handed = 0
        self._items: list[int] = []  # item evaluations at the end of each round
        self._reasons: dict[str, float] = {}

    def run(self) -> dict[str, float]:
        """Run until there is a reason to stop, pending evaluations included; returns the reasons."""
        while self._scorer.replay.tickets:
            self._replay(self._scorer.replay.tickets[0])
        while not self._reasons:
            while len(self._out) < self._scorer.capacity and not self._reasons and self._hand_out():
                pass
            self._collect()
        while self._out:
            self._collect()
        return self._reasons

    def _hand_out(self) -> bool:
        """Issue one more ticket; False if no particle is free. A known value comes back at once."""
        ticket = self._swarm.ask_one()
        if ticket is None:
            return False
        self._handed += 1
        row = self._scorer.known(ticket.x)
        if row is None:
            self._out[ticket.number] = ticket
        else:
            self._tell(ticket, row)
        return True

    def _replay(self, row: Row) -> None:
        """Repeat what led to a row of the journal."""
        while self._handed < (row.asked or 0) and self._hand_out():
            pass
        ticket = self._out.pop(row.number or 0, None)
        if ticket is None or position_key(ticket.x) != row.key:
            raise UserError(
                f"the journal's row of ticket {row.number} does not follow from those before it; resume with the "
                "versions in run.json on the same machine, or begin a new run"
            )
        self._tell(ticket, self._scorer.replay_ticket())

    def _collect(self) -> None:
        """Have all pending tickets evaluated, and take in the first that is done."""
        share = max(1, self._scorer.capacity // self._job.config.population)
        begun = set(self._begun.values())
        for number, ticket in self._out.items():
            if number not in begun:
                self._begun[self._scorer.begin(ticket.x, share)] = number
        if not self._begun:
            return
        done, _ = wait(self._begun, return_when=FIRST_COMPLETED)
        future = min(done, key=self._begun.__getitem__)
        number = self._begun.pop(future)
        ticket = self._out.pop(number)
        row = self._scorer.end(ticket.x, self._swarm.rounds, ticket.particle, future.result, number, self._handed)
        self._tell(ticket, row)

    def _tell(self, ticket: Ticket, row: Row) -> None:
        """Tell the swarm; after every N values check the reasons to stop."""
        rounds = self._swarm.rounds
        self._archive.add(ticket.x, row)
        self._swarm.tell(ticket, row.value)  # type: ignore[arg-type]  # a swarm takes tickets, too
        if self._swarm.rounds > rounds:
            self._checkpoint.keep(self._swarm)
            self._items.append(self._scorer.item_evaluations)
            news = {"iteration": rounds, "best": self._swarm.best.value, **progress(self._job, self._scorer)}
            self._notify(Event("iteration", news))
            over = self._job.budget.spent(self._items, self._scorer.seconds)
            self._reasons = self._reasons or {**self._swarm.stop(), **over}


def progress(job: Job, scorer: Scorer) -> dict[str, int]:
    """Evaluations so far, and left at most."""
    return {"evaluations": scorer.evaluations, "evaluations_left": job.config.planned - scorer.evaluations}
