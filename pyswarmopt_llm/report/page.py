"""The report of a search: one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pyswarmopt_llm.report.findings import combination, ended, findings, method
from pyswarmopt_llm.report.front import figure, heading, pictures, table
from pyswarmopt_llm.report.pages import render
from pyswarmopt_llm.report.phrases import score
from pyswarmopt_llm.report.pictures import HEIGHT, LEFT, RIGHT, WIDTH, bars, changes, score_picture
from pyswarmopt_llm.run.directory import About
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import RunResult
from pyswarmopt_llm.scores.tasks import Task


def render_report(
    about: About,
    result: RunResult,
    history: Iterable[Row],
    tasks: Mapping[str, Task] = {},
) -> str:
    """The page, a pure function of the run's files.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.
        tasks: name -> task, for the questions' texts; without it questions are only counted.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    found = findings(about, result)
    rows = [row for row in history if row.phase == "search" and math.isfinite(row.value)]
    others = {name: one for name, one in result.experts.items() if name != result.best_single}
    models = {**found.rows, **others}
    tested = [model.test for model in models.values() if model.test is not None]
    return render(
        "pyswarmopt_llm/report/report.html.j2",
        **vars(found),
        config=about.config,
        models=models,
        ends=[end for scores in tested for end in scores.interval or (scores.value,)],
        score=score,
        combination=combination(result),
        picture=score_picture(rows) if rows else None,
        size=(WIDTH, HEIGHT),
        edges=(LEFT, RIGHT),
        bars=bars(result.coefficients),
        changes=list(changes(result, tasks)),
        front=_front(result),
        figure=figure,
        heading=heading,
        method=method(about),
        stopped=ended(result.stop),
    )


def _front(result: RunResult) -> dict[str, Any]:
    """Table and pictures of a front; empty if none was searched for."""
    if not result.chosen:
        return {}
    headings, rows = table(result)
    return {"headings": headings, "rows": rows, "pictures": pictures(result)}
