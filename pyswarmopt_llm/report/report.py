"""`report.html`: a run as one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.report.commands import usage, with_relative_paths
from pyswarmopt_llm.report.figures import curve, paths, scale
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
from pyswarmopt_llm.searching.scoring.result import SPLITS, Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import About

SHOWN = 10  # questions of each kind
LONGEST = 500  # characters of a question
WIDTH = 220.0  # of a drawing in a table
CASES = {
    "kept": "some expert and the result right",
    "emerged": "only the result right",
    "lost": "some expert right, the result wrong",
    "never": "all wrong",
}


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
    models = _models(result, found.rows)
    uniform = result.models.get("uniform")
    references = {"best expert": result.models["best_single"].dev.value}
    references |= {} if uniform is None else {"average": uniform.dev.value}
    return render(
        "pyswarmopt_llm/report/report.html.j2",
        findings=found,
        result=result,
        about=about,
        config=with_relative_paths(about.config),
        tasks=about.task_names or list(with_relative_paths(about.config).tasks),
        models=models,
        width=WIDTH,
        x=scale(_numbers(models.values()), 6, WIDTH - 6),
        bar=scale([0.0, *(weight for _, weight in found.weights)], 2, WIDTH - 2),
        curve=curve(rows, references),
        evaluations=len(rows),
        usage=list(usage(about, result)),
        cases=CASES,
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
                f", on {counted(result.dropped[name], 'dev item')}"
                if name in result.dropped
                else ""
            )
            models[name + on] = result.experts[name]
    return models


def _numbers(models: Iterable[Model]) -> list[float]:
    """All scores and the ends of their intervals."""
    scores = [found for model in models for split in SPLITS if (found := model.on(split))]
    return [number for one in scores for number in (one.value, *(one.interval or ()))]


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
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…", item.answer_text
