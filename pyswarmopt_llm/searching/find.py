"""The first stage of a search: the experts race, candidates are scored on dev, and one is chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.config import MOST_COEFFICIENTS
from pyswarmopt_llm.common.events import Event, note
from pyswarmopt_llm.scores.metrics.accuracy import (
    TRIED,
    beats_chance,
    choose_scoring,
    option_counts,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Checkpoint, Run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Scorer, Share

if TYPE_CHECKING:
    from pyswarmopt.base.arrays import Floats
    from pyswarmopt_llm.searching.surrogate import Surrogate
    from pyswarmopt_llm.searching.swarm import SwarmProposer

FIRST = 16  # items of the first share; each later one is twice as large
ERRORS = 3.0


@dataclass(frozen=True)
class Found:
    """What a search found on dev, before any training.

    Attributes:
        chosen: the chosen mixture.
        value: its value in the search.
        experts: a row for each expert.
        single: number of the best expert.
        scorings: how each task is scored.
        stop: reasons to stop, as in ``result.json``.
        remarks: what a user should know about the race and the proposals.
        scorer: dev scorer, whose workers have ended.
    """

    chosen: Contestant
    value: float
    experts: Sequence[Row]
    single: int
    scorings: Mapping[str, Scoring]
    stop: Mapping[str, Any]
    remarks: Sequence[str]
    scorer: Scorer


@dataclass(frozen=True)
class Trained:
    """What training made from the chosen mixture.

    Attributes:
        best: the final model; the mixture if nothing was trained, or if training is not kept.
        models: after training, by their names in `Result`: ``mixture`` and ``trained``, one of which
            is the best; after training on replies also ``base``, scored on dev; and the fine-tuned
            baselines.
        passes: forward passes per item of training (a backward pass counts as measured).
        iteration: outcome of expert iteration, as in `Result`.
    """

    best: Contestant
    models: Mapping[str, Contestant] = field(default_factory=dict)
    passes: int = 0
    iteration: dict[str, int] | None = None


def find(job: Job, run: Run, checkpoint: str = "swarm") -> Found:
    """Score experts and candidates, starting points first, and choose one.

    Args:
        job: the search.
        run: run directory, locked.
        checkpoint: name of the swarm's checkpoint.
    """
    tell_start(job, str(run.path))
    scorings = choose_scorings(job, run)
    with ExitStack() as stack:
        crew = None
        if not job.plan.alone:
            from pyswarmopt_llm.servers.workers import open_crew

            crew = stack.enter_context(open_crew(job, scorings))
        scorer = Scorer(run, job.evaluator("dev", scorings), listener=job.tell, crew=crew)
        return explored(job, scorer, scorings, run.checkpoint(checkpoint))


def explored(
    job: Job, scorer: Scorer, scorings: Mapping[str, Scoring], saved: Checkpoint | None = None
) -> Found:
    """Score the experts, explore, and choose the best.

    Args:
        job: the search.
        scorer: dev scorer.
        scorings: how each task is scored.
        saved: keeps a swarm's state; None: it is not kept.
    """
    start = _score_experts(job, scorer)
    remarks = start.remarks(job.pool.space.expert_names)
    with ExitStack() as stack:
        proposer: Surrogate | SwarmProposer
        if job.plan.config.method == "swarm":
            from pyswarmopt_llm.searching.swarm import swarm_proposer

            proposer = swarm_proposer(job, saved, stack)
        else:
            proposer = _surrogate(job, start, remarks)
        stop = explore(proposer, scorer, job.plan.budget)
        best = proposer.best()
    for text in remarks:
        job.tell(note(text))
    chosen = Contestant(best.x)
    return Found(chosen, best.value, start.experts, start.single, scorings, stop, remarks, scorer)


def explore(
    proposer: Surrogate | SwarmProposer, scorer: Scorer, budget: Budget
) -> dict[str, float]:
    """Score what a proposer suggests until the proposer or the budget ends the search.

    The starting points are always scored. A later batch that would exceed the budget is not started.

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
        scorer.report("iteration", {"iteration": batch.iteration})
    return proposer.stop()


def choose_scorings(job: Job, run: Run) -> dict[str, Scoring]:
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
    evaluator = Evaluator(job.pool.space, job.engine, trials, harmonic)
    trial = Scorer(run, evaluator, "letter", job.tell)
    rows = trial.score(list(job.pool.space.vertices()[:TRIED]), 0)
    for name in tried:
        scores = [row.score(name) for row in rows]
        scorings[name] = choose_scoring(possible[name], job.tasks[name].dev, scores)
        best = max(score.value for score in scores)
        told = f"with letter scoring, the best expert scores {best:.3f}"
        job.tell(note(f"{name}: {told}; {scorings[name]} scoring is used"))
    return scorings


def _score_experts(job: Job, scorer: Scorer) -> Start:
    """Score the experts; they race if a model of the items will propose mixtures of them."""
    experts = job.pool.space.vertices()
    shares = []
    if job.plan.config.method == "items":
        shares = draw_shares(job.objectives.items, job.plan.config.seed)
    # the first expert's cost, in a race on the first share of items, sets the pace
    (first,) = scorer.score([experts[0]], 0, share=next(iter(shares), None))
    tell_price(job, first)
    start = begin(scorer, experts, job.starts, shares)
    for name, task in job.tasks.items():
        guesses = job.objectives.metrics[name].name == "accuracy" and option_counts(task.dev)
        if guesses and not beats_chance(task.dev, [row.score(name) for row in start.experts]):
            job.tell(note(f"{name}: no expert is significantly better than guessing on dev"))
    return start


@dataclass(frozen=True)
class Start:
    """The beginning of a search.

    Attributes:
        experts: a row for each expert, complete unless it dropped out of a decided race.
        numbers: starting points to score on all items.
        decided: whether one expert is so far ahead that nothing is proposed.
        dropped: numbers of the experts of a large pool that are in no proposal.
    """

    experts: Sequence[Row]
    numbers: Sequence[int]
    decided: bool = False
    dropped: Sequence[int] = ()

    @property
    def single(self) -> int:
        """The number of the best expert."""
        complete = [number for number, row in enumerate(self.experts) if row.complete]
        return max(complete, key=lambda number: self.experts[number].value)

    @property
    def value(self) -> float:
        """The value of the best expert."""
        return self.experts[self.single].value

    def remarks(self, names: Sequence[str]) -> list[str]:
        """What the race dropped, in words."""
        if self.dropped:
            kept = len(names) - len(self.dropped)
            return [f"successive halving kept {kept} of {len(names)} experts for mixtures"]
        if self.decided:
            ahead = f"{names[self.single]} leads every other expert by more than {ERRORS:g}"
            return [f"{ahead} standard errors: the others are dropped, and no mixture is proposed"]
        return []


def begin(scorer: Scorer, experts: Tensor, starts: Tensor, shares: Sequence[Share]) -> Start:
    """Score the experts, and choose the starting points to score on all items.

    If the experts' race is decided, the other starting points race against the winner. Otherwise
    all are scored, as without a race. If the pool is too large for a surrogate model, only the
    starting points without the dropped experts are scored.

    Args:
        scorer: dev scorer.
        experts: (n, D).
        starts: (N, D), the experts first.
        shares: shares of the items; empty: no race.
    """
    rows, left = race(scorer, experts, shares)
    decided = len(left) == 1
    if len(experts) > MOST_COEFFICIENTS and shares:
        left = _best(rows, left)
    elif not decided:
        left = list(range(len(experts)))
    rows |= dict(zip(left, scorer.score([experts[n] for n in left], 0, left), strict=True))
    ordered = [rows[number] for number in range(len(experts))]
    if decided:
        return Start(ordered, race(scorer, starts, shares)[1], decided=True)
    dropped = sorted({*range(len(experts))} - {*_best(rows, left)})
    without = ~starts[:, dropped].any(dim=1)
    return Start(ordered, without.nonzero()[:, 0].tolist(), dropped=dropped)


def _best(rows: Mapping[int, Row], numbers: Sequence[int]) -> list[int]:
    """The numbers of the best candidates, as many as a model can take, in order."""
    order = sorted(numbers, key=lambda number: -rows[number].value)
    return sorted(order[:MOST_COEFFICIENTS])


def race(
    scorer: Scorer, positions: Tensor, shares: Sequence[Share]
) -> tuple[dict[int, Row], list[int]]:
    """Score candidates, (n, D), on one share of the items after another, until one is left, or the
    first share has dropped none.

    After each share a candidate drops out if, on the items so far, it is behind the leader by more
    than `ERRORS` standard errors of the paired differences. The errors are those of sampling
    without replacement: once most items are scored, few are left to turn the race. Racing is due to
    Maron & Moore 1994 ("Hoeffding races", NIPS 6), the paired test to Moore & Lee 1994 ("Efficient
    algorithms for minimizing cross validation error", ICML).

    Returns:
        Candidate number -> its row, without shares empty; and the numbers of the survivors.
    """
    rows: dict[int, Row] = {}
    racing = list(range(len(positions)))
    for share in shares:
        scored = scorer.score([positions[n] for n in racing], 0, racing, share)
        latest = dict(zip(racing, scored, strict=True))
        rows |= latest
        racing = survivors(latest, share)
        if len(racing) in (1, len(positions)):
            break
    return rows, racing


def draw_shares(items: Mapping[str, int], seed: int) -> list[Share]:
    """The nested shares of the items after which candidates may drop out.

    Args:
        items: task name -> number of items. Each share has the same fraction of every task.
        seed: seed of the items' order.

    Returns:
        The shares; none if there are few items.

    Example:
        >>> shares = draw_shares({"a": 40, "b": 20}, seed=0)
        >>> [{name: int(chosen.sum()) for name, chosen in share.items()} for share in shares]
        [{'a': 11, 'b': 6}, {'a': 22, 'b': 11}]
    """
    draws = np.random.default_rng([seed, 7])
    ranks = {name: np.argsort(draws.permutation(count)) for name, count in items.items()}
    shares = list[Share]()
    part = FIRST / sum(items.values())
    while part <= 2 / 3:  # a larger share would hardly save anything
        shares.append({n: rank < math.ceil(part * rank.size) for n, rank in ranks.items()})
        part *= 2
    return shares


def survivors(rows: Mapping[int, Row], share: Share) -> list[int]:
    """Numbers of the candidates that survive a share, given their rows."""
    values = {}
    for number, row in rows.items():
        parts = [np.array(row.item_values(name))[wanted] for name, wanted in share.items()]
        values[number] = np.concatenate(parts)
    leader = max(values.values(), key=np.mean)
    total = sum(chosen.size for chosen in share.values())
    return [number for number, own in values.items() if not eliminated(own, leader, total)]


def eliminated(values: Floats, leader: Floats, total: int) -> bool:
    """Whether a candidate is so far behind the leader that it drops out.

    An added item with the largest difference prevents a few agreeing items from deciding.

    Args:
        values: values on the items so far, (n,).
        leader: the leader's values on the same items.
        total: number of all items.
    """
    difference = leader - values
    n = difference.size
    variance = (((difference - difference.mean()) ** 2).sum() + 1.0) / (n + 1)
    error = math.sqrt(variance / n * (1 - n / total))
    return bool(difference.mean() > ERRORS * error)


def _surrogate(job: Job, start: Start, remarks: list[str]) -> Surrogate:
    """The proposer that learns; it adds to the remarks."""
    from pyswarmopt_llm.searching.surrogate import Surrogate

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
        remarks=remarks,
    )


def tell_start(job: Job, run: str) -> None:
    """Report the search's settings, and what a user should know about it."""
    plan = job.plan
    start = {
        "run": run,
        "experts": list(job.pool.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": plan.config.population,
        "settings": asdict(plan.config),
        "given": plan.given,
        "training": plan.training,
        "dev_items": plan.items,
        "evaluations_planned": plan.evaluations,
        "passes": plan.passes,
    }
    job.tell(Event("start", start))
    for text in (*job.notes.values(), *plan.prices):
        job.tell(note(text))


def tell_price(job: Job, first: Row) -> None:
    """Report the greatest cost of the search, estimated from the first evaluation."""
    plan = job.plan
    item = first.seconds / first.n
    price = {
        "passes": sum(plan.passes.values()),
        "seconds": plan.seconds(item * plan.items, item * plan.test_items, item),
    }
    job.tell(Event("price", price))
