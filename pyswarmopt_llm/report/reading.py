"""Analyses of a finished run: new and lost items, headroom, the best candidate's path, and a
picture of the search as numbers for ``figures.html.j2``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.words import cut
from pyswarmopt_llm.report.labels import place_labels
from pyswarmopt_llm.scores.metrics.combine import combined_value, find_combine
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Result


class Emergence(NamedTuple):
    """Dev items of one task by who answers them correctly: any expert, the result (Feng et al.
    2024).

    Attributes:
        kept: an expert and the result.
        lost: an expert, but not the result.
        emerged: no expert, but the result.
        never: neither an expert nor the result.
    """

    kept: int
    lost: int
    emerged: int
    never: int


@dataclass(frozen=True)
class Headroom:
    """The best expert overall, and the best expert for each item, on dev.

    Attributes:
        oracle: score with the best expert for each item.
        best_single: score of the best expert.
        best: score of the result.
        n: number of items of all tasks.
        partial: whether some items are missing, because an expert dropped out before them.
    """

    oracle: float
    best_single: float
    best: float
    n: int
    partial: bool = False


class Changes(NamedTuple):
    """Indices of the dev items on which the result differs from the best single expert."""

    gained: list[int]
    lost: list[int]


@dataclass(frozen=True)
class Course:
    """The course of a search, from its starting swarm to the chosen candidate.

    Attributes:
        rows: rows of the journal.
        result: ``result.json``.
    """

    rows: Sequence[Row]
    result: Result

    @cached_property
    def starts(self) -> dict[int, float]:
        """Particle of the swarm -> value of its starting point; surrogate candidates are not
        included.
        """
        begun = (row for row in self.rows if row.phase == "search" and row.iteration == 0)
        return {row.particle: row.value for row in begun}

    @cached_property
    def best(self) -> Row:
        """The row of the best candidate, found by its mixture, else by its value.

        Different graphs may use the same experts; the one with the result's value is taken.
        """
        mixture = list(self.result.coefficients.values())
        rows = searched(self.rows)
        for row in rows:
            same = self.result.graph is None or row.value == self.result.best.dev.value
            if row.coefficients == mixture and same:
                return row
        return max(rows, key=lambda row: row.value)

    @property
    def proposed(self) -> bool:
        """Whether the best candidate came from a surrogate, not from a particle."""
        return self.best.particle not in self.starts

    @property
    def start(self) -> float:
        """The value of the best particle's starting point; a surrogate candidate's own value."""
        return self.starts.get(self.best.particle, self.best.value)

    @property
    def rank(self) -> float:
        """The rank of `start` in the starting swarm, 1 for the best; ties share their mean rank."""
        values = list(self.starts.values())
        return 1 + sum(v > self.start for v in values) + (values.count(self.start) - 1) / 2

    @property
    def weak_to_strong(self) -> bool:
        """Whether the best particle started in the lower half of the swarm."""
        return not self.proposed and self.rank > (len(self.starts) + 1) / 2

    @property
    def later(self) -> int:
        """Evaluations after the starting swarm."""
        return sum(row.iteration > 0 for row in self.rows)

    @property
    def iterated(self) -> bool:
        """Whether particles moved."""
        return any(row.iteration and row.particle in self.starts for row in self.rows)


def searched(rows: Iterable[Row]) -> list[Row]:
    """The rows of the search, without partial evaluations."""
    return [row for row in rows if row.phase == "search" and row.complete]


def _known(result: Result) -> dict[str, Floats]:
    """Task -> dev scores on the items that all experts and the result were scored on: one row per
    expert, the result last.
    """
    tables = {}
    for name, ours in result.best.dev.items.items():
        rows = [*(expert.dev.items[name] for expert in result.experts.values()), ours]
        alike = len({*map(len, rows)}) == 1
        table = np.array(rows) if alike else np.empty((len(rows), 0))
        tables[name] = table[:, ~np.isnan(table).any(axis=0)]
    return tables


def emergence(result: Result) -> dict[str, Emergence]:
    """Task -> its emergence counts, for tasks with right or wrong items.

    Empty if an expert dropped out: some of its answers are unknown.
    """
    cases = {}
    for name, table in _known(result).items() if not result.dropped else ():
        if table.size and np.isin(table, (0, 1)).all():
            expert = table[:-1].any(axis=0)
            right = table[-1] == 1
            counts = (expert & right, expert & ~right, ~expert & right, ~expert & ~right)
            cases[name] = Emergence(*(int(count.sum()) for count in counts))
    return cases


def changes(result: Result) -> dict[str, Changes]:
    """Task -> the dev items on which the result is better or worse than the best single expert."""
    single = result.models["best_single"].dev.items
    found = {}
    for name, ours in result.best.dev.items.items():
        differences = np.subtract(ours, single[name]) if len(ours) == len(single[name]) else []
        found[name] = Changes(
            *(np.flatnonzero(side * np.array(differences) > 0).tolist() for side in (1, -1))
        )
    return found


def headroom(result: Result) -> Headroom | None:
    """The headroom on dev, from existing scores.

    If experts dropped out of a race, it covers the items scored by all of them. None for fewer than
    two experts, or if a task has no such item.
    """
    if len(result.experts) < 2:
        return None
    single = list(result.experts).index(result.best_single)
    tables = _known(result)
    if not all(table.size for table in tables.values()):
        return None
    means = [
        [table[:-1].max(axis=0).mean(), table[single].mean(), table[-1].mean()]
        for table in tables.values()
    ]
    count = sum(table.shape[1] for table in tables.values())
    partial = count < sum(map(len, result.best.dev.items.values()))
    combine = find_combine(result.combine, len(means))
    oracle, alone, best = (
        float(combined_value(combine, column)) for column in zip(*means, strict=True)
    )
    return Headroom(oracle, alone, best, count, partial)


# The picture of a search: where each point lies

WIDTH = 480  # in viewBox units, in which text has the page's font size
HEIGHT = 320
_MIDDLE = np.array([258.0, 147.0])  # of the frame
_ROOM = np.array([420.0, 266.0])  # its size
_LEVELS = 5  # shades of values
_LONGEST = 24  # most characters of a name beside its point
_LETTER = 7.5  # width of a letter, for text of 13 units
_LINE = 17.0  # height of a line


def described(row: Row, course: Course) -> str:
    """A row of the search in words."""
    who = f"particle {row.particle}, iteration {row.iteration}"
    if row.particle not in course.starts:
        who = "suggested by the model"
    return f"{who}: {row.value:.3f}"


def paths(course: Course) -> dict[str, Any]:
    """Paths of the particles between the experts; `course` needs at least one row."""
    rows = course.rows
    coefficients = course.result.coefficients
    values = np.array([row.value for row in rows], dtype=np.float64)
    flat = project(np.array([row.coefficients for row in rows], dtype=np.float64), values)
    scored = len(coefficients) == 2
    framed = in_frame(np.vstack([flat.points, flat.experts, flat.base]), one_unit=not scored)
    points = framed[: len(rows)]
    marked = framed[len(rows) :]
    experts = dict(zip(coefficients, marked, strict=False))
    names = [*coefficients, "base"][: len(marked)]
    ways: dict[int, list[list[float]]] = {}
    for row, at in zip(rows, points, strict=True):
        ways.setdefault(row.particle, []).append(at)
    shades = values.argsort(kind="stable").argsort(kind="stable") * _LEVELS // len(rows)
    ends = {int(values.argmin()), int(values.argmax())} if scored else set[int]()
    return {
        "caption": flat.caption,
        "course": course,
        "ways": ways,
        "dots": [
            (*at, shade, described(row, course))
            for at, shade, row in zip(points, shades, rows, strict=True)
        ],
        "experts": experts,
        "base": marked[len(experts) :],
        "best": points[rows.index(course.best)],
        "labels": labels_of(names, marked),
        "up": [(f"{values[end]:.3f}", points[end][1]) for end in ends],
    }


class Label(NamedTuple):
    """A name in the picture: its middle, and the point it labels."""

    text: str
    at: tuple[float, float]
    point: list[float]
    beside: bool  # otherwise a line connects them


def labels_of(names: list[str], points: list[list[float]]) -> list[Label]:
    """The labels, placed near their points; names without room are dropped."""
    texts = [cut(name, _LONGEST) for name in names]
    sizes = np.array([(_LETTER * len(text), _LINE) for text in texts])
    places = place_labels(np.array(points), sizes, (2, 2, WIDTH - 2, HEIGHT - 2))
    found = []
    for text, size, point, at in zip(texts, sizes, points, places, strict=True):
        if at is None:
            continue
        away = np.abs(np.array(at) - point) - size / 2
        found.append(
            Label(text, (round(at[0], 1), round(at[1], 1)), point, bool(away.max() < _LINE))
        )
    return found


def in_frame(points: Floats, one_unit: bool) -> list[list[float]]:
    """Points of a plane, (N, 2), as coordinates that fill the frame, y downwards; `one_unit`: same
    scale on both axes.
    """
    low = points.min(0)
    high = points.max(0)
    unit = _ROOM / np.where(high > low, high - low, 1.0)
    if one_unit:
        unit[:] = unit.min()
    framed: list[list[float]] = (
        (_MIDDLE + (points - (low + high) / 2) * unit * (1, -1)).round(1).tolist()
    )
    return framed


# Mixing weights in two dimensions


class Flat(NamedTuple):
    """Mixtures, (N, 2) float64, experts, (n, 2), and the base, (1, 2) or (0, 2) if unknown, as
    points of a plane; and a caption for its axes.
    """

    points: Floats
    experts: Floats
    base: Floats
    caption: str


def project(weights: Floats, values: Floats) -> Flat:
    """Mixtures of n experts as points of a plane; for two experts the height is the value.

    Args:
        weights: mixing weights, (N, n) float64.
        values: scores of the mixtures, (N,) float64.
    """
    n = weights.shape[1]
    if n == 2:
        heights = [values[(weights == one).all(1)].max(initial=values.min()) for one in np.eye(2)]
        caption = "Across: the weight of the second expert. Up: the dev score."
        experts = np.column_stack([[0.0, 1.0], heights])
        of_base = values[(weights == 0).all(1)][:1]
        base = np.column_stack([np.zeros_like(of_base), of_base])
        return Flat(np.column_stack([weights[:, 1], values]), experts, base, caption)
    if n == 3:
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])
        corners -= corners.mean(0)  # the base, with weights 0, is projected to their middle
        caption = "The triangle of the three experts; outside it a weight is negative."
        return Flat(weights @ corners, corners, np.zeros((1, 2)), caption)
    return _principal(weights)


def _principal(weights: Floats) -> Flat:
    n = weights.shape[1]
    centre = weights.mean(0)
    _, singular, axes = np.linalg.svd(weights - centre, full_matrices=False)
    share = (singular[:2] ** 2).sum() / max(float((singular**2).sum()), 1e-300)
    axes = axes[:2] if len(axes) > 1 else np.vstack([axes, np.zeros(n)])
    # The sign of a component is arbitrary; a fixed sign draws the same run the same way everywhere.
    axes = axes * np.where(axes[np.arange(2), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]
    caption = (
        f"The first two principal components of the positions, with {share:.0%} of the variance."
    )
    return Flat(
        points=(weights - centre) @ axes.T,
        experts=(np.eye(n) - centre) @ axes.T,
        base=-centre[None] @ axes.T,
        caption=caption,
    )
