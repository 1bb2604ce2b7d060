"""Tables shared by terminal and page: the Pareto front of a search over several tasks, and the
parts of a score by model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pyswarmopt_llm.report.phrases import score_text
from pyswarmopt_llm.scores.tasks.types import SPLITS

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.scoring.result import Model, Result

Table = tuple[str, list[str], list[list[str]]]  # title, headings, rows


def front_headings(result: Result) -> list[str]:
    """Headings: each task's score on dev and test."""
    return ["", *(f"{task} {split}" for task in result.best.dev.tasks for split in SPLITS)]


def front_rows(result: Result) -> Iterator[list[str]]:
    """Rows of text for the result and each saved point; empty without a front."""
    if result.front is None or not result.front.points:
        return
    own = {
        split: {task: outcome.value for task, outcome in scores.tasks.items()}
        for split in SPLITS
        if (scores := result.best.on(split)) is not None
    }
    for name, scored in [("result", own), *((p["folder"], p) for p in result.front.points)]:
        yield [name, *_cells(scored, result)]


def part_tables(result: Result, models: Mapping[str, Model]) -> Iterator[Table]:
    """A table for each task with named parts of its score: the parts for each model.

    Args:
        result: result of the search.
        models: shown name -> model.
    """
    split = "test" if result.best.test else "dev"
    scored = {label: scores.tasks for label, model in models.items() if (scores := model.on(split))}
    for task, outcome in (result.best.on(split) or result.best.dev).tasks.items():
        if not outcome.named:
            continue
        rows = [
            [
                label,
                score_text(tasks[task].value),
                *(score_text(tasks[task].named.get(part)) for part in outcome.named),
            ]
            for label, tasks in scored.items()
            if task in tasks
        ]
        yield f"{task}: the parts of the score on {split}", ["model", "score", *outcome.named], rows


def _cells(scored: Mapping[str, Mapping[str, float]], result: Result) -> Iterator[str]:
    """A point's scores, task by task; points of earlier versions have no test scores."""
    for task in result.best.dev.tasks:
        for split in SPLITS:
            yield score_text(scored.get(split, {}).get(task))
