"""The first stage of a search: score candidates on dev and choose one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.optimizers import optimizer
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.explore import Proposer, explore
from pyswarmopt_llm.searching.formats import choose_scorings, warn_of_useless_scores
from pyswarmopt_llm.searching.leaders import Archive
from pyswarmopt_llm.searching.prepare import Contestant, Job, reopen
from pyswarmopt_llm.searching.progress import Progress, tell_price, tell_start
from pyswarmopt_llm.searching.race import Start, begin, draw_shares
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal, Run
from pyswarmopt_llm.searching.scoring.scorer import Questions, Scorer


@dataclass(frozen=True)
class Found:
    """Result of a search on dev.

    Attributes:
        chosen: the chosen model; it is the result unless training changes it.
        archive: candidates scored in full.
        experts: a row for each expert.
        single: number of the best expert.
        scorings: how each task is scored.
        stop: reasons to stop, as in ``result.json``.
        remarks: what a user should know about the race and the proposals.
        scorer: dev scorer; its workers have ended.
        memory: bytes that workers used.
    """

    chosen: Contestant
    archive: Archive
    experts: Sequence[Row]
    single: int
    scorings: Mapping[str, Scoring]
    stop: Mapping[str, Any]
    remarks: Sequence[str]
    scorer: Scorer
    memory: int = 0


def find(job: Job, run: Run, tell: OnEvent, checkpoint: str = "swarm") -> Found:
    """Score experts and candidates, starting points first, and choose one.

    Args:
        job: the search.
        run: run directory, locked.
        tell: called with progress.
        checkpoint: name of the swarm's checkpoint.
    """
    tell_start(job, str(run.path), tell)
    progress = Progress(job.plan.evaluations, tell)
    pool = None
    if not job.plan.alone:
        from pyswarmopt_llm.servers.workers.pool import open_pool

        pool = open_pool(job, run, reopen)
    try:
        scorings = choose_scorings(job, run, progress.on_row, tell)
        questions = Questions("dev", tuple(scorings.items()))
        crew = None if pool is None else pool.crew(questions)
        scorer = Scorer(run, job.evaluator(questions), on_row=progress.on_row, crew=crew)
        found = explored(job, run, scorer, scorings, progress, checkpoint)
    finally:
        memory = 0 if pool is None else pool.close()
    return replace(found, memory=memory)


def explored(
    job: Job,
    run: Journal,
    scorer: Scorer,
    scorings: Mapping[str, Scoring],
    progress: Progress,
    checkpoint: str = "swarm",
) -> Found:
    """Score the experts, explore, and choose the best.

    Args:
        job: the search.
        run: store and history of the search.
        scorer: dev scorer.
        scorings: how each task is scored.
        progress: reports progress.
        checkpoint: name of the swarm's checkpoint.
    """
    start = _score_experts(job, scorer, progress)
    warn_of_useless_scores(job, start.experts, scorings, progress.tell)
    archive = Archive(job.objectives.names)
    with closing(make_proposer(job, run, start, checkpoint)) as proposer:
        stop = explore(proposer, scorer, job.plan.budget, archive, progress)
        best = proposer.best()
    remarks = [*start.remarks(job.pool.space.expert_names, job.plan.items), *proposer.remarks]
    if any(metric.gamed for metric in job.objectives.metrics.values()) and job.plan.kind.linear:
        remarks += outside(best.x)
    for text in remarks:
        progress.tell(note(text))
    return Found(
        chosen=Contestant(best.x, value=best.value),
        archive=archive,
        experts=start.experts,
        single=start.single,
        scorings=scorings,
        stop=stop,
        remarks=remarks,
        scorer=scorer,
    )


def _score_experts(job: Job, scorer: Scorer, progress: Progress) -> Start:
    """Score the experts, by racing where the plan says so."""
    experts = job.pool.space.vertices()
    shares = (
        draw_shares(job.objectives.items, job.plan.config.seed)
        if job.plan.config.method == "items"
        else []
    )
    # the first expert's cost, in a race on the first share of items, sets the pace
    (first,) = scorer.score([experts[0]], 0, share=next(iter(shares), None))
    tell_price(job, first, progress.tell)
    start = begin(scorer, experts, job.starts, shares)
    if start.decided:
        progress.planned -= job.plan.proposals
    return start


def make_proposer(job: Job, run: Journal, start: Start, checkpoint: str) -> Proposer:
    """The proposer that a job's `method` names, to be closed after use.

    Args:
        job: the search.
        run: store and history of the search.
        start: scores of the experts.
        checkpoint: name of the swarm's checkpoint.
    """
    config = job.plan.config
    if config.method == "swarm":
        from pyswarmopt_llm.searching.swarm import Dropout, SwarmProposer

        drops = Dropout(config.drop_k or 0.0, config.drop_n or 0.0, config.seed)
        return SwarmProposer(optimizer(config, job.starts), drops, run.checkpoint(checkpoint))
    from pyswarmopt_llm.searching.surrogate import Surrogate

    return Surrogate(
        config.method,
        starts=job.starts[list(start.numbers)],
        numbers=start.numbers,
        experts=job.pool.space.expert_names,
        tasks=job.objectives.names,
        combine=job.objectives.combine,
        most=0 if start.decided else job.plan.proposals,
        seed=config.seed,
        at_once=job.plan.side_by_side,
        floor=start.value,
        left_out=start.dropped,
        noisy=config.temperature > 0,
    )


def outside(position: Tensor) -> list[str]:
    """How a mixture, (n,), differs from an average of the experts, in words; [] if it is one.

    Example:
        >>> import torch
        >>> outside(torch.tensor([0.25, 0.75]))
        []
        >>> outside(torch.tensor([1.5, -0.25]))
        ['the mixture is no average of the experts: its weights sum to 1.25, from -0.25 to 1.50']
    """
    total = float(position.sum())
    least = float(position.min())
    if least >= 0 and math.isclose(total, 1.0, abs_tol=1e-6):
        return []
    text = "the mixture is no average of the experts: its weights sum to"
    return [f"{text} {total:.2f}, from {least:.2f} to {float(position.max()):.2f}"]
