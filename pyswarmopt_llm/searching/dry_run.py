"""The cost of a command: everything is loaded, a batch is timed, nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from pyswarmopt_llm.common.config import PATIENCE, SearchConfig
from pyswarmopt_llm.common.errors import NoRoomError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.common.optimizers import optimizer, released
from pyswarmopt_llm.common.words import duration, not_held_out
from pyswarmopt_llm.engine.memory import free_memory
from pyswarmopt_llm.scores.metrics.external.callables import CallableUtility
from pyswarmopt_llm.scores.metrics.registry import Metric
from pyswarmopt_llm.scores.tasks import Scoring, Task
from pyswarmopt_llm.searching.finish import peak_memory
from pyswarmopt_llm.searching.fits import fit_of
from pyswarmopt_llm.searching.grid import make_grid, one_draw
from pyswarmopt_llm.searching.plan import Pace, with_preset
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.run_directory import check_new
from pyswarmopt_llm.searching.scoring.run_files import GRID

RUN_FILES = (
    "run.json",
    "results.jsonl",
    "history.jsonl",
    "checkpoint/",
    "best/",
    "result.json",
    "report.html",
)
SAMPLE = 16  # items that are timed


def dry_run_search(config: SearchConfig) -> Cost:
    """The cost of a search, of all draws where it has a grid; of one that does not fit that it does
    not.

    Raises:
        NoRoomError: it does not fit into memory.
    """
    check_new(user_path(config.out))
    settled = with_preset(config)
    grid = make_grid(settled) if settled.is_grid else None
    if grid is not None:
        config = one_draw(config, grid.waiting[0])
    fit = fit_of(config)
    if fit is not None and not fit.fits:
        raise NoRoomError("; ".join(fit.lines()))
    job = prepare(config)
    with released(optimizer(job.config, job.starts)):
        pass
    timed, calls = _timed(job), _calls(job)
    plan, draws = job.plan, 1 if grid is None else len(grid.waiting)
    # only the first draw scores the starting swarm
    evaluations = plan.affordable_by(draws)
    passes = sum(plan.passes.values())
    taken = sum(plan.seconds(pace_of(timed, sum(filter(None, calls.values())))).values())
    more = plan.items * (evaluations - plan.affordable)
    seconds = taken * (passes + more) / max(passes, 1)
    if draws > 1 and (minutes := plan.config.budget_minutes) is not None:
        seconds = min(seconds, 60 * minutes)
    notes = [] if fit is None else [*fit.lines()]
    if grid is not None:
        notes.insert(0, f"{draws} searches, draws from {grid.size:,} combinations of coefficients")
    result = cost_of(
        timed,
        passes + more,
        seconds + sum(timing.warming for timing in timed),
        dtype=job.engine.dtype,
        device=config.device,
        evaluations=evaluations,
        notes=[*notes, *_notes(job, timed, calls)],
        out=config.out,
        writes=(*[GRID] * (draws > 1), *RUN_FILES, *["trained/"] * plan.trains),
    )
    return replace(result, memory_bytes=result.memory_bytes * job.workers.side_by_side)


def _timed(job: Job) -> tuple[Timed, ...]:
    """Each task, a batch of it timed with two experts."""
    candidates = [partial(job.space.realise, vertex) for vertex in job.space.vertices()[:2]]
    objectives, scoring = job.objectives, job.config.scoring
    return tuple(
        time_items(
            job.engine,
            task,
            objectives.metrics[name],
            objectives.scorings(name, scoring),
            candidates,
        )
        for name, task in job.tasks.items()
    )


def pace_of(timed: Sequence[Timed], calls: float = 0.0) -> Pace:
    """The pace of a search with these tasks, and with functions that take so many seconds."""
    dev, test = sum(timing.dev for timing in timed), sum(timing.test for timing in timed)
    loads = sum(timing.seconds_per_load for timing in timed)
    on_dev = sum((timing.seconds_per_item or 0.0) * timing.dev for timing in timed)
    on_test = sum((timing.seconds_per_item or 0.0) * timing.test for timing in timed)
    return Pace(calls + on_dev + loads, on_test + (loads if test else 0.0), on_dev / max(dev, 1))


def _calls(job: Job) -> dict[str, float | None]:
    """Seconds of one call of each Python function, which shows that it works; None: a harness task."""
    calls: dict[str, float | None] = {}
    for name, external in job.objectives.externals.items():
        calls[name] = None
        if isinstance(external, CallableUtility):
            job.engine.load(job.space.realise(job.space.vertices()[0]))
            calls[name] = external.try_once(job.engine)
    return calls


def _notes(job: Job, timed: Iterable[Timed], calls: Mapping[str, float | None]) -> list[str]:
    notes = [*job.notes.values(), *job.plan.own_score]
    for name, seconds in calls.items():
        if seconds is None:
            notes.append(f"{name} has no items and is not in the time")
            continue
        evaluations = job.plan.affordable
        notes.append(
            f"{name}: {seconds:.2g} s an evaluation, at most {evaluations:,} of them take about "
            f"{duration(evaluations * seconds)}"
        )
        if not job.objectives.externals[name].has_test:
            notes.append(not_held_out(name))
    for task in timed:
        if task.seconds_per_item is None:
            notes.append(f"{task.name} is paid for by the request and is not in the time")
    patience = job.config.patience or PATIENCE
    if patience < job.config.iterations:
        notes.append(f"the search stops early after {patience} iterations without a new best")
    return notes


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

    @property
    def warming(self) -> float:
        """Seconds that filling tables and caches takes, once."""
        more = max(self.first_seconds_per_item - (self.seconds_per_item or 0.0), 0.0)
        return more * (self.dev + self.test)

    def seconds(self, items: int, evaluations: int = 1) -> float:
        """Time of so many items, in so many evaluations, from cold."""
        pace = (self.seconds_per_item or 0.0) * items
        return self.warming + pace + self.seconds_per_load * evaluations


@dataclass(frozen=True)
class Cost:
    """The most that a command would do, with this dtype, threads and device."""

    tasks: tuple[Timed, ...]
    evaluations: int  # candidates that are scored on dev
    # forward passes of an item in all, training and the final scores on dev and test included
    passes: int
    seconds: float  # of these passes
    memory_bytes: int  # of this process after a batch, times the number of workers
    free_bytes: int | None  # beside that; None: unknown
    dtype: str
    threads: int
    notes: tuple[str, ...]
    device: str
    out: str  # the directory that would be written; "" for none
    writes: tuple[str, ...]  # its files


def time_items(
    engine: Engine,
    task: Task,
    metric: Metric,
    possible: Sequence[Scoring],
    candidates: Sequence[Callable[[], Patch]],
) -> Timed:
    """Score some dev items with each candidate in turn, twice: the first time warms up.

    Without candidates the model that is loaded is scored.
    """
    scoring, items = possible[-1], task.dev
    timed = Timed(task.name, len(task.dev), len(task.test), " or ".join(possible), None, 0.0, 0.0)
    if metric.usage is not None:
        return timed
    sample = items[:SAMPLE]
    batch = metric.build(sample, scoring, engine.chat, task.prompt)
    times = []
    for candidate in (*candidates, *candidates) or (None, None):
        start = time.perf_counter()
        if candidate is not None:
            engine.load(candidate())
        loaded = time.perf_counter()
        batch(engine)
        times.append((loaded - start, (time.perf_counter() - loaded) / len(sample)))
    first, (load, again) = times[0][1], min(times[1:], key=sum)
    return replace(
        timed, seconds_per_item=again, first_seconds_per_item=first, seconds_per_load=load
    )


def cost_of(
    timed: Sequence[Timed],
    passes: int,
    seconds: float,
    *,
    dtype: torch.dtype,
    device: str,
    evaluations: int = 0,
    notes: Sequence[str] = (),
    out: str = "",
    writes: tuple[str, ...] = (),
) -> Cost:
    """A cost, with the memory that this process has taken and what is free beside it."""
    return Cost(
        tuple(timed),
        evaluations,
        passes,
        round(seconds, 1),
        peak_memory(),
        free_memory(pick_device(device)),
        str(dtype).removeprefix("torch."),
        torch.get_num_threads(),
        tuple(notes),
        str(pick_device(device)),
        out,
        writes,
    )
