"""An adapter cut to a smaller rank, and what that costs: the weights that are lost, and the score on the run's test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.evaluation.result import RunResult, read_result
from pyswarmopt_llm.evaluation.run_files import read_about
from pyswarmopt_llm.jobs.export.source import Source
from pyswarmopt_llm.metrics.external.permission import runs_code
from pyswarmopt_llm.metrics.objectives import find_metrics, load_split, task_print
from pyswarmopt_llm.models.adapters.truncate import truncate_low_rank
from pyswarmopt_llm.models.engines.load import load_engine
from pyswarmopt_llm.tasks import Task


@dataclass(frozen=True)
class Rescored:
    """The score of a truncated adapter on test.

    Attributes:
        task: its name.
        value, interval: the score and its 95% interval.
        before: of the whole adapter, from ``result.json``.
        n: number of items.
    """

    task: str
    value: float
    interval: tuple[float, float]
    before: float | None
    n: int


def truncated(source: Source, rank: int) -> tuple[Source, float]:
    """The nearest adapter of that rank (Eckart & Young 1936), and its relative Frobenius error.

    Modules whose rank is not above it stay as they are.
    """
    cut = {name: truncate_low_rank(change, rank) for name, change in source.changes.items()}
    lost, whole = sum(part.lost for part in cut.values()), sum(part.whole for part in cut.values())
    changes = {name: part.change for name, part in cut.items()}
    return replace(source, changes=changes), math.sqrt(lost / whole) if whole else 0.0


def rescored(source: Source) -> tuple[tuple[Rescored, ...], tuple[str, ...]]:
    """The scores on the test items of the run's tasks, and what was not scored.

    A ``run.json`` is data: tasks and metrics that are code are not run.
    """
    if source.run is None:
        return (), ()
    about, result = read_about(source.run), read_result(source.run)
    config = about.config
    again = "not scored again; use swarm-llm eval"
    if code := [value for field, value in runs_code(config) if field != "workers"]:
        return (), (f"{code[0]} is code: {again}",)
    try:
        tasks = {name: task for name, task in load_split(config)[0].items() if task.test}
    except UserError as error:  # its file was moved since
        return (), (f"{error.text}: {again}",)
    stored = about.fingerprints.get("tasks", {})
    tasks = {name: task for name, task in tasks.items() if task_print(task) == stored.get(name)}
    if not tasks or result is None:
        return (), (f"no test items, or not those of the run any more: {again}",)
    return tuple(_scores(source, config, tasks, result)), ()


def _scores(source: Source, config: SearchConfig, tasks: Mapping[str, Task], result: RunResult) -> list[Rescored]:
    metrics = find_metrics(tasks, config.metrics, device=config.device, new_tokens=config.max_new_tokens)
    engine = load_engine(source.base, config.dtype, config.device, config.threads, config.batch_tokens)
    engine.load(Patch(low_rank=source.changes))
    rescored = []
    for name, task in tasks.items():
        task_result = result.task(name)
        if task_result.answer_format is None:
            continue
        utility = metrics[name].build(task.test, task_result.answer_format, engine.chat, task.prompt)
        score = utility(engine)
        rescored.append(Rescored(name, score.value, interval(score.per_item), task_result.best_test, score.n))
    return rescored


def in_words(rank: int | None, lost: float | None, scores: tuple[Rescored, ...]) -> str:
    """A model card's sentence on a truncation; "" if there was none."""
    if rank is None or lost is None:
        return ""
    parts = [f"It is truncated to rank {rank}, which changes its weights by {lost:.1%} in the Frobenius norm."]
    for score in scores:
        before = "" if score.before is None else f", {score.before:.3f} before"
        low, high = score.interval
        parts.append(f"Its score on test of {score.task} is {score.value:.3f} [{low:.3f}, {high:.3f}]{before}.")
    if scores:
        parts.append("The scores below are those of the whole adapter.")
    return " ".join(parts)
