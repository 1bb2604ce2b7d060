"""The first stage of a search: candidates are scored on dev, and one of them is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.events import Event, OnEvent, note
from pyswarmopt_llm.common.words import duration, not_held_out
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.plan import Pace, preset_text
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scorers import choose_scorings, scorers_of, warn_of_useless_scores
from pyswarmopt_llm.searching.scoring.evaluator import Questions
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Confirmed
from pyswarmopt_llm.searching.scoring.run_directory import Checkpoint, Run
from pyswarmopt_llm.searching.scoring.run_events import RunEvents
from pyswarmopt_llm.searching.scoring.scorer import OnRow, Scorer
from pyswarmopt_llm.searching.scoring.search import Dropout, Search, Watcher
from pyswarmopt_llm.searching.selection import (
    Archive,
    Contestant,
    best_expert,
    choose,
    scored_items,
)

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.surrogate import Surrogate
    from pyswarmopt_llm.searching.surrogate.race import Race


@dataclass(frozen=True)
class Found:
    """What a search found on dev.

    Attributes:
        chosen: the model that is handed over, unless training changes it.
        confirmed: the leaders on fresh items.
        archive: candidates that were scored in full.
        experts: a row for each expert.
        single: the number of the best of these.
        scorings: how each task is scored.
        stop: reasons, as in ``result.json``.
        scorer: of dev; its workers have ended.
        on_row: is called with new rows.
        memory: bytes that workers took.
    """

    chosen: Contestant
    confirmed: Confirmed | None
    archive: Archive
    experts: Sequence[Row]
    single: int
    scorings: Mapping[str, Scoring]
    stop: Mapping[str, Any]
    scorer: Scorer
    on_row: OnRow
    memory: int = 0


def explore(
    job: Job, run: Run, swarm: pso.Optimizer, tell: OnEvent, checkpoint: str = "swarm"
) -> Found:
    """Score experts, candidates and proposals, and choose one.

    Args:
        job: what the search works with.
        run: its directory, locked.
        swarm: asks for positions.
        tell: called with progress.
        checkpoint: name of the swarm's state.
    """
    _tell_start(job, run, tell)
    events = RunEvents(job.plan.evaluations)

    def on_row(row: Row, known: bool) -> None:
        if row.phase == "search" or not known:
            tell(events.row(row, "replayed" if known else "evaluation"))

    with scorers_of(job, run, on_row) as scorers:
        scorings = choose_scorings(job, scorers, tell)
        questions = tuple(scorings.items())
        scorer = scorers.on(Questions("dev", questions))
        saved = Checkpoint(run.path / "checkpoint" / f"{checkpoint}.npz")
        watcher = _Progress(job, scorer, saved, tell)
        surrogate = _surrogate(job, run)
        drops = job.config.drop_k or 0.0, job.config.drop_n or 0.0
        search = Search(
            job.space,
            scorer,
            swarm,
            job.plan.budget,
            population=job.config.population,
            items=job.plan.items,
            seed=job.config.seed,
            surrogate=surrogate,
            dropout=Dropout(drops[0], drops[1], job.config.seed) if any(drops) else None,
            at_once=job.workers.side_by_side,
            watcher=watcher,
            race=_race(job),
        )
        _tell_price(job, search.score_first(), tell)
        experts = search.score_experts()
        single = best_expert(job, experts)
        if search.decided:
            tell(note(_decided(job, experts, single)))
        warn_of_useless_scores(job, experts, scorings, tell)
        stop = search.run()
        if surrogate is not None and surrogate.left_out:
            names = ", ".join(job.space.expert_names[number] for number in surrogate.left_out)
            tell(note(f"{names}: clearly worse than the base, and so in no proposed mixture"))
        if "proposals" in job.config.limits:
            stop = search.over_budget or {"proposals": search.proposed}
        archive = watcher.archive
        chosen, confirmed = choose(
            job, archive, search.best(), lambda: scorers.on(Questions("fresh", questions))
        )
        found = Found(chosen, confirmed, archive, experts, single, scorings, stop, scorer, on_row)
    return replace(found, memory=scorers.memory)


def _tell_start(job: Job, run: Run, tell: OnEvent) -> None:
    """Say what is searched, and what a user should know of it."""
    # of a resumed run that which it began with
    plan, config = job.plan, replace(job.config, preset=run.about.config.preset)
    start = {
        "run": str(run.path),
        "experts": list(job.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": config.population,
        "limits": config.limits,
        "dev_items": plan.items,
        "scoring": config.scoring,
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": plan.evaluations,
        "passes": plan.passes,
        "workers": config.workers,
    }
    tell(Event("start", start))
    notes = [preset_text(config, plan.given, plan.training), *job.notes.values(), *plan.own_score]
    externals = job.objectives.externals.items()
    notes += [not_held_out(name) for name, external in externals if not external.has_test]
    if config.particles is not None and config.population > config.particles:
        begins = f"the search begins at all {len(config.experts)} experts"
        begins += ", the base, their average and their sum" if config.start == "even" else ""
        notes.append(
            f"`particles` {config.particles}: raised to {config.population}, since {begins}"
        )
    for text in notes:
        tell(note(text))


def _tell_price(job: Job, first: Row, tell: OnEvent) -> None:
    """Say what all of a search takes at most, at the pace of the first evaluation."""
    plan = job.plan
    item = first.seconds / first.n if first.n else 0.0
    on_dev = first.seconds * (plan.items / first.n if first.n else 1)
    taken = plan.seconds(Pace(on_dev, item * plan.test_items, item))
    passes = sum(plan.passes.values())
    price = f"at most {passes:,} passes of an item, " if passes else ""
    price += f"about {duration(sum(taken.values()))} at the pace of the first: "
    price += ", ".join(f"{name} {duration(spent)}" for name, spent in taken.items() if spent)
    if plan.trains and not (plan.objectives.written or plan.config.quick):
        price += " (`quick` fine-tunes the best start and no more)"
    elif plan.config.budget_minutes is None:
        price += " (`budget_minutes` M bounds the search)"
    tell(note(price))


def _surrogate(job: Job, run: Run) -> Surrogate[Any] | None:
    """The model that proposes candidates, if one does."""
    plan = job.plan
    if not plan.proposals:
        return None
    from pyswarmopt_llm.searching.surrogate import make_surrogate

    return make_surrogate(
        plan.config.surrogate or "scores",
        job.objectives.items,
        job.objectives.combine,
        plan.proposals,
        choosy=plan.choosy,
        # the noise with which the run began: another measurement gives another number
        noisy=run.about.noise > 0 or plan.config.temperature > 0,
    )


def _race(job: Job) -> Race | None:
    """The race of the experts, where a model of the items is to propose mixtures of them."""
    if job.config.surrogate is None and not job.config.quick:
        return None
    from pyswarmopt_llm.searching.surrogate.race import Race

    return Race.over(job.objectives.items, job.config.seed)


def _decided(job: Job, experts: Sequence[Row], single: int) -> str:
    """The outcome of the race, where it is decided, in words."""
    *_, latest, _winner = sorted(map(scored_items, experts))
    return (
        f"{job.space.expert_names[single]} is ahead of every other expert by more than three "
        f"standard errors, after {latest} of {job.plan.items} dev items at the latest: they drop "
        "out, and no mixture is proposed"
    )


class _Progress(Watcher):
    """Remembers candidates, saves the swarm, and tells of rounds."""

    def __init__(self, job: Job, scorer: Scorer, checkpoint: Checkpoint, tell: OnEvent) -> None:
        self._planned, self._scorer = job.plan.evaluations, scorer
        self._checkpoint, self._tell = checkpoint, tell
        self.archive = Archive(job.objectives.names)

    def on_scored(self, positions: Sequence[Tensor], rows: Sequence[Row | None]) -> None:
        """Remember the candidates of a round."""
        for position, row in zip(positions, rows, strict=True):
            self.archive.add(position, row)

    def on_told(self, optimizer: pso.Optimizer) -> None:
        """Save the swarm."""
        self._checkpoint.keep(optimizer)

    def on_round(self, iteration: int, best: float) -> None:
        """Tell of a round, with the evaluations so far and those left at most."""
        done = self._scorer.evaluations
        progress = {"evaluations": done, "evaluations_left": self._planned - done}
        self._tell(Event("iteration", {"iteration": iteration, "best": best, **progress}))
