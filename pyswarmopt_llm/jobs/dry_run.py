"""What a search or a comparison would cost: everything is loaded, one batch timed, nothing written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from pyswarmopt_llm.baselines.changes import as_patch
from pyswarmopt_llm.common.config import GridOptions, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.interfaces import Batched, BatchedEngine, Engine, Patch
from pyswarmopt_llm.common.optimizers import optimizer, released
from pyswarmopt_llm.evaluation.run_directory import check_new
from pyswarmopt_llm.evaluation.run_files import GRID
from pyswarmopt_llm.evaluation.workers.spec import parse_workers, with_threads
from pyswarmopt_llm.jobs.compare.bench import Bench
from pyswarmopt_llm.jobs.compare.config import CompareConfig
from pyswarmopt_llm.jobs.compare.contest import check_settings, load_given, planned_entries
from pyswarmopt_llm.jobs.compare.contestants import ordered
from pyswarmopt_llm.jobs.compare.store import Store, check_place
from pyswarmopt_llm.jobs.doctor import free_memory
from pyswarmopt_llm.jobs.search.finish import peak_memory
from pyswarmopt_llm.jobs.search.grid import make_grid
from pyswarmopt_llm.jobs.search.loop import starts
from pyswarmopt_llm.jobs.search.prepare import Job, prepare
from pyswarmopt_llm.jobs.search.preset import with_space
from pyswarmopt_llm.metrics.objectives import scorings_of
from pyswarmopt_llm.metrics.questions.answer_format import TRIAL
from pyswarmopt_llm.metrics.questions.context_window import check_askable
from pyswarmopt_llm.metrics.registry import Metric
from pyswarmopt_llm.models.choices import cross_fitting_passes
from pyswarmopt_llm.models.engines.hardware import pick_device
from pyswarmopt_llm.spaces.load import load_engine
from pyswarmopt_llm.tasks import Item, Scoring, Task

SAMPLE = 16  # items timed where the engine does not say what it batches
RUN_FILES = ("run.json", "history.jsonl", "checkpoint/", "best/", "result.json", "report.html")
COMPARE_FILES = ("about.json", "scores.jsonl", "outcomes.jsonl", "compare.json", "compare.md", "compare.html")


@dataclass(frozen=True)
class Timed:
    """One task, with its numbers of items, on this machine."""

    name: str
    dev: int
    test: int
    scoring: str  # the answer format that was timed; the slower one if a trial chooses from two
    seconds_per_item: float | None  # None if items are paid for, so that none was tried
    first_seconds_per_item: float  # the first time, when tables and caches are filled
    seconds_per_load: float  # of a candidate

    def seconds(self, items: int, evaluations: int = 1) -> float:
        """Time of so many items, in so many evaluations."""
        pace = self.seconds_per_item or 0.0
        first = max(self.first_seconds_per_item - pace, 0.0) * min(items, self.dev + self.test)
        return first + pace * items + self.seconds_per_load * evaluations


@dataclass(frozen=True)
class Plan:
    """What a command would do at most, with this dtype, threads and device."""

    tasks: tuple[Timed, ...]
    evaluations: int  # candidates that are scored on dev
    passes: int  # forward passes of an item in all, training and the final scores on dev and test included
    seconds: float  # of these passes
    memory_bytes: int  # of this process after a batch, times the number of workers
    free_bytes: int | None  # beside that; None: unknown
    dtype: str
    threads: int
    notes: tuple[str, ...]
    device: str
    out: str  # the directory that would be written
    writes: tuple[str, ...]  # its files


def dry_run_search(config: SearchConfig) -> Plan:
    """The cost of `search` with this configuration."""
    check_new(user_path(config.out))
    job = prepare(with_threads(with_space(config)))
    with released(optimizer(job.config, starts(job))):
        pass
    vertices = job.space.vertices()
    candidates = [partial(job.space.realise, vertex) for vertex in vertices[:2]]
    possible = {name: job.objectives.scorings(name, job.config.scoring) for name in job.tasks}
    timed = tuple(
        _timed(job.engine, task, job.objectives.metrics[name], possible[name], candidates)
        for name, task in job.tasks.items()
    )
    on_test = 3 + (job.config.dev_expert == "on")
    evaluations, closing = _evaluations(job), sum(2 * one.dev + on_test * one.test for one in timed)
    tried = sum(min(one.dev, TRIAL) for one in timed if len(possible[one.name]) > 1)
    trained = cross_fitting_passes(job.dev_items) if job.config.dev_expert == "on" else 0
    passes = trained + evaluations * job.dev_items + closing + tried * len(job.config.experts)
    workers = max(parse_workers(job.config.workers).count, 1)
    seconds = sum(one.seconds(one.dev * evaluations, evaluations) for one in timed) / workers
    seconds += sum(one.seconds(2 * one.dev + on_test * one.test, 2 + on_test) for one in timed)
    seconds += trained / max(job.dev_items, 1) * sum(one.seconds(one.dev, 0) for one in timed)
    if config.budget_minutes is not None:
        seconds = min(seconds, 60 * config.budget_minutes)
    files = (*RUN_FILES, "dev-expert/") if trained else RUN_FILES
    plan = _plan(config, job.engine, timed, _notes(job, timed), files)
    memory = plan.memory_bytes * workers
    return replace(plan, evaluations=evaluations, passes=passes, seconds=round(seconds, 1), memory_bytes=memory)


def dry_run_grid(config: SearchConfig, options: GridOptions) -> Plan:
    """The cost of `grid_search`: of all draws together, of which only the first scores the starting swarm."""
    grid = make_grid(config, options)
    count = len(grid.draws)
    one = dry_run_search(replace(config, settings=grid.draws[0]))
    dev = sum(task.dev for task in one.tasks)
    start = len(config.experts) if config.preset == "auto" else config.population  # which auto chooses
    evaluations = one.evaluations + (count - 1) * max(one.evaluations - start, 0)
    if config.budget_items is not None:
        evaluations = min(evaluations, max(config.budget_items // max(dev, 1), 1))
    # Each draw scores its best and the average once more, and the one that is handed over does so again.
    passes = one.passes + dev * (evaluations - one.evaluations + 2 * count)
    seconds = one.seconds * passes / max(one.passes, 1)
    if config.budget_minutes is not None:
        seconds = min(seconds, 60 * config.budget_minutes)
    return replace(
        one,
        evaluations=evaluations,
        passes=passes,
        seconds=round(seconds, 1),
        notes=(f"{count} searches, draws from {grid.size:,} combinations of coefficients", *one.notes),
        writes=(GRID, *(f"draw-{number:02d}/" for number in range(1, count + 1)), *one.writes),
    )


def dry_run_compare(config: CompareConfig) -> Plan:
    """The cost of `compare` with this configuration."""
    check_settings(config)
    check_place(config)
    given = load_given(config)
    contestants = ordered(config.methods, len(given.experts), given.fewest_items, config.budget_items)
    engine = load_engine(given.base, config.dtype, config.device, config.threads)
    candidates = [partial(as_patch, expert) for expert in given.experts[:2]]
    benches, timed = [], {}
    for name, task in given.tasks.items():
        metric = given.metrics[name]
        check_askable(task, config.scoring, engine, metric=metric)
        possible = scorings_of(metric, config.scoring, task)
        timed[name] = _timed(engine, task, metric, possible, candidates)
        benches.append(Bench(given.base, engine, given.experts, task, possible[-1], Store(), given.chats, metric))
    entries = list(planned_entries(config, contestants, benches))
    if not entries:
        raise UserError(f"--methods {','.join(config.methods)}: none can take part here; choose others")
    passes, seconds, evaluations = 0, 0.0, 0
    for entry in entries:
        task, models = entry.bench.task, len(given.experts) if entry.who.kind == "ensemble" else 1
        spent = entry.who.cost(len(given.experts), len(task.dev), entry.budget)
        own = spent + models * (len(task.dev) + len(task.test))
        rounds = own // max(len(task.dev), 1)
        passes, evaluations = passes + own, evaluations + rounds
        seconds += timed[task.name].seconds(own, rounds)
    notes = [f"{len(entries)} runs of {len(contestants)} methods", *(t.note for t in given.tasks.values() if t.note)]
    plan = _plan(config, engine, tuple(timed.values()), notes, COMPARE_FILES)
    return replace(plan, evaluations=evaluations, passes=passes, seconds=round(seconds, 1))


def _timed(
    engine: Engine, task: Task, metric: Metric, possible: Sequence[Scoring], candidates: Sequence[Callable[[], Patch]]
) -> Timed:
    """Score one batch of dev items with two candidates in turn, the first time to warm up."""
    scoring = possible[-1]
    utility = metric.build(task.dev, scoring, engine.chat, task.prompt)
    batches = utility.batches(engine) if isinstance(utility, Batched) and isinstance(engine, BatchedEngine) else None
    name = " or ".join(possible)
    if metric.usage is not None:
        return Timed(task.name, len(task.dev), len(task.test), name, None, 0.0, 0.0)
    middle = range(min(SAMPLE, len(task.dev))) if batches is None else batches[len(batches) // 2]
    sample: tuple[Item, ...] = tuple(task.dev[i] for i in middle)
    batch = metric.build(sample, scoring, engine.chat, task.prompt)
    times = []
    for candidate in (*candidates, *candidates):
        start = time.perf_counter()
        engine.load(candidate())
        loaded = time.perf_counter()
        batch(engine)
        times.append((loaded - start, (time.perf_counter() - loaded) / len(sample)))
    first, (load, again) = times[0][1], min(times[1:], key=sum)
    return Timed(task.name, len(task.dev), len(task.test), name, again, first, load)


def _evaluations(job: Job) -> int:
    """Candidates that a search scores at most."""
    budget = job.config.budget_items
    planned = job.config.planned
    return planned if budget is None else min(planned, max(budget // max(job.dev_items, 1), 1))


def _notes(job: Job, timed: Iterable[Timed]) -> list[str]:
    notes = list(job.task_notes.values())
    notes += [f"{name} has no items and is not in the time" for name in job.objectives.externals]
    paid = [one.name for one in timed if one.seconds_per_item is None]
    notes += [f"{name} is paid for by the request and is not in the time" for name in paid]
    if job.config.screen is not None:
        notes.append("screening skips items; how many depends on the experts")
    if job.config.patience < job.config.max_iter:
        notes.append(f"the search stops early after {job.config.patience} iterations without a new best")
    return notes


def _plan(
    config: SearchConfig | CompareConfig,
    engine: Engine,
    timed: tuple[Timed, ...],
    notes: Sequence[str],
    writes: tuple[str, ...],
) -> Plan:
    """A plan without its costs."""
    dtype, device = str(engine.dtype).removeprefix("torch."), str(pick_device(config.device))
    memory, free, threads = peak_memory(), free_memory(), torch.get_num_threads()
    return Plan(timed, 0, 0, 0.0, memory, free, dtype, threads, tuple(notes), device, config.out, writes)
