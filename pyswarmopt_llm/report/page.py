"""The report of a search: one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pyswarmopt_llm.report.findings import combination, findings, method
from pyswarmopt_llm.report.pages import render
from pyswarmopt_llm.report.phrases import score
from pyswarmopt_llm.run.directory import About
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import RunResult
from pyswarmopt_llm.scores.tasks import Task

WIDTH = 480  # of the picture, in viewBox units
HEIGHT = 300
_EDGE = 24  # free units around the picture


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
        picture=picture(rows, result) if len(rows) > len(result.experts) else None,
        changes=list(_changed_tasks(result, tasks)),
        method=method(about),
    )


def _changed_tasks(result: RunResult, tasks: Mapping[str, Task]) -> Iterator[dict[str, Any]]:
    """Of each task whose items have scores, the places of the dev items on which the result differs
    from the best expert, and the items, if their texts are known.
    """
    single = result.models["best_single"].dev.tasks
    for name, ours in result.best.dev.tasks.items():
        if ours.whole:
            continue
        gain = np.subtract(ours.per_item, single[name].per_item)
        yield {
            "name": name,
            "gained": np.flatnonzero(gain > 0).tolist(),
            "lost": np.flatnonzero(gain < 0).tolist(),
            "questions": tasks[name].dev if name in tasks else (),
        }


def picture(rows: Sequence[Row], result: RunResult) -> dict[str, Any]:
    """The candidates, the experts and the base: the first two principal components of all
    candidates' weights.

    Args:
        rows: more evaluations of the search than experts.
        result: result of the search.

    Returns:
        ``dots``, the candidates, the best last: x, y, text;
        ``experts``, name -> place; ``base``, the place of the base model.
    """
    names = list(result.coefficients)
    weights = np.array([row.coefficients for row in rows], dtype=np.float64)
    points = np.vstack([weights, np.eye(len(names)), np.zeros(len(names))])
    centre = weights.mean(0)
    _, _, axes = np.linalg.svd(weights - centre, full_matrices=False)
    plane = (points - centre) @ axes[:2].T
    low = plane.min(0)
    extent = plane.max(0) - low
    room = np.array([WIDTH, HEIGHT])
    scale = ((room - 2 * _EDGE) / np.where(extent > 0, extent, 1.0)).min()
    framed = room / 2 + (plane - low - extent / 2) * scale
    places = framed.round(1).tolist()
    order = sorted(range(len(rows)), key=lambda number: rows[number].value)
    dots = [(*places[number], f"{rows[number].value:.3f} on dev") for number in order]
    experts = dict(zip(names, places[len(rows) :], strict=False))
    return {"dots": dots, "experts": experts, "base": places[-1]}
