"""The Pareto front of a search over several tasks, as a table: the result, and the other compromises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pyswarmopt_llm.report.phrases import score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.scoring.result import Result


def front_headings(result: Result) -> list[str]:
    """Of the columns: of each task its score on dev and on test."""
    return ["", *(f"{task} {split}" for task in result.best.dev.tasks for split in ("dev", "test"))]


def front_rows(result: Result) -> Iterator[list[str]]:
    """The result and each point that was saved beside it, as texts; nothing without a front."""
    if result.front is None or not result.front.points:
        return
    own = {
        split: {task: outcome.value for task, outcome in scores.tasks.items()}
        for split in ("dev", "test")
        if (scores := result.best.on(split)) is not None
    }
    for name, scored in [("result", own), *((p["folder"], p) for p in result.front.points)]:
        yield [name, *_cells(scored, result)]


def _cells(scored: Mapping[str, Mapping[str, float]], result: Result) -> Iterator[str]:
    """A point's scores, task by task; points of earlier versions have none on test."""
    for task in result.best.dev.tasks:
        for split in ("dev", "test"):
            yield score_text(scored.get(split, {}).get(task))
