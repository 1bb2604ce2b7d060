"""The cost of a command, and the batch that it is computed from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from pyswarmopt_llm.common.interfaces import Batched, BatchedEngine, Engine, Patch
from pyswarmopt_llm.jobs.doctor import free_memory
from pyswarmopt_llm.jobs.search.finish import peak_memory
from pyswarmopt_llm.metrics.questions.answer_format import TRIAL
from pyswarmopt_llm.metrics.registry import Metric
from pyswarmopt_llm.models.engines.hardware import pick_device
from pyswarmopt_llm.tasks import Item, Scoring, Task

SAMPLE = 16  # items timed where the engine does not say what it batches


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
    out: str  # the directory that would be written; "" for none
    writes: tuple[str, ...]  # its files


def time_items(
    engine: Engine,
    task: Task,
    metric: Metric,
    possible: Sequence[Scoring],
    candidates: Sequence[Callable[[], Patch]],
    split: str = "dev",
) -> Timed:
    """Score one batch of a split's items with each candidate in turn, twice: the first time warms up.

    Without candidates the model that is loaded is scored.
    """
    scoring, items = possible[-1], task.split(split)
    utility = metric.build(items, scoring, engine.chat, task.prompt)
    batches = utility.batches(engine) if isinstance(utility, Batched) and isinstance(engine, BatchedEngine) else None
    timed = Timed(task.name, len(task.dev), len(task.test), " or ".join(possible), None, 0.0, 0.0)
    if metric.usage is not None:
        return timed
    middle = range(min(SAMPLE, len(items))) if batches is None else batches[len(batches) // 2]
    sample: tuple[Item, ...] = tuple(items[i] for i in middle)
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
    return replace(timed, seconds_per_item=again, first_seconds_per_item=first, seconds_per_load=load)


def trial_items(dev: int, possible: Sequence[Scoring]) -> int:
    """Dev items on which a trial chooses from the possible answer formats; none if there is one.

    Example:
        >>> trial_items(12, ("likelihood",)), trial_items(12, ("letter", "likelihood"))
        (0, 12)
    """
    return min(dev, TRIAL) if len(possible) > 1 else 0


def paid_note(name: str) -> str:
    """What is said of a metric whose requests cost money."""
    return f"{name} is paid for by the request and is not in the time"


def plan(
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
) -> Plan:
    """A plan, with the memory that this process has taken and what is free beside it."""
    return Plan(
        tuple(timed),
        evaluations,
        passes,
        round(seconds, 1),
        peak_memory(),
        free_memory(),
        str(dtype).removeprefix("torch."),
        torch.get_num_threads(),
        tuple(notes),
        str(pick_device(device)),
        out,
        writes,
    )
