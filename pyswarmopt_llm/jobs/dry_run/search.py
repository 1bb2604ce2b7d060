"""``--dry-run`` of search, advise and demo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from pyswarmopt_llm.common.config import PATIENCE, SearchConfig
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.optimizers import optimizer, released
from pyswarmopt_llm.evaluation.run_directory import check_new
from pyswarmopt_llm.evaluation.run_files import GRID
from pyswarmopt_llm.jobs.advise import RECORD, halves
from pyswarmopt_llm.jobs.dry_run.plan import Plan, Timed, paid_note, plan, time_items, trial_items
from pyswarmopt_llm.jobs.promising import MEMBERS, halving_passes
from pyswarmopt_llm.jobs.search.grid.draws import make_grid
from pyswarmopt_llm.jobs.search.prepare import Job, prepare
from pyswarmopt_llm.jobs.search.preset import own_score, resolve
from pyswarmopt_llm.jobs.search.rivals import FILE as RIVALS
from pyswarmopt_llm.jobs.search.rivals import planned_rivals
from pyswarmopt_llm.metrics.external.callables import CallableUtility
from pyswarmopt_llm.metrics.objectives import External
from pyswarmopt_llm.metrics.questions.answer_format import TRIED
from pyswarmopt_llm.models.choices import cross_fitting_passes, training_passes
from pyswarmopt_llm.reporting.outcome import not_held_out
from pyswarmopt_llm.reporting.summary import duration

RUN_FILES = ("run.json", "history.jsonl", "checkpoint/", "best/", "result.json", "report.html")


def dry_run_any(config: SearchConfig) -> Plan:
    """The cost of `search`, with one set of coefficients or draws from a grid."""
    return (dry_run_grid if resolve(config).config.is_grid else dry_run_search)(config)


def dry_run_search(config: SearchConfig) -> Plan:
    """The cost of a search with one set of coefficients."""
    check_new(user_path(config.out))
    job = prepare(config)
    with released(optimizer(job.config, job.starts)):
        pass
    vertices = job.space.vertices()
    candidates = [partial(job.space.realise, vertex) for vertex in vertices[:2]]
    possible = {name: job.objectives.scorings(name, job.config.scoring) for name in job.tasks}
    timed = tuple(
        time_items(job.engine, task, job.objectives.metrics[name], possible[name], candidates)
        for name, task in job.tasks.items()
    )
    trains = job.config.train == "on"  # and scores the outcome on dev and test
    on_dev, on_test = 2 + trains, 3 + trains
    evaluations, closing = _evaluations(job), sum(on_dev * timing.dev + on_test * timing.test for timing in timed)
    tried = sum(trial_items(timing.dev, possible[timing.name]) for timing in timed)
    trained = cross_fitting_passes(job.dev_items) if trains else 0
    passes = trained + evaluations * job.dev_items + closing + tried * min(len(job.config.experts), TRIED)
    workers = job.workers.side_by_side
    seconds = sum(timing.seconds(timing.dev * evaluations, evaluations) for timing in timed) / workers
    seconds += sum(timing.seconds(on_dev * timing.dev + on_test * timing.test, on_dev + on_test) for timing in timed)
    seconds += trained / max(job.dev_items, 1) * sum(timing.seconds(timing.dev, 0) for timing in timed)
    external_seconds = {name: _own_score(job, external) for name, external in job.objectives.externals.items()}
    seconds += evaluations / workers * sum(filter(None, external_seconds.values()))
    if config.budget_minutes is not None:
        seconds = min(seconds, 60 * config.budget_minutes)
    scored, tuned = planned_rivals(job)  # which are not in the budget
    tuning = tuned * training_passes(job.dev_items)
    passes += tuning + scored * sum(timing.dev + timing.test for timing in timed)
    seconds += sum(timing.seconds(scored * (timing.dev + timing.test), scored) for timing in timed)
    seconds += tuning / max(job.dev_items, 1) * sum(timing.seconds(timing.dev, 0) for timing in timed)
    result = plan(
        timed,
        passes,
        seconds,
        dtype=job.engine.dtype,
        device=config.device,
        evaluations=evaluations,
        notes=_notes(job, timed, external_seconds),
        out=config.out,
        writes=(*RUN_FILES, *["trained/"] * bool(trained), *[RIVALS] * bool(scored)),
    )
    return replace(result, memory_bytes=result.memory_bytes * workers)


def dry_run_advise(config: SearchConfig) -> Plan:
    """The cost of `advise`: on each half of the dev items the choice of experts, a search, and training."""
    (first, _), trains = halves(config)
    one = dry_run_search(replace(first, experts=first.experts[:MEMBERS]))
    items = sum(task.dev for task in one.tasks)
    passes = one.passes + sum(halving_passes(len(config.experts), task.dev) for task in one.tasks)
    if trains:  # what was found, and the base; each is scored on the other half
        passes += 2 * (training_passes(items) + items)
    return replace(
        one,
        evaluations=2 * one.evaluations,
        passes=2 * passes,
        seconds=round(2 * one.seconds * passes / one.passes, 1),
        writes=(RECORD, *(f"half-{number}/" for number in (1, 2))),
        out=config.out,
    )


def dry_run_grid(config: SearchConfig) -> Plan:
    """The cost of `grid_search`: of all draws together, of which only the first scores the starting swarm."""
    grid, resolved = make_grid(config), resolve(config).config
    count = len(grid.draws)
    draw = dry_run_search(replace(config, settings=grid.draws[0], grid="given", draws=None))
    dev = sum(task.dev for task in draw.tasks)
    start = len(config.experts) if resolved.preset == "auto" else resolved.population  # which auto chooses
    evaluations = draw.evaluations + (count - 1) * max(draw.evaluations - start, 0)
    if config.budget_items is not None:
        evaluations = min(evaluations, max(config.budget_items // max(dev, 1), 1))
    # Each draw scores its best and the average once more, and the one that is handed over does so again.
    passes = draw.passes + dev * (evaluations - draw.evaluations + 2 * count)
    seconds = draw.seconds * passes / max(draw.passes, 1)
    if config.budget_minutes is not None:
        seconds = min(seconds, 60 * config.budget_minutes)
    return replace(
        draw,
        evaluations=evaluations,
        passes=passes,
        seconds=round(seconds, 1),
        notes=(f"{count} searches, draws from {grid.size:,} combinations of coefficients", *draw.notes),
        writes=(GRID, *(f"draw-{number:02d}/" for number in range(1, count + 1)), *draw.writes),
    )


def _evaluations(job: Job) -> int:
    """Candidates that a search scores at most."""
    budget = job.config.budget_items
    planned = job.config.planned
    return planned if budget is None else min(planned, max(budget // max(job.dev_items, 1), 1))


def _own_score(job: Job, external: External) -> float | None:
    """Seconds of one call of a Python function, which also shows whether it works; None for tasks of the harness."""
    if not isinstance(external, CallableUtility):
        return None
    job.engine.load(job.space.realise(job.space.vertices()[0]))
    return external.try_once(job.engine)


def _notes(job: Job, timed: Iterable[Timed], external_seconds: Mapping[str, float | None]) -> list[str]:
    notes = [*job.notes.values(), *own_score(job.config)]
    for name, seconds in external_seconds.items():
        if seconds is None:
            notes.append(f"{name} has no items and is not in the time")
            continue
        evaluations = _evaluations(job)
        total = duration(evaluations * seconds)
        notes.append(f"{name}: {seconds:.2g} s an evaluation, at most {evaluations:,} of them take about {total}")
        if not job.objectives.externals[name].has_test:
            notes.append(not_held_out(name))
    notes += [paid_note(task.name) for task in timed if task.seconds_per_item is None]
    if job.config.screen is not None and job.config.iterations:
        notes.append("screening skips items; how many depends on the experts")
    patience = job.config.patience or PATIENCE
    if patience < job.config.iterations:
        notes.append(f"the search stops early after {patience} iterations without a new best")
    return notes
