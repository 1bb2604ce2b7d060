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
from pyswarmopt_llm.searching.grid import make_grid
from pyswarmopt_llm.searching.plan import Pace
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.run_directory import GRID, check_new

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
    fit = fit_of(config)
    if fit is not None and not fit.fits:
        raise NoRoomError("; ".join(fit.lines()))
    job = prepare(config)
    with released(optimizer(job.config, job.starts)):
        pass
    draws, notes = 1, list[str]()
    if job.drawn_from:
        grid = make_grid(job.stored)
        draws = len(grid.waiting)
        notes = [f"{draws} searches, draws from {grid.size:,} combinations of coefficients"]
    notes += [] if fit is None else [*fit.lines()]
    timed, calls = _timed(job), _calls(job)
    # only the first draw scores the starting swarm
    evaluations = job.affordable_by(draws)
    more = job.items * (evaluations - job.affordable)
    passes = sum(job.passes.values())
    seconds = sum(job.seconds(_pace(timed, calls)).values()) * (passes + more) / max(passes, 1)
    if draws > 1 and (minutes := job.config.budget_minutes) is not None:
        seconds = min(seconds, 60 * minutes)
    result = cost_of(
        timed,
        passes + more,
        seconds,
        dtype=job.engine.dtype,
        device=config.device,
        evaluations=evaluations,
        notes=[*notes, *_notes(job, timed, calls)],
        out=config.out,
        writes=(*[GRID] * (draws > 1), *RUN_FILES, *["trained/"] * job.trains),
    )
    return replace(result, memory_bytes=result.memory_bytes * job.workers.side_by_side)


def _timed(job: Job) -> list[Timed]:
    """Each task, a batch of it timed with two experts."""
    candidates = [partial(job.space.realise, vertex) for vertex in job.space.vertices()[:2]]
    timed = []
    for name, task in job.tasks.items():
        possible = job.objectives.scorings(name, job.config.scoring)
        metric = job.objectives.metrics[name]
        timed.append(time_items(job.engine, task, metric, possible, candidates))
    return timed


def _pace(timed: Sequence[Timed], calls: Mapping[str, float | None]) -> Pace:
    """The pace of a search with these tasks, and with functions that take so many seconds."""
    called = sum(seconds for seconds in calls.values() if seconds is not None)
    test = any(one.test for one in timed)
    return Pace(
        dev=called + sum(one.seconds(one.dev) for one in timed),
        test=sum(one.seconds(one.test) for one in timed) if test else 0.0,
        item=sum(one.seconds(one.dev, 0) for one in timed) / max(sum(one.dev for one in timed), 1),
    )


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
    notes = [*job.notes.values()]
    for name, seconds in calls.items():
        if seconds is None:
            notes.append(f"{name} has no examples and is not in the time")
            continue
        evaluations = job.affordable
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
    seconds_per_item: float | None = None  # None: items are paid for, so that none was tried
    seconds_per_load: float = 0.0  # of a candidate

    def seconds(self, items: int, evaluations: int = 1) -> float:
        """Time of so many items, in so many evaluations."""
        return (self.seconds_per_item or 0.0) * items + self.seconds_per_load * evaluations


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

    Without candidates the base is scored.
    """
    scoring = possible[-1]
    timed = Timed(task.name, len(task.dev), len(task.test), " or ".join(possible))
    if metric.usage is not None:
        return timed
    sample = task.dev[:SAMPLE]
    batch = metric.build(sample, scoring, engine.chat, task.prompt)
    times = []
    for candidate in (*candidates, *candidates) or (Patch, Patch):
        start = time.perf_counter()
        engine.load(candidate())
        loaded = time.perf_counter()
        batch(engine)
        times.append((loaded - start, (time.perf_counter() - loaded) / len(sample)))
    load, item = min(times[1:], key=sum)
    return replace(timed, seconds_per_item=item, seconds_per_load=load)


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
