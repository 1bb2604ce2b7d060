"""The report of a search: one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import SMALL, mixture_text, split_small_weights
from pyswarmopt_llm.report.commands import usage, with_relative_paths
from pyswarmopt_llm.report.findings import combination, costs, findings, macro_f1, method
from pyswarmopt_llm.report.pages import TextTable, render
from pyswarmopt_llm.report.phrases import score_text, versions_text
from pyswarmopt_llm.scores.by_label import LabelErrors
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Model, Result, Scores
from pyswarmopt_llm.searching.scoring.run_directory import About

SHOWN = 10  # most questions of each kind
LONGEST = 500  # most characters of a question
WIDTH = 480  # of the picture, in viewBox units
HEIGHT = 300
_EDGE = 24  # free units around the picture
_SHADES = 5  # of a dot, by its value


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
    return render(
        "pyswarmopt_llm/report/report.html.j2",
        **vars(found),
        config=with_relative_paths(about.config),
        models=drawn_models({**found.rows, **_other_experts(result)}),
        combination=combination(result),
        tables=[*_task_tables(result), *_front_tables(result)],
        labels={task: (errors, heat(errors)) for task, errors in result.by_label.items()},
        macro_f1=macro_f1,
        picture=picture(rows, result) if len(rows) > len(result.experts) else None,
        weights=_weight_table(result),
        usage=list(usage(about, result)),
        replies=replies,
        changes=list(_changed_tasks(result, tasks or {})),
        shown=SHOWN,
        longest=LONGEST,
        costs=costs(result),
        method=method(about),
        versions=versions_text(about.versions),
    )


def searched(rows: Iterable[Row]) -> list[Row]:
    """The rows of the search, without partial evaluations."""
    return [row for row in rows if row.phase == "search" and row.complete]


# Scores


@dataclass(frozen=True)
class DrawnModel:
    """A model's row: its scores as text, and its interval drawn from 0 to 100.

    Attributes:
        label: its name.
        dev, test: scores with intervals as text.
        whisker: lower end, score and upper end, on test if there is a test split; None: unknown.
        best: whether it is the result.
    """

    label: str
    dev: str
    test: str
    whisker: tuple[float, float, float] | None
    best: bool


def drawn_models(models: Mapping[str, Model]) -> list[DrawnModel]:
    """The models with their intervals on one scale."""
    tested = any(model.test is not None for model in models.values())
    shown = {label: model.test if tested else model.dev for label, model in models.items()}
    ends = [_ends(scores) for scores in shown.values() if scores is not None]
    least = min(low for low, _ in ends)
    most = max(high for _, high in ends)
    scale = 100 / (most - least) if most > least else 0.0
    rows = []
    for label, model in models.items():
        scores = shown[label]
        whisker = None
        if scores is not None:
            low, high = _ends(scores)
            places = [round((value - least) * scale, 1) for value in (low, scores.value, high)]
            whisker = (places[0], places[1], places[2])
        test = "-" if model.test is None else score_text(model.test.value, model.test.interval)
        rows.append(
            DrawnModel(
                label,
                score_text(model.dev.value, model.dev.interval),
                test,
                whisker,
                best=label.endswith("(result)"),
            )
        )
    return rows


def _ends(scores: Scores) -> tuple[float, float]:
    return scores.interval or (scores.value, scores.value)


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


def _task_tables(result: Result) -> Iterator[TextTable]:
    """For several tasks, the scores on each."""
    if not result.several_tasks:
        return
    names = {"base": "base model", "best_single": "best expert", "best": "result"}
    columns = [(split, name) for split in SPLITS for name in names if name in result.models]
    rows = []
    for task in result.objectives:
        cells = [task]
        for split, name in columns:
            scores = result.models[name].on(split)
            known = scores is not None and task in scores.tasks
            cells.append(score_text(scores.tasks[task].value if scores and known else None))
        rows.append(cells)
    headings = ["task", *(f"{names[name]}, {split}" for split, name in columns)]
    yield TextTable("By task", headings, rows)


def _front_tables(result: Result) -> Iterator[TextTable]:
    """The points of the Pareto front."""
    if not result.front:
        return
    tasks = list(result.best.dev.tasks)
    rows = []
    for point in result.front:
        scores = [score_text(point.dev[task]) for task in tasks]
        rows.append([mixture_text(point.coefficients), *scores])
    yield TextTable("The Pareto front", ["mixture", *(f"{task}, dev" for task in tasks)], rows)


def heat(errors: LabelErrors) -> list[list[int]]:
    """The share of a row's items in each cell of a confusion matrix, in percent."""
    shares = []
    for counts, unclear in zip(errors.counts, errors.unclear, strict=True):
        n = max(1, sum(counts) + unclear)
        shares.append([round(100 * count / n) for count in counts])
    return shares


def _weight_table(result: Result) -> TextTable:
    weights, small = split_small_weights(result.coefficients)
    rows = [[name, f"{weight:.2f}"] for name, weight in weights]
    note = f"Below {SMALL}: {', '.join(small)}." if small else ""
    return TextTable("Weights", ["expert", "weight"], rows, note)


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
        theirs = single[name]
        if len(ours) != len(theirs):
            continue
        gained = [place for place, value in enumerate(ours) if value > theirs[place]]
        lost = [place for place, value in enumerate(ours) if value < theirs[place]]
        items = tasks[name].dev if name in tasks else ()
        yield ChangedTask(name, gained, lost, items if len(items) == len(ours) else ())


# The picture of a search


class Dot(NamedTuple):
    """A candidate in the picture: place, shade from 0 to 4 by its value, and text."""

    x: float
    y: float
    shade: int
    text: str


@dataclass(frozen=True)
class Picture:
    """The candidates of a search as points of a plane.

    Attributes:
        dots: the candidates, the best last.
        experts: name -> place.
        base: place of the base model.
        caption: meaning of the axes.
    """

    dots: list[Dot]
    experts: dict[str, tuple[float, float]]
    base: tuple[float, float]
    caption: str


def picture(rows: Sequence[Row], result: Result) -> Picture:
    """The candidates, the experts and the base by their weights, in two dimensions: for two experts
    the weights themselves, else the principal components of all candidates.

    Args:
        rows: at least one evaluation of the search.
        result: result of the search.
    """
    names = list(result.coefficients)
    weights = np.array([row.coefficients for row in rows], dtype=np.float64)
    corners = np.vstack([np.eye(len(names)), np.zeros((1, len(names)))])
    flat, caption = _flat(weights, np.vstack([weights, corners]))
    places = _in_frame(flat)
    order = sorted(range(len(rows)), key=lambda number: rows[number].value)
    dots = []
    for rank, number in enumerate(order):
        shade = rank * _SHADES // len(rows)
        dots.append(Dot(*places[number], shade, f"{rows[number].value:.3f} on dev"))
    experts = dict(zip(names, places[len(rows) :], strict=False))
    return Picture(dots, experts, places[-1], caption)


def _flat(weights: Floats, points: Floats) -> tuple[Floats, str]:
    """Points of a plane, (N, 2), and the meaning of its axes."""
    if weights.shape[1] == 2:
        return points, "Across: the weight of the first expert. Up: that of the second."
    centre = weights.mean(0)
    _, singular, axes = np.linalg.svd(weights - centre, full_matrices=False)
    share = (singular[:2] ** 2).sum() / max(float((singular**2).sum()), 1e-300)
    axes = np.vstack([axes, np.zeros_like(axes[:1])])[:2]
    # the sign of a component is arbitrary: its largest weight is positive
    largest = axes[np.arange(2), np.abs(axes).argmax(1)]
    axes = axes * np.where(largest < 0, -1.0, 1.0)[:, None]
    caption = (
        f"The first two principal components of the mixing weights ({share:.0%} of the variance)."
    )
    return (points - centre) @ axes.T, caption


def _in_frame(points: Floats) -> list[tuple[float, float]]:
    """Points of a plane, (N, 2), with one scale for both axes, in the picture's coordinates."""
    low = points.min(0)
    extent = points.max(0) - low
    room = np.array([WIDTH, HEIGHT]) - 2 * _EDGE
    scale = float((room / np.where(extent > 0, extent, 1.0)).min())
    middle = low + extent / 2
    framed = np.array([WIDTH, HEIGHT]) / 2 + (points - middle) * scale * np.array([1, -1])
    return [(round(float(x), 1), round(float(y), 1)) for x, y in framed]
