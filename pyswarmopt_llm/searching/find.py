"""The first stage of a search: score candidates on dev and choose one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.config import PATIENCE
from pyswarmopt_llm.common.events import Event, OnEvent, note
from pyswarmopt_llm.common.optimizers import make_optimizer, released
from pyswarmopt_llm.scores.metrics.accuracy import (
    TRIED,
    beats_chance,
    choose_scoring,
    option_counts,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.combine import find_combine
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.prepare import Contestant, Job, reopen
from pyswarmopt_llm.searching.race import Start, begin, draw_shares
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal, Run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Questions, Scorer
from pyswarmopt_llm.searching.surrogate import Surrogate

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.swarm import SwarmProposer

_SHOWN = ("phase", "iteration", "particle", "value", "n", "seconds", "coefficients")


@dataclass
class Progress:
    """Reports rows and batches to a listener.

    Example:
        >>> progress = Progress(lambda event: print(event.kind, event.data["best"], event.data["evaluations"]))
        >>> progress.on_row(Row("search", 0, 0, "k", [1.0], value=0.5, n=8, seconds=1.0, items={"t": "1"}))
        evaluation 0.5 1
    """

    tell: OnEvent
    _best: float = field(default=-math.inf, init=False)
    _keys: set[str] = field(default_factory=set, init=False)

    def on_row(self, row: Row, known: bool = False) -> None:
        """Report a row of the search, unless it is of another phase and was known before."""
        data = {name: getattr(row, name) for name in _SHOWN}
        if row.phase == "search":
            self._best = max(self._best, row.value)
            self._keys.add(row.key)
            self._tell("replayed" if known else "evaluation", data)
        elif not known:
            self.tell(Event("trial", data))

    def on_iteration(self, iteration: int) -> None:
        """Report an iteration, or a batch of proposals."""
        self._tell("iteration", {"iteration": iteration})

    def _tell(self, kind: str, data: Mapping[str, Any]) -> None:
        self.tell(Event(kind, {**data, "best": self._best, "evaluations": len(self._keys)}))


@dataclass(frozen=True)
class Found:
    """Result of a search on dev.

    Attributes:
        chosen: the chosen model; it is the result unless training changes it.
        experts: a row for each expert.
        single: number of the best expert.
        scorings: how each task is scored.
        stop: reasons to stop, as in ``result.json``.
        remarks: what a user should know about the race and the proposals.
        scorer: dev scorer; its workers have ended.
    """

    chosen: Contestant
    experts: Sequence[Row]
    single: int
    scorings: Mapping[str, Scoring]
    stop: Mapping[str, Any]
    remarks: Sequence[str]
    scorer: Scorer


def find(job: Job, run: Run, tell: OnEvent, checkpoint: str = "swarm") -> Found:
    """Score experts and candidates, starting points first, and choose one.

    Args:
        job: the search.
        run: run directory, locked.
        tell: called with progress.
        checkpoint: name of the swarm's checkpoint.
    """
    tell_start(job, str(run.path), tell)
    progress = Progress(tell)
    pool = None
    if not job.plan.alone:
        from pyswarmopt_llm.servers.workers import open_pool

        pool = open_pool(job, run, reopen)
    try:
        scorings = choose_scorings(job, run, progress)
        questions = Questions("dev", tuple(scorings.items()))
        crew = None if pool is None else pool.crew(questions)
        scorer = Scorer(run, job.evaluator(questions), on_row=progress.on_row, crew=crew)
        return explored(job, run, scorer, scorings, progress, checkpoint)
    finally:
        if pool is not None:
            pool.close()


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
    remarks = start.remarks(job.pool.space.expert_names)
    with ExitStack() as stack:
        proposer: Surrogate | SwarmProposer
        if job.plan.config.method == "swarm":
            proposer = _swarm(job, run, checkpoint, stack)
        else:
            proposer = _surrogate(job, start, remarks)
        stop = explore(proposer, scorer, job.plan.budget, progress)
        best = proposer.best()
    for text in remarks:
        progress.tell(note(text))
    chosen = Contestant(best.x, value=best.value)
    return Found(chosen, start.experts, start.single, scorings, stop, remarks, scorer)


def explore(
    proposer: Surrogate | SwarmProposer,
    scorer: Scorer,
    budget: Budget,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Score what a proposer suggests until the proposer or the budget ends the search.

    The starting points are scored whatever they cost. A later batch beyond the budget is not begun.

    Returns:
        The reasons to stop.
    """
    for batch in proposer.batches():
        if batch.iteration > 0:
            more = len(batch.positions) * scorer.items
            over = budget.exceeded(scorer.item_evaluations, scorer.seconds, more)
            if over:
                return over
        rows = scorer.score(list(batch.positions), batch.iteration, batch.numbers)
        proposer.tell(batch.positions, rows)
        if progress is not None:
            progress.on_iteration(batch.iteration)
    return proposer.stop()


def choose_scorings(job: Job, run: Run, progress: Progress) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries letters on the first experts, and reports it."""
    possible = {
        name: job.objectives.scorings(name, job.plan.config.scoring, job.engine.likelihoods)
        for name in job.tasks
    }
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if not tried:
        return scorings
    trials = {name: trial_of(job.tasks[name], job.engine.chat) for name in tried}
    combine = find_combine("harmonic", len(trials))
    evaluator = Evaluator(job.pool.space, job.engine, trials, combine)
    trial = Scorer(run, evaluator, "letter", progress.on_row)
    rows = trial.score(list(job.pool.space.vertices()[:TRIED]), 0)
    for name in tried:
        scores = [row.score(name) for row in rows]
        scorings[name] = choose_scoring(possible[name], job.tasks[name].dev, scores.copy)
        best = max(score.value for score in scores)
        told = f"asked for the letter of an option, the best expert has {best:.3f}"
        progress.tell(note(f"{name}: {told}; {scorings[name]} scoring is used"))
    return scorings


def _score_experts(job: Job, scorer: Scorer, progress: Progress) -> Start:
    """Score the experts; they race if a model of the items will propose mixtures of them."""
    experts = job.pool.space.vertices()
    shares = []
    if job.plan.config.method == "items":
        shares = draw_shares(job.objectives.items, job.plan.config.seed)
    # the first expert's cost, in a race on the first share of items, sets the pace
    (first,) = scorer.score([experts[0]], 0, share=next(iter(shares), None))
    tell_price(job, first, progress.tell)
    start = begin(scorer, experts, job.starts, shares)
    for name, task in job.tasks.items():
        guesses = job.objectives.metrics[name].name == "accuracy" and option_counts(task.dev)
        if guesses and not beats_chance(task.dev, [row.score(name) for row in start.experts]):
            text = f"{name}: no expert is measurably better than guessing on dev"
            progress.tell(note(text))
    return start


def _swarm(job: Job, run: Journal, checkpoint: str, stack: ExitStack) -> SwarmProposer:
    """The proposer that runs iterations; the stack releases its optimizer."""
    from pyswarmopt_llm.searching.swarm import Dropout, SwarmProposer

    config = job.plan.config
    optimizer = make_optimizer(
        config.optimizer,
        job.starts,
        population=max(config.population, len(job.starts)),
        max_iter=config.iterations,
        patience=config.patience or PATIENCE,
        seed=config.seed,
        compat="reference" if config.reference else "paper",
        settings=config.settings,
    )
    drops = Dropout(config.drop_k or 0.0, config.drop_n or 0.0, config.seed)
    return SwarmProposer(
        stack.enter_context(released(optimizer)),
        drops,
        run.checkpoint(checkpoint),
        name=config.optimizer,
    )


def _surrogate(job: Job, start: Start, remarks: list[str]) -> Surrogate:
    """The proposer that learns; it adds to the remarks."""
    config = job.plan.config
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
        remarks=remarks,
    )


def tell_start(job: Job, run: str, tell: OnEvent) -> None:
    """Describe the search, with what a user should know about it."""
    plan = job.plan
    start = {
        "run": run,
        "experts": list(job.pool.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": plan.config.population,
        "settings": asdict(plan.config),
        "given": plan.given,
        "training": plan.training if plan.trains else "",
        "dev_items": plan.distinct("dev"),
        "evaluations_planned": plan.evaluations,
        "passes": plan.passes,
    }
    tell(Event("start", start))
    for text in (*job.notes.values(), *plan.prices):
        tell(note(text))


def tell_price(job: Job, first: Row, tell: OnEvent) -> None:
    """Report the greatest cost of the search, at the pace of the first evaluation."""
    plan = job.plan
    item = first.seconds / max(first.n, 1)
    price = {
        "passes": sum(plan.passes.values()),
        "seconds": plan.seconds(item * plan.items, item * plan.test_items, item),
    }
    tell(Event("price", price))
