"""The main job: a swarm of experts searches for a better one. Readable from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.fingerprint import versions
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.optimizers import optimizer, released
from pyswarmopt_llm.common.words import duration, not_held_out
from pyswarmopt_llm.scores.tasks.types import form_of
from pyswarmopt_llm.searching.finish import finish, publish
from pyswarmopt_llm.searching.plan import Pace, preset_text
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.rivals import score_rivals
from pyswarmopt_llm.searching.scorers import (
    Scorers,
    choose_scorings,
    warn_if_alike,
    warn_if_chance,
)
from pyswarmopt_llm.searching.scoring.evaluator import Questions, Share
from pyswarmopt_llm.searching.scoring.race import draw_shares
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Checkpoint, Run, about_run, check_new
from pyswarmopt_llm.searching.scoring.run_events import RunEvents
from pyswarmopt_llm.searching.scoring.scorer import Scorer
from pyswarmopt_llm.searching.scoring.search import Dropout, Search, Watcher
from pyswarmopt_llm.searching.selection import (
    Archive,
    best_first,
    choose,
    items_scored,
    save_front,
)
from pyswarmopt_llm.searching.written.same_score import check_unchanged

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.surrogate import Surrogate


@dataclass(frozen=True)
class SearchResult:
    """A finished search."""

    run: Path  # its directory; ``best/`` in it is the adapter
    result: Mapping[str, Any]  # the content of ``result.json``


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Find a better mixture of experts and train it, with one set of coefficients.

    Args:
        config: what to search, where and how long; with a grid, `jobs.search.grid.search` takes it.
        on_event: called with progress.

    Returns:
        The finished run. The score in it is that of the files in ``best/``, read back and scored
        again.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.
    """
    path = user_path(config.out)
    check_new(path)
    return begin(config, partial(Run.create, path), on_event)


def begin(
    config: SearchConfig,
    create: Callable[[dict[str, Any]], Run],
    on_event: OnEvent | None,
    given: Mapping[str, Any] | None = None,
) -> SearchResult:
    """As `search`, in the run that `create` makes of what ``run.json`` is to hold; it may hold rows
    already.

    Args:
        config: what to search.
        create: makes the run.
        on_event: called with progress.
        given: the settings that were given, where `config` has more than these.
    """
    job = prepare(config, given)
    more: dict[str, Any] = {"notes": job.notes} if job.notes else {}
    more |= {
        "forms": {
            name: form.to_json() for name, task in job.tasks.items() if (form := form_of(task))
        }
    }
    more |= {"left": {name: task.left for name, task in job.tasks.items() if task.left is not None}}
    if job.examination is not None:
        more |= job.examination.stored
    more |= {"given": job.plan.given, "chosen": job.plan.chosen}
    about = about_run(
        job.config, job.fingerprints, base_name=job.base_name, versions=versions(), **more
    )
    # Made before anything is written, since some of nevergrad's refuse this number of coefficients.
    with released(optimizer(job.config, job.starts)) as swarm:
        return _work(job, create(about), swarm, on_event)


def resume(
    run: str | Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()
) -> SearchResult:
    """Continue a run: the same result as if it had never been stopped; of a finished run its
    result.

    Args:
        run: its directory.
        on_event: called with progress.
        allowed: what of its configuration may run code, in the words it was begun with; see
            `named_again.require`.

    Raises:
        UserError: not a run, one that would run code that is not allowed, or base, experts or data
            changed since it began.
    """
    opened = Run.open(user_path(run))
    if (finished := opened.result) is not None:
        result = finished.to_json()
        if on_event is not None:
            on_event(Event("done", {"result": result}))
        return SearchResult(opened.path, result)
    from pyswarmopt_llm.scores.metrics.external.named_again import require

    config = opened.config
    require(config, allowed, opened.path)
    # A judge's answers are in the run, wherever that is now; what a preset chose is stored.
    stored = replace(config, out=str(opened.path), preset="none")
    job = prepare(stored, opened.about.given)
    check_unchanged(opened, job)
    if job.examination is not None:
        from pyswarmopt_llm.servers.workers.served import still_same

        job = replace(job, notes=still_same(opened, job.examination, job.notes))
    with released(optimizer(job.config, job.starts)) as swarm:
        return _work(job, opened, swarm, on_event)


def _work(job: Job, run: Run, swarm: pso.Optimizer, on_event: OnEvent | None) -> SearchResult:
    notify = on_event or (lambda event: None)
    start = time.perf_counter()
    with run.locked():
        notify(_start(job, run))
        for text in _notes(job, run):
            notify(Event("note", {"text": text}))
        events = RunEvents(job.plan.evaluations)

        def on_row(row: Row, known: bool) -> None:
            if row.phase == "search" or not known:
                notify(events.row(row, "replayed" if known else "evaluation"))

        archive = Archive(job.objectives.names)
        with Scorers(job, run, on_row) as scorers:
            scorings = choose_scorings(job, scorers, notify)
            asked = tuple(scorings.items())
            scorer = scorers.scorer(Questions("dev", asked))
            surrogate = _surrogate(job, run)
            steps = Search(
                job.space,
                scorer,
                swarm,
                job.plan.budget,
                population=job.config.population,
                items=job.plan.items,
                seed=job.config.seed,
                surrogate=surrogate,
                dropout=_dropout(job.config),
                at_once=job.workers.side_by_side,
                watcher=_Progress(job, run, scorer, archive, notify),
                shares=_shares(job),
            )
            _tell_price(job, steps.score_first(), notify)
            singles = [_by_task(job, row) for row in steps.score_experts()]
            if steps.decided:
                notify(Event("note", {"text": _decided(job, singles)}))
            warn_if_chance(job, singles, scorings, notify)
            warn_if_alike(job, singles, scorings, notify)
            stop = steps.run()
            if surrogate is not None and surrogate.left_out:
                notify(Event("note", {"text": _harmful(job, surrogate.left_out)}))
            if "proposals" in job.config.limits:
                stop = steps.over_budget or {"proposals": steps.proposed}
            chosen = choose(
                job, archive, steps.best(), lambda: scorers.scorer(Questions("fresh", asked))
            )
        training, single = None, best_first(job, singles)[0]
        if job.config.train == "on":
            from pyswarmopt_llm.searching.train import train_further

            training = train_further(job, run, chosen, single, scorer, scorings, notify, on_row)
        if training is not None:
            chosen = training.chosen
        begun = time.perf_counter()
        rivals = score_rivals(job, run, training, scorings, notify)
        start += time.perf_counter() - begun  # counted apart
        notify(Event("closing"))
        result = finish(job, run, chosen, training, rivals, singles, scorings, scorers.memory)
        front = save_front(job, run, archive, chosen) if len(job.objectives.names) > 1 else None
        # What processes that were interrupted spent; their workers ran side by side.
        earlier = run.replayed_seconds / job.workers.side_by_side
        seconds = round(earlier + time.perf_counter() - start, 3)
        cost = replace(result.cost, seconds=seconds)
        written = publish(job, run, replace(result, stop=stop, front=front, cost=cost))
    notify(Event("done", {"result": written}))
    return SearchResult(run.path, written)


def _notes(job: Job, run: Run) -> list[str]:
    """Notes for the start of a search."""
    # of a resumed run that which it began with
    plan, config = job.plan, replace(job.config, preset=run.about.config.preset)
    notes = [preset_text(config, plan.given, plan.training), *job.notes.values()]
    notes += plan.own_score
    notes += [
        not_held_out(name)
        for name, external in job.objectives.externals.items()
        if not external.has_test
    ]
    if config.particles is not None and config.population > config.particles:
        begins = f"the search begins at all {len(config.experts)} experts"
        begins += ", the base, their average and their sum" if config.start == "even" else ""
        notes.append(
            f"`particles` {config.particles}: raised to {config.population}, since {begins}"
        )
    return notes


def _tell_price(job: Job, first: Row, notify: OnEvent) -> None:
    """Say what all of a search takes at most, at the pace of the first evaluation."""
    plan = job.plan
    item = first.seconds / first.n if first.n else 0.0
    whole = first.seconds * (plan.items / first.n if first.n else 1)
    taken = plan.seconds(Pace(whole, item * plan.test_items, item))
    passes = sum(plan.passes.values())
    price = f"at most {passes:,} passes of an item, " if passes else ""
    price += f"about {duration(sum(taken.values()))} at the pace of the first: "
    price += ", ".join(f"{name} {duration(spent)}" for name, spent in taken.items() if spent)
    if plan.trains and not (plan.objectives.written or plan.config.quick):
        price += " (`quick` fine-tunes the best start and no more)"
    elif plan.config.budget_minutes is None:
        price += " (`budget_minutes` M bounds the search)"
    notify(Event("note", {"text": price}))


def _surrogate(job: Job, run: Run) -> Surrogate | None:
    """The model that proposes candidates, if one does."""
    plan = job.plan
    if not plan.proposals:
        return None
    from pyswarmopt_llm.searching.surrogate import make_surrogate

    # the noise with which the run began: another measurement gives another number
    noisy = run.about.noise > 0 or plan.config.temperature > 0
    of, objectives = plan.config.surrogate or "scores", job.objectives
    return make_surrogate(
        of,
        objectives.names,
        objectives.combine,
        plan.proposals,
        choosy=plan.choosy,
        noisy=noisy,
    )


def _dropout(config: SearchConfig) -> Dropout | None:
    if not (config.drop_k or config.drop_n):
        return None
    return Dropout(config.drop_k or 0.0, config.drop_n or 0.0, config.seed)


def _shares(job: Job) -> Sequence[Share]:
    """Of the race of the experts, where a model of the items is to propose mixtures of them."""
    if job.config.surrogate is None and not job.config.quick:
        return []
    return draw_shares(job.objectives.items, job.config.seed)


def _decided(job: Job, singles: Sequence[Mapping[str, Score]]) -> str:
    """The outcome of the race, where it is decided, in words."""
    winner = job.space.expert_names[best_first(job, singles)[0]]
    *_, latest, _winner = sorted(map(items_scored, singles))
    return (
        f"{winner} is ahead of every other expert by more than three standard errors, after "
        f"{latest} of {job.plan.items} dev items at the latest: they drop out, and no mixture is "
        "proposed"
    )


def _harmful(job: Job, numbers: Sequence[int]) -> str:
    """Which experts are in no proposed mixture, in words."""
    names = ", ".join(job.space.expert_names[number] for number in numbers)
    return f"{names}: clearly worse than the base, and so in no proposed mixture"


def _by_task(job: Job, row: Row) -> dict[str, Score]:
    return {name: row.score(name) for name in job.objectives.names}


class _Progress(Watcher):
    """Keeps the leading candidates and the swarm's state, and makes events of rounds."""

    def __init__(
        self, job: Job, run: Run, scorer: Scorer, archive: Archive, notify: OnEvent
    ) -> None:
        self._planned, self._scorer, self._archive, self._notify = (
            job.plan.evaluations,
            scorer,
            archive,
            notify,
        )
        self._checkpoint = Checkpoint(run.path / "checkpoint" / "swarm.npz")

    def on_scored(self, positions: Sequence[Tensor], rows: Sequence[Row]) -> None:
        """Remember those that lead."""
        for position, row in zip(positions, rows, strict=True):
            self._archive.add(position, row)

    def on_told(self, optimizer: pso.Optimizer) -> None:
        """Save the swarm."""
        self._checkpoint.keep(optimizer)

    def on_round(self, iteration: int, best: float) -> None:
        """Tell of it, with the evaluations so far and those left at most."""
        done = self._scorer.evaluations
        progress = {"evaluations": done, "evaluations_left": self._planned - done}
        self._notify(Event("iteration", {"iteration": iteration, "best": best, **progress}))


def _start(job: Job, run: Run) -> Event:
    data = {
        "run": str(run.path),
        "experts": list(job.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": job.config.population,
        "limits": job.config.limits,
        "dev_items": job.plan.items,
        "scoring": job.config.scoring,
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": job.plan.evaluations,
        "passes": job.plan.passes,
        "workers": job.config.workers,
    }
    return Event("start", data)
