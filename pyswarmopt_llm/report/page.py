"""The report of a search: one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import mixture_text
from pyswarmopt_llm.report.commands import uses
from pyswarmopt_llm.report.findings import combination, costs, findings, method, spans
from pyswarmopt_llm.report.pages import TextTable, render
from pyswarmopt_llm.report.phrases import score, score_text, versions_text
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import About

WIDTH = 480  # of the picture, in viewBox units
HEIGHT = 300
_EDGE = 24  # free units around the picture
_SHADES = 5  # of a dot, by its value
_COMPARED = {"base": "base model", "best_single": "best expert", "best": "result"}


def render_report(
    about: About,
    result: Result,
    history: Iterable[Row],
    tasks: Mapping[str, Task] | None = None,
    replies: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page, a pure function of the run's files.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.
        tasks: name -> task, for the questions' texts; without it questions are only counted.
        replies: ``replies.json``.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    found = findings(about, result)
    rows = [row for row in searched(history) if math.isfinite(row.value)]
    models = {**found.rows, **_other_experts(result)}
    return render(
        "pyswarmopt_llm/report/report.html.j2",
        **vars(found),
        config=about.config,
        models=models,
        spans=spans(models),
        score=score,
        combination=combination(result),
        tables=[*_task_tables(result), *_named_tables(result), *_front_tables(result)],
        picture=picture(rows, result) if len(rows) > len(result.experts) else None,
        weights=_weight_table(result),
        uses={**found.steps, **uses(about, result)},
        replies=replies,
        changes=list(_changed_tasks(result, tasks or {})),
        costs=costs(result),
        method=method(about),
        versions=versions_text(about.versions),
    )


def searched(rows: Iterable[Row]) -> list[Row]:
    """The rows of the search, without partial evaluations."""
    return [row for row in rows if row.phase == "search" and row.complete]


def _other_experts(result: Result) -> dict[str, Model]:
    """The experts that are not the best, by dev score; on part of the items if one dropped out."""
    models = {}
    for name in result.ranking:
        if name != result.best_single:
            on = ""
            if name in result.dropped:
                on = f", on {counted(result.dropped[name], 'dev example')}"
            models[name + on] = result.experts[name]
    return models


# Tables


def _task_tables(result: Result) -> Iterator[TextTable]:
    """For several tasks, the scores on each."""
    if not result.several_tasks:
        return
    columns = {}
    for split in SPLITS:
        for name, title in _COMPARED.items():
            model = result.models.get(name)
            if model is not None and (scores := model.on(split)) is not None:
                columns[f"{title}, {split}"] = scores.tasks
    rows = []
    for task in result.objectives:
        values = [tasks[task].value if task in tasks else None for tasks in columns.values()]
        rows.append([task, *map(score_text, values)])
    yield TextTable("By task", ["task", *columns], rows)


def _named_tables(result: Result) -> Iterator[TextTable]:
    """The named parts of a score function's scores, on dev."""
    before = result.models["best_single"].dev.tasks
    for task, outcome in result.best.dev.tasks.items():
        if outcome.named:
            known = before[task].named
            rows = [
                [name, score_text(known.get(name)), score_text(value)]
                for name, value in outcome.named.items()
            ]
            yield TextTable(f"{task}: parts of the score, dev", ["", "best expert", "result"], rows)


def _front_tables(result: Result) -> Iterator[TextTable]:
    """The points of the Pareto front."""
    if result.front:
        tasks = list(result.best.dev.tasks)
        rows = [
            [mixture_text(point.coefficients), *(score_text(point.dev[task]) for task in tasks)]
            for point in result.front
        ]
        yield TextTable("The Pareto front", ["mixture", *(f"{task}, dev" for task in tasks)], rows)


def _weight_table(result: Result) -> TextTable:
    ordered = sorted(result.coefficients.items(), key=lambda pair: -abs(pair[1]))
    return TextTable("Weights", ["expert", "weight"], [[name, f"{w:.2f}"] for name, w in ordered])


# Examples


@dataclass(frozen=True)
class ChangedTask:
    """The examples of a task on which the result differs from the best expert.

    Attributes:
        name: name of the task.
        gained, lost: positions of dev items.
        items: the dev items; empty if their texts are unknown.
    """

    name: str
    gained: list[int]
    lost: list[int]
    items: Sequence[Item]


def _changed_tasks(result: Result, tasks: Mapping[str, Task]) -> Iterator[ChangedTask]:
    single = result.models["best_single"].dev.items
    for name, ours in result.best.dev.items.items():
        pairs = list(enumerate(zip(ours, single[name], strict=False)))
        gained = [place for place, (own, other) in pairs if own > other]
        lost = [place for place, (own, other) in pairs if own < other]
        items = tasks[name].dev if name in tasks else ()
        yield ChangedTask(name, gained, lost, items if len(items) == len(pairs) else ())


# The picture of a search


@dataclass(frozen=True)
class Picture:
    """The candidates of a search as points of a plane.

    Attributes:
        dots: the candidates, the best last: x, y, shade from 0 to 4 by its value, text.
        experts: name -> place.
        base: place of the base model.
        share: share of the variance that the plane shows.
    """

    dots: list[tuple[float, float, int, str]]
    experts: dict[str, tuple[float, float]]
    base: tuple[float, float]
    share: float


def picture(rows: Sequence[Row], result: Result) -> Picture:
    """The candidates, the experts and the base: the first two principal components of all
    candidates' weights.

    Args:
        rows: at least one evaluation of the search.
        result: result of the search.
    """
    names = list(result.coefficients)
    weights = np.array([row.coefficients for row in rows], dtype=np.float64)
    points = np.vstack([weights, np.eye(len(names)), np.zeros((1, len(names)))])
    centre = weights.mean(0)
    _, singular, axes = np.linalg.svd(weights - centre, full_matrices=False)
    plane = (points - centre) @ np.vstack([axes, np.zeros_like(axes[:1])])[:2].T
    low = plane.min(0)
    extent = plane.max(0) - low
    room = np.array([WIDTH, HEIGHT])
    scale = ((room - 2 * _EDGE) / np.where(extent > 0, extent, 1.0)).min()
    framed = room / 2 + (plane - low - extent / 2) * scale
    places = [(round(float(x), 1), round(float(y), 1)) for x, y in framed]
    dots = []
    for rank, number in enumerate(sorted(range(len(rows)), key=lambda row: rows[row].value)):
        shade = rank * _SHADES // len(rows)
        dots.append((*places[number], shade, f"{rows[number].value:.3f} on dev"))
    experts = dict(zip(names, places[len(rows) :], strict=False))
    variance = float((singular**2).sum())
    share = float((singular[:2] ** 2).sum()) / variance if variance else 1.0
    return Picture(dots, experts, places[-1], share)
