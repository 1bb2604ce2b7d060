"""`--dry-run`: the cost of a command in a few lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt.base.words import counted
from pyswarmopt_llm.cli.build import with_flags

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.dry_run import Plan, Timed


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print it for a person, or as JSON."""
    if as_json:
        typer.echo(json.dumps(asdict(plan)))
        return
    for line in plan_lines(plan):
        echo(line)


def plan_lines(plan: Plan) -> Iterator[str]:
    """The items to score, the time and memory for them here, and the files to write."""
    yield from map(_task_line, plan.tasks)
    yield from _work(plan)
    where = f"{plan.device}, {plan.dtype}, {counted(plan.threads, 'thread')}"
    if plan.passes:
        yield f"at most {duration(plan.seconds)} on this machine ({where}), from one timed batch"
    free = "" if plan.free_bytes is None else f"; {plan.free_bytes / 2**30:.1f} GiB are free beside it"
    yield f"memory: {plan.memory_bytes / 2**30:.1f} GiB{free}"
    yield from map(with_flags, plan.notes)
    files = f"would write {plan.out}: {', '.join(plan.writes)}" if plan.writes else "would write no file"
    yield f"{files}; nothing was written"


def _work(plan: Plan) -> Iterator[str]:
    """The most that is computed."""
    if plan.passes:
        evaluations = f"{plan.evaluations:,} evaluations: " if plan.evaluations else ""
        yield f"at most {evaluations}{plan.passes:,} forward passes of an item"


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    Example:
        >>> duration(42.4), duration(600), duration(9000)
        ('42 seconds', '10 minutes', '2.5 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _task_line(task: Timed) -> str:
    """Items and times of a task."""
    sizes = f"{task.name}: {counted(task.dev, 'dev item')}, {counted(task.test, 'test item')}, {task.scoring} scoring"
    if task.seconds_per_item is None:
        return sizes
    load = f", {1000 * task.seconds_per_load:.0f} ms per candidate" if task.seconds_per_load else ""
    item = 1000 * task.seconds_per_item
    return f"{sizes}, {item:.{0 if item >= 10 else 1}f} ms per item{load}"
