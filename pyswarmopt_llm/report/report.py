"""`report.html`: a run as one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyswarmopt.base.words import counted, cut
from pyswarmopt_llm.report.commands import usage, with_relative_paths
from pyswarmopt_llm.report.figures import paths
from pyswarmopt_llm.report.findings import findings
from pyswarmopt_llm.report.pages import render
from pyswarmopt_llm.report.reading import (
    best_row,
    changes,
    emergence,
    origin,
    proposing_model,
    searched,
    swarm_of,
)
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import About

SHOWN = 10  # questions of each kind
LONGEST = 500  # characters of a question


def render_report(
    about: About,
    result: Result,
    history: Iterable[Row],
    tasks: Mapping[str, Task] | None = None,
    replies: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page, a pure function of what the run wrote down.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.
        tasks: name -> task, for the texts of questions; without it they are only counted.
        replies: ``replies.json``.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    rows = searched(history)
    finite, swarm = [row for row in rows if math.isfinite(row.value)], swarm_of(rows)
    found = findings(about, result)
    return render(
        "pyswarmopt_llm/report/report.html.j2",
        findings=found,
        result=result,
        about=about,
        config=with_relative_paths(about.config),
        tasks=about.task_names or list(with_relative_paths(about.config).tasks),
        models=_models(result, found.rows),
        usage=list(usage(about, result)),
        replies=replies,
        emergence=emergence(result),
        changes=changes(result),
        questions=_questions(result, tasks or {}),
        shown=SHOWN,
        # Nothing where there are no complete evaluations.
        paths=paths(finite, result.coefficients, best_row(finite, result)) if finite else None,
        origin=origin(rows, result) if rows else None,
        model=proposing_model(rows),
        later=sum(row.iteration > 0 for row in rows),
        iterated=any(row.iteration and row.particle in swarm for row in rows),
    )


def _models(result: Result, rows: Mapping[str, Model]) -> dict[str, Model]:
    """The result, its rivals, and every expert by its dev score; of one that dropped out of a race,
    by that on some items.
    """
    *others, handed_over = rows.items()
    models = dict([handed_over, *others])
    for name in result.ranking:
        if name != result.best_single:
            on = (
                f", on {counted(result.dropped[name], 'dev example')}"
                if name in result.dropped
                else ""
            )
            models[name + on] = result.experts[name]
    return models


def _questions(result: Result, tasks: Mapping[str, Task]) -> dict[str, list[tuple[str, str]]]:
    """Task -> question and right answer of each dev item, where its file is the one of the run."""
    items = result.best.dev.items
    return {
        name: [_text(item) for item in task.dev]
        for name, task in tasks.items()
        if len(task.dev) == len(items.get(name, ()))
    }


def _text(item: Item) -> tuple[str, str]:
    text = item.question
    return cut(text, LONGEST), item.answer_text
