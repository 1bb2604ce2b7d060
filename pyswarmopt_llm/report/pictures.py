"""The pictures of a report: scores during the search, weights as bars, examples won and lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt_llm.report.axes import ticks
from pyswarmopt_llm.report.findings import names, strongest
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import Outcome, RunResult
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item

WIDTH = 480  # of the picture of scores, in viewBox units
HEIGHT = 260
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 36  # free units around its plot
KINDS = ("expert", "start", "proposal")  # of candidates


@dataclass(frozen=True)
class Mark:
    """A candidate in the picture: its kind, place and text."""

    kind: str
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class ScorePicture:
    """Dev scores by evaluation.

    Attributes:
        marks: a candidate each.
        best: SVG path of the best score so far, a step at each new best.
        across: text -> x of each tick of the axis of evaluations.
        up: text -> y of each tick of the axis of scores.
        kinds: kinds of candidates that occur.
    """

    marks: tuple[Mark, ...]
    best: str
    across: dict[str, float]
    up: dict[str, float]
    kinds: tuple[str, ...]


def score_picture(rows: Sequence[Row]) -> ScorePicture:
    """Dev scores by evaluation, with the best so far.

    Args:
        rows: at least one evaluation of the search, in order, with a finite score.
    """
    values = [row.value for row in rows]
    rises = ticks(min(values), max(values))
    low, high = rises[0], max(rises[-1], max(values))
    width = (WIDTH - LEFT - RIGHT) / max(len(rows) - 1, 1)
    height = (HEIGHT - TOP - BOTTOM) / (high - low)
    xs = [round(LEFT + width * number, 1) for number in range(len(rows))]

    def at(value: float) -> float:
        return round(HEIGHT - BOTTOM - height * (value - low), 1)

    marks = tuple(
        Mark(kind_of(row), x, at(row.value), f"evaluation {number}: {row.value:.3f}")
        for number, (row, x) in enumerate(zip(rows, xs, strict=True), 1)
    )
    records = np.maximum.accumulate(values)
    best = f"M{xs[0]} {at(values[0])}" + "".join(
        f"H{x}V{at(value)}" for x, value in zip(xs[1:], records[1:], strict=True)
    )
    places = {1, *(int(place) for place in ticks(1, len(rows)) if 1 <= place <= len(rows))}
    across = {str(place): xs[place - 1] for place in sorted(places)}
    up = {f"{value:g}": at(value) for value in rises}
    kinds = tuple(kind for kind in KINDS if any(mark.kind == kind for mark in marks))
    return ScorePicture(marks, best, across, up, kinds)


def kind_of(row: Row) -> str:
    """Whether a candidate is an expert alone, a starting mixture or a proposal."""
    if row.iteration > 0:
        return "proposal"
    alone = sorted(row.coefficients)[-1:] == [1.0] and sum(map(abs, row.coefficients)) == 1
    return "expert" if alone else "start"


@dataclass(frozen=True)
class Bar:
    """A weight as a bar from zero, in percent of the width; `zero` is the place of 0."""

    name: str
    weight: float
    start: float
    length: float
    zero: float


def bars(weights: Mapping[str, float]) -> list[Bar]:
    """Weights as diverging bars on one scale, the greatest first.

    Example:
        >>> [(bar.start, bar.length) for bar in bars({"a": -1.0, "b": 3.0})]
        [(25.0, 75.0), (0.0, 25.0)]
    """
    low, high = min(0.0, *weights.values()), max(0.0, *weights.values())
    scale = 100 / ((high - low) or 1)
    zero = round(-low * scale, 1)
    drawn = []
    for name, weight in sorted(weights.items(), key=lambda pair: -pair[1]):
        length = round(abs(weight) * scale, 1)
        start = zero if weight >= 0 else round(zero - length, 1)
        drawn.append(Bar(name, weight, start, length, zero))
    return drawn


@dataclass(frozen=True)
class Changed:
    """An example on which the result and the control differ: its item, and both answers, if known."""

    item: Item | None
    ours: str
    theirs: str


@dataclass(frozen=True)
class Changes:
    """Examples of a task that the result wins and loses against a control.

    Attributes:
        task: name of the task.
        split: split of the examples.
        control: name of the control.
        won, lost: the examples.
    """

    task: str
    split: str
    control: str
    won: list[Changed]
    lost: list[Changed]


def changes(result: RunResult, tasks: Mapping[str, Task]) -> Iterator[Changes]:
    """Examples won and lost against the strongest control on test, by task.

    Without a test split, or without scores of its examples, these are the dev examples, against the
    best expert. A task whose examples have no scores is left out.

    Args:
        result: result of the search.
        tasks: name -> task, for the texts; a task may be missing.
    """
    control = strongest(result)[0]
    split = "test"
    if control not in result.leads["test"]:
        control, split = "best_single", "dev"
    ours, theirs = (getattr(model, split) for model in (result.best, result.models[control]))
    for name, own in ours.tasks.items():
        if own.whole:  # its items have no scores
            continue
        objective = result.objectives[name]
        task = tasks.get(objective.task or name)
        items = getattr(task, split) if task is not None and split in SPLITS else ()
        won, lost = _won_and_lost(own, theirs.tasks[name], items)
        yield Changes(name, split, names(result)[control], won, lost)


def _won_and_lost(
    own: Outcome, other: Outcome, items: Sequence[Item]
) -> tuple[list[Changed], list[Changed]]:
    gain = np.subtract(own.per_item, other.per_item)

    def changed(place: int) -> Changed:
        item = items[place] if place < len(items) else None
        answers = [_answer(outcome.answers, place, item) for outcome in (own, other)]
        return Changed(item, answers[0], answers[1])

    won = [changed(place) for place in np.flatnonzero(gain > 0).tolist()]
    lost = [changed(place) for place in np.flatnonzero(gain < 0).tolist()]
    return won, lost


def _answer(answers: Sequence[str], place: int, item: Item | None) -> str:
    """A model's answer to an item, a letter as its option's text; "" if unknown."""
    if place >= len(answers):
        return ""
    answer = answers[place]
    options: Mapping[str, Any] = (item.choices if item is not None else None) or {}
    return str(options.get(answer, answer))
