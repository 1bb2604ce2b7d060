"""``--async``: a particle moves as soon as its own value is there, on the bests that are known by then.

What happens follows from the seed and from two things that a clock decides: which evaluation ends next, and how many
particles were out by then. Each row of the journal holds both (`number` of the ticket, `asked`: tickets handed out), so
that a stopped search is replayed as it was; what was out when it stopped is asked again, at the same positions.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait

import pyswarmopt as pso
from pyswarmopt.swarm import Ticket
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.evaluation.evaluator import Found
from pyswarmopt_llm.evaluation.partial import Rule
from pyswarmopt_llm.evaluation.run_directory import Checkpoint, position_key
from pyswarmopt_llm.evaluation.scorer import Objective
from pyswarmopt_llm.jobs.search.archive import Leaders
from pyswarmopt_llm.jobs.search.policy import rules_for
from pyswarmopt_llm.jobs.search.prepare import Job


class OneByOne:
    """The search's loop without rounds.

    Args:
        job: configuration and budget.
        swarm: asked by `Swarm.ask_one`.
        objective: its helpers ask, as many at a time as there are.
        leaders: see every scored candidate.
        checkpoint: kept after every N values, N the population.
        tell: told about progress.
    """

    def __init__(
        self,
        job: Job,
        swarm: pso.Swarm,
        objective: Objective,
        leaders: Leaders,
        checkpoint: Checkpoint,
        tell: OnEvent,
    ) -> None:
        self._job, self._swarm, self._objective = job, swarm, objective
        self._leaders, self._checkpoint, self._tell_event = leaders, checkpoint, tell
        self._out: dict[int, Ticket] = {}
        self._asks: dict[Future[Found], int] = {}  # whose number is out
        self._handed = 0
        self._asked: list[int] = []  # item evaluations at the end of each round
        self._reasons: dict[str, float] = {}

    def fly(self) -> dict[str, float]:
        """Until there is a reason to stop; what is out then is waited for, and counts. The reasons."""
        while self._objective.flown:
            self._replay()
        while not self._reasons:
            while len(self._out) < self._objective.helpers and not self._reasons and self._hand_out():
                pass
            self._hear()
        while self._out:
            self._hear()
        return self._reasons

    def _hand_out(self) -> bool:
        """Let one more particle out; False if none is free. One whose value is known is back at once."""
        ticket = self._swarm.ask_one()
        if ticket is None:
            return False
        self._handed += 1
        value = self._objective.remembered(ticket.x, self._rules(ticket))
        if value is None:
            self._out[ticket.number] = ticket
        else:
            self._land(ticket, value)
        return True

    def _replay(self) -> None:
        """Do as the next row says that it was."""
        row = self._objective.flown[0]
        while self._handed < row["asked"] and self._hand_out():
            pass
        ticket = self._out.pop(row["number"], None)
        if ticket is None or position_key(ticket.x) != row["key"]:
            raise UserError(
                f"the journal's row of ticket {row['number']} does not follow from those before it; resume with the "
                "versions in run.json on the same machine, or begin a new run"
            )
        self._land(ticket, self._objective.replay())

    def _hear(self) -> None:
        """Have all that are out asked, and take in the first that is back."""
        share = max(1, self._objective.helpers // len(self._swarm.positions))
        begun = set(self._asks.values())
        for number, ticket in self._out.items():
            if number not in begun:
                self._asks[self._objective.begin(ticket.x, self._rules(ticket), share)] = number
        if not self._asks:
            return
        done, _ = wait(self._asks, return_when=FIRST_COMPLETED)
        future = min(done, key=self._asks.__getitem__)
        number = self._asks.pop(future)
        ticket = self._out.pop(number)
        more = {"number": number, "asked": self._handed}
        value = self._objective.end(ticket.x, self._swarm.rounds, ticket.particle, future.result, **more)
        self._land(ticket, value)

    def _rules(self, ticket: Ticket) -> list[Rule]:
        return rules_for(self._job.config, self._swarm, self._objective, ticket.particle)

    def _land(self, ticket: Ticket, value: float) -> None:
        """Tell the swarm; after every N values look whether it is enough."""
        rounds = self._swarm.rounds
        self._leaders.add(ticket.x, self._objective.known(ticket.x))
        self._swarm.tell(ticket, value)
        if self._swarm.rounds > rounds:
            self._checkpoint.keep(self._swarm)
            self._asked.append(self._objective.item_evaluations)
            news = {"iteration": rounds, "best": self._swarm.best.value, **spent(self._job, self._objective)}
            self._tell_event(Event("iteration", news))
            over = self._job.budget.spent(self._asked, self._objective.seconds)
            self._reasons = self._reasons or {**self._swarm.stop(), **over}


def spent(job: Job, objective: Objective) -> dict[str, int]:
    """Evaluations so far, and left at most, for whoever shows progress."""
    return {"evaluations": objective.evaluations, "evaluations_left": job.planned - objective.evaluations}


__all__ = ["OneByOne", "spent"]
