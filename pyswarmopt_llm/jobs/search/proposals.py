"""The end of a screened search: candidates that the model of the items promises are asked, one after the other."""

from __future__ import annotations

import math

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.evaluation.scorer import Objective
from pyswarmopt_llm.jobs.search.archive import Leaders
from pyswarmopt_llm.jobs.search.async_loop import spent
from pyswarmopt_llm.jobs.search.policy import Effort
from pyswarmopt_llm.jobs.search.prepare import Job


def ask_promised(
    job: Job, objective: Objective, effort: Effort, leaders: Leaders, iteration: int, tell: OnEvent
) -> None:
    """Ask in full, as far as the budget goes, what `Screening.promising` finds; each is learnt from before the next.

    In the journal they are one more iteration, of particles whose numbers follow those of the swarm; views of a search
    do not count it.

    Args:
        job: what is searched.
        objective: asks.
        effort: holds what was learnt; without ``--screen`` nothing is done.
        leaders: told about every candidate.
        iteration: its number.
        tell: told when it is over, if there was something to ask.
    """
    screening = effort.screening
    if screening is None:
        return
    best = -math.inf
    for number, position in enumerate(screening.promises(job.config.seed)):
        if not job.budget.pays(objective.item_evaluations, objective.seconds, job.dev_items):
            return
        rules = effort.in_full(position[None])
        best = max(best, objective(position, iteration, job.particles + number, rules[0]))
        leaders.add(position, objective.known(position))
        effort.learn(objective, position[None], rules)
    if math.isfinite(best):
        tell(Event("iteration", {"iteration": iteration, "best": best, **spent(job, objective)}))


__all__ = ["ask_promised"]
