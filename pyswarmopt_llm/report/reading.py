"""Analyses of a finished run: headroom, the way to its best candidate, and a
picture of it as numbers, for ``figures.html.j2`` to draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.common.statistics import ROUNDING
from pyswarmopt_llm.scores.metrics.combine import combined_value, find_combine
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Result

Floats = npt.NDArray[np.float64]


class Headroom(NamedTuple):
    """The way from the best expert to the best expert of each item, on dev.

    Attributes:
        oracle: the score with, for each item, the best of the experts' scores.
        best_single: the score of the best expert.
        best: the score of the result.
        share: of the way that the result goes; None where there is none to go.
    """

    oracle: float
    best_single: float
    best: float
    share: float | None


class Changes(NamedTuple):
    """Dev items on which the result differs from the best single expert: their indices."""

    gained: list[int]
    lost: list[int]


@dataclass(frozen=True)
class Course:
    """The course of a search: from where its swarm began to the candidate that it chose.

    Attributes:
        rows: of the journal.
        result: ``result.json``.
    """

    rows: Sequence[Row]
    result: Result

    @cached_property
    def starts(self) -> dict[int, float]:
        """Particle of the swarm -> the value of its starting point; proposals have other numbers."""
        begun = (row for row in self.rows if row.phase == "search" and row.iteration == 0)
        return {row.particle: row.value for row in begun}

    @cached_property
    def best(self) -> Row:
        """The row of the best candidate: by its mixture, else by its value.

        Different graphs may use the same experts; of these, the one with the result's value.
        """
        mixture, rows = list(self.result.coefficients.values()), searched(self.rows)
        for row in rows:
            same = self.result.graph is None or row.value == self.result.best.dev.value
            if row.coefficients == mixture and same:
                return row
        return max(rows, key=lambda row: row.value)

    @property
    def proposed(self) -> bool:
        """Whether a model proposed the best candidate; no particle found it."""
        return self.best.particle not in self.starts

    @property
    def start(self) -> float:
        """The value of the starting point of the best particle; of a proposal its own."""
        return self.starts.get(self.best.particle, self.best.value)

    @property
    def later(self) -> int:
        """Evaluations after those of the starting swarm."""
        return sum(row.iteration > 0 for row in self.rows)

    @property
    def iterated(self) -> bool:
        """Whether particles moved."""
        return any(row.iteration and row.particle in self.starts for row in self.rows)

    @property
    def model(self) -> str:
        """The model that proposed candidates: of the items where rows have margins, else of the
        scores.
        """
        return "item model" if any(row.margins for row in self.rows) else "model of the scores"


def searched(rows: Iterable[Row]) -> list[Row]:
    """The rows of the search itself, without partial evaluations."""
    return [row for row in rows if row.phase == "search" and row.complete]


def changes(result: Result) -> dict[str, Changes]:
    """Task -> the dev items on which the result is better or worse than the best single expert."""
    single, found = result.models["best_single"].dev.items, {}
    for name, ours in result.best.dev.items.items():
        differences = np.subtract(ours, single[name]) if len(ours) == len(single[name]) else []
        found[name] = Changes(
            *(np.flatnonzero(side * np.array(differences) > 0).tolist() for side in (1, -1))
        )
    return found


def headroom(result: Result) -> Headroom | None:
    """The headroom on dev, from scores that the search has made: nothing is scored for it.

    None for fewer than two experts, where one dropped out, and where a task has no scores of items.
    """
    if len(result.experts) < 2 or result.dropped:
        return None
    single = list(result.experts).index(result.best_single)
    means = []
    for name, best in result.best.dev.items.items():
        rows = [*(expert.dev.items[name] for expert in result.experts.values()), best]
        if not best or len({*map(len, rows)}) > 1:
            return None
        table = np.array(rows)
        means.append([table[:-1].max(axis=0).mean(), table[single].mean(), table[-1].mean()])
    combine = find_combine(result.combine, len(means))
    oracle, alone, found = (
        float(combined_value(combine, column)) for column in zip(*means, strict=True)
    )
    way = oracle - alone
    share = (found - alone) / way if way > ROUNDING * abs(oracle) else None
    return Headroom(oracle, alone, found, share)


# The picture of a search: where each point lies

WIDTH, HEIGHT = 480, 320  # units of the viewBox, in which text has the size of the page's
_MIDDLE, _ROOM = np.array([258.0, 147.0]), np.array([420.0, 266.0])  # of the frame in it
_LEVELS = 5  # shades of a value
_LABELS = 3  # experts whose name is beside their point


def described(row: Row, course: Course) -> str:
    """A row of the search in words."""
    who = f"particle {row.particle}, iteration {row.iteration}"
    if row.particle not in course.starts:
        who = f"proposed by the {course.model}"
    return f"{who}: {row.value:.3f}"


def paths(course: Course) -> dict[str, Any]:
    """Paths of the particles between the experts; `course` has at least one row."""
    rows, coefficients = course.rows, course.result.coefficients
    values = np.array([row.value for row in rows], dtype=np.float64)
    flat, caption = project(np.array([row.coefficients for row in rows], dtype=np.float64))
    framed = _in_frame(flat)
    points, experts = framed[: len(rows)], framed[len(rows) :]
    ways: dict[int, list[list[float]]] = {}
    for row, at in zip(rows, points, strict=True):
        ways.setdefault(row.particle, []).append(at)
    shades = values.argsort(kind="stable").argsort(kind="stable") * _LEVELS // len(rows)
    return {
        "caption": caption,
        "course": course,
        "ways": ways,
        "dots": [
            (*at, shade, described(row, course))
            for at, shade, row in zip(points, shades, rows, strict=True)
        ],
        "experts": dict(zip(coefficients, experts, strict=True)),
        "best": points[rows.index(course.best)],
        "named": sorted(coefficients, key=lambda name: -abs(coefficients[name]))[:_LABELS],
    }


def _in_frame(points: Floats) -> list[list[float]]:
    """Points of a plane, (N, 2), as coordinates that fill the frame, where up is less."""
    low, high = points.min(0), points.max(0)
    unit = (_ROOM / np.maximum(high - low, 1e-9)).min()
    framed: list[list[float]] = (
        (_MIDDLE + (points - (low + high) / 2) * unit * (1, -1)).round(1).tolist()
    )
    return framed


def project(weights: Floats) -> tuple[Floats, str]:
    """Mixtures of n experts, and then these, as points of a plane, (N + n, 2), and its axes.

    Args:
        weights: mixing weights, (N, n) float64.
    """
    n, centre = weights.shape[1], weights.mean(0)
    _, singular, components = np.linalg.svd(weights - centre, full_matrices=False)
    share = (singular[:2] ** 2).sum() / max(float((singular**2).sum()), 1e-300)
    axes = np.zeros((2, n))
    axes[: len(components)] = components[:2]
    # The sign of a component is arbitrary; this one draws the same run the same way everywhere.
    axes *= np.where(axes[np.arange(2), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]
    caption = (
        f"The first two principal components of the positions, with {share:.0%} of the variance."
    )
    return (np.vstack([weights, np.eye(n)]) - centre) @ axes.T, caption
