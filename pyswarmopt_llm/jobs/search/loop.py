"""The main job: a swarm of experts searches for a better one. Readable from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.optimizer import ParticleOptimizer
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.fingerprint import versions
from pyswarmopt_llm.common.interfaces import StructureSpace
from pyswarmopt_llm.common.optimizers import is_swarm, optimizer, released
from pyswarmopt_llm.evaluation.policy import Policy, Round, make_policy
from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.evaluation.run_directory import Checkpoint, Run, about_run, check_new
from pyswarmopt_llm.evaluation.run_events import RunEvents
from pyswarmopt_llm.evaluation.run_files import check_resumable
from pyswarmopt_llm.evaluation.scorer import Scorer
from pyswarmopt_llm.evaluation.workers.messages import Questions
from pyswarmopt_llm.evaluation.workers.spec import parse_workers, with_threads
from pyswarmopt_llm.jobs.search.async_loop import AsyncLoop, progress
from pyswarmopt_llm.jobs.search.finish import finish, publish
from pyswarmopt_llm.jobs.search.prepare import Job, prepare
from pyswarmopt_llm.jobs.search.preset import chosen_by_preset, in_words, with_space
from pyswarmopt_llm.jobs.search.scorers import Scorers, choose_scorings, warn_if_chance
from pyswarmopt_llm.jobs.search.selection import Archive, Candidate, choose, save_front
from pyswarmopt_llm.metrics.external.permission import require
from pyswarmopt_llm.spaces.starts import starting_points


@dataclass(frozen=True)
class SearchResult:
    """A finished search."""

    run: Path  # its directory; ``best/`` in it is the adapter
    result: Mapping[str, Any]  # the content of ``result.json``


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Search for a better model with a swarm of experts.

    Args:
        config: what to search, where and how long.
        on_event: called with progress.

    Returns:
        The finished run. The score in it is that of the files in ``best/``, read back and scored again.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.
    """
    path = user_path(config.out)
    check_new(path)
    return begin(config, partial(Run.create, path), on_event)


def begin(config: SearchConfig, create: Callable[[dict[str, Any]], Run], on_event: OnEvent | None) -> SearchResult:
    """As `search`, in the run that `create` makes of what ``run.json`` is to hold; it may hold rows already."""
    job = prepare(with_threads(with_space(config)))
    job = replace(job, prepared=replace(job.prepared, config=replace(job.config, start=start_of(job))))
    more: dict[str, Any] = {"calibration": dict(job.prepared.trial)} if job.prepared.trial else {}
    more |= {"notes": job.task_notes} if job.task_notes else {}
    more |= {"chosen": chosen} if (chosen := chosen_by_preset(config, job.config)) else {}
    about = about_run(job.config, job.fingerprints, base_name=job.prepared.base_name, versions=versions(), **more)
    # Made before anything is written, since some of nevergrad's refuse this number of coefficients.
    with released(optimizer(job.config, starts(job))) as swarm:
        return _work(job, create(about), swarm, on_event)


def resume(run: str | Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()) -> SearchResult:
    """Continue a run: the same result as if it had never been stopped; of a finished run its result.

    Args:
        run: its directory.
        on_event: called with progress.
        allowed: what of its configuration may run code, in the words it was begun with; see `permission.require`.

    Raises:
        UserError: not a run, one that would run code that is not allowed, one that only an earlier version can resume,
            or base, experts or data changed since it began.
    """
    opened = Run.open(user_path(run))
    result = opened.result
    if result is not None:
        if on_event is not None:
            on_event(Event("done", {"result": result}))
        return SearchResult(opened.path, result)
    check_resumable(opened.path, opened.about)
    config = opened.config
    require(config, allowed, opened.path)
    # A judge's answers are in the run, wherever that is now; what a preset chose is stored.
    job = prepare(replace(config, out=str(opened.path), preset="none"))
    opened.check_fingerprints(job.fingerprints)
    with released(optimizer(job.config, starts(job))) as swarm:
        return _work(job, opened, swarm, on_event)


def _work(job: Job, run: Run, swarm: pso.Optimizer, on_event: OnEvent | None) -> SearchResult:
    notify = on_event or (lambda event: None)
    start = time.perf_counter()
    with run.locked():
        # Spent by a process that was interrupted; its workers ran side by side.
        earlier = sum(row.seconds for row in run.rows) / max(parse_workers(job.config.workers).count, 1)
        notify(_start(job, run))
        for text in _notes(job):
            notify(Event("note", {"text": text}))
        events = RunEvents(job.config.planned)

        def on_row(row: Row) -> None:
            notify(events.row(row))

        archive = Archive(job.objectives.names)
        with Scorers(job, run, on_row) as scorers:
            scorings = choose_scorings(job, scorers, notify)
            scorer = scorers.scorer(Questions("dev", tuple(scorings.items())))
            for row in scorer.rows:
                notify(events.row(row, "replayed"))
            policy = make_policy(job.config, {name: len(task.dev) for name, task in job.tasks.items()})
            experts = _score_experts(job, scorer, policy)
            singles = [{name: row.score(name) for name in job.objectives.names} for row in experts]
            warn_if_chance(job, singles, scorings, notify)
            stop = _loop(job, run, swarm, scorer, policy, archive, notify)
            best = _best(swarm, scorer, policy.choice(max(row.value for row in experts)))
            chosen = choose(job, scorers, archive, best, scorings)
        training = weights = None
        if job.config.train == "on":
            from pyswarmopt_llm.jobs.search.train import train_further

            training = train_further(job, run, chosen, scorer, scorings, notify, on_row)
            chosen = training.chosen
        if isinstance(job.space, StructureSpace):
            from pyswarmopt_llm.jobs.search.weight_step import weight_step

            chosen, weights = weight_step(job, job.space, run, chosen, scorer, scorings, notify, on_row)
        notify(Event("closing"))
        result = finish(job, run, chosen, training, singles, scorings, scorers.memory)
        front = save_front(job, run, archive, chosen.position) if len(job.objectives.names) > 1 else None
        seconds = round(earlier + time.perf_counter() - start, 3)
        written = publish(job, run, replace(result, stop=stop, weight_step=weights, front=front, seconds=seconds))
    notify(Event("done", {"result": written}))
    return SearchResult(run.path, written)


def _notes(job: Job) -> list[str]:
    """What to know at the start."""
    config, notes = job.config, list(job.task_notes.values())
    if config.preset == "auto":
        notes.append(in_words(config, job.dev_items))
    if config.population > config.particles:
        all_experts = f"the search begins at all {len(config.experts)} experts"
        notes.append(f"--particles {config.particles}: {all_experts}, so it has {config.population} particles")
    return notes


def starts(job: Job) -> Tensor:
    """Starting positions. Sums of experts are for swarms; rivals, and the authors' code, begin with the experts."""
    return starting_points(job.space, start_of(job), job.config.population, job.config.seed)


def start_of(job: Job) -> str:
    """The kind of start that ``auto`` stands for, or the one that was given."""
    config = job.config
    if config.start != "auto":
        return config.start
    linear = job.space.linear and config.compat != "reference" and is_swarm(config.optimizer)
    if linear:
        return "sums" if config.iterations else "even"
    return "segments"


def _score_experts(job: Job, scorer: Scorer, policy: Policy) -> list[Row]:
    """The experts' own rows, complete."""
    vertices = list(job.space.vertices())
    rows = scorer.in_full(vertices, 0, policy.in_full(len(vertices)))
    policy.learn(vertices, rows)
    return rows


def _best(swarm: pso.Optimizer, scorer: Scorer, choice: Tensor | None) -> Candidate:
    """The candidate to hand over: the policy's choice, or the best on dev."""
    if choice is None:
        return Candidate(swarm.best.x, swarm.best.value, {})
    position = choice.to(swarm.best.x)
    (row,) = scorer.in_full([position], 0)
    return Candidate(position, row.value, {})


def _loop(
    job: Job, run: Run, swarm: pso.Optimizer, scorer: Scorer, policy: Policy, archive: Archive, notify: OnEvent
) -> dict[str, float]:
    """Ask, score, tell, until the optimizer or the budget gives a reason to stop; returns the reasons."""
    checkpoint = Checkpoint(run.path / "checkpoint" / "swarm.npz")
    if job.config.one_by_one and isinstance(swarm, ParticleOptimizer):
        return AsyncLoop(job, swarm, scorer, archive, checkpoint, notify).run()
    # If the experts are charged separately, the starting round costs as much as any other without them, where it has
    # more than them.
    more = job.config.population > len(job.space.expert_names)
    items = [0 if policy.starts_in_full or not more else scorer.item_evaluations]
    reasons: dict[str, float] = {}
    while not reasons:
        iteration = len(items) - 1
        positions = swarm.ask()
        best = swarm.best.value if iteration else -math.inf
        rows = scorer.score(list(positions), iteration, policy.plan(Round(iteration, positions, best)))
        _learn(archive, policy, positions, rows)
        _tell(swarm, positions, rows)
        checkpoint.keep(swarm)
        notify(Event("iteration", {"iteration": iteration, "best": swarm.best.value, **progress(job, scorer)}))
        items.append(scorer.item_evaluations)
        reasons = {**swarm.stop(), **job.budget.spent(items, scorer.seconds)}
    proposed = _score_proposals(job, scorer, policy, archive, iteration + 1, notify)
    return {"proposals": proposed} if "proposals" in job.config.limits else reasons


def _learn(archive: Archive, policy: Policy, positions: Iterable[Tensor], rows: Sequence[Row | None]) -> None:
    candidates = list(positions)
    for position, row in zip(candidates, rows, strict=True):
        archive.add(position, row)
    policy.learn(candidates, rows)


def _tell(swarm: pso.Optimizer, positions: Tensor, rows: Sequence[Row | None]) -> None:
    dropped = [row is None for row in rows]
    values = [math.nan if row is None else row.value for row in rows]
    swarm.tell(positions, values, dropped if any(dropped) else None)


def _score_proposals(
    job: Job, scorer: Scorer, policy: Policy, archive: Archive, iteration: int, notify: OnEvent
) -> int:
    """Score the policy's proposals in full, as far as the budget goes; returns how many.

    In the journal the proposals are one more iteration, of particles numbered after those of the swarm; views of a
    search do not count it.
    """
    values, spent = [], scorer.item_evaluations
    for number, position in enumerate(policy.proposals(job.config.seed), start=job.config.population):
        if not job.budget.pays(scorer.item_evaluations, scorer.seconds, job.dev_items):
            break
        rows = scorer.score([position], iteration, policy.in_full(1), first=number)
        _learn(archive, policy, [position], rows)
        values += [row.value for row in rows if row is not None]
    if scorer.item_evaluations > spent:
        notify(Event("iteration", {"iteration": iteration, "best": max(values), **progress(job, scorer)}))
    return len(values)


def _start(job: Job, run: Run) -> Event:
    data = {
        "run": str(run.path),
        "experts": list(job.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": job.config.population,
        "limits": job.config.limits,
        "dev_items": job.dev_items,
        "scoring": job.config.scoring,
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": job.config.planned,
        "workers": job.config.workers,
    }
    return Event("start", data)
