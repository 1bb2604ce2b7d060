"""The picture of a search as numbers: where each point lies, for ``figures.html.j2`` to draw."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.words import cut
from pyswarmopt_llm.report.reading import Course
from pyswarmopt_llm.searching.scoring.record import Row

Floats = npt.NDArray[np.float64]
WIDTH, HEIGHT = 480, 320  # units of the viewBox, in which text has the size of the page's
_MIDDLE, _ROOM = np.array([258.0, 147.0]), np.array([420.0, 266.0])  # of the frame in it
_LEVELS = 5  # shades of a value
_LABELS, _LABEL = 3, 24  # experts whose name is beside their point, and its characters


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
    flat = project(np.array([row.coefficients for row in rows], dtype=np.float64), values)
    scored = len(coefficients) == 2
    framed = _in_frame(np.vstack([flat.points, flat.experts]), one_unit=not scored)
    points, experts = framed[: len(rows)], framed[len(rows) :]
    ways: dict[int, list[list[float]]] = {}
    for row, at in zip(rows, points, strict=True):
        ways.setdefault(row.particle, []).append(at)
    best = next(at for row, at in zip(rows, points, strict=True) if row is course.best)
    shades = values.argsort(kind="stable").argsort(kind="stable") * _LEVELS // len(rows)
    heaviest = sorted(coefficients, key=lambda name: -abs(coefficients[name]))[:_LABELS]
    named = dict(zip(coefficients, experts, strict=True))
    ends = {int(values.argmin()), int(values.argmax())} if scored else set[int]()
    return {
        "caption": flat.caption,
        "corners": [*experts, experts[0]] if len(experts) == 3 else [],
        "ways": list(ways.values()),
        "dots": [
            (*at, shade, described(row, course))
            for at, shade, row in zip(points, shades, rows, strict=True)
        ],
        "strong": ways[course.best.particle],
        "starts": {particle: ways[particle][0] for particle in ways if particle in course.starts},
        "experts": named,
        "best": best,
        "value": course.best.value,
        "labels": [(cut(name, _LABEL), *named[name]) for name in heaviest],
        "up": [(f"{values[end]:.3f}", points[end][1]) for end in ends],
    }


def _in_frame(points: Floats, one_unit: bool) -> list[list[float]]:
    """Points of a plane, (N, 2), as coordinates that fill the frame, where up is less; of `one_unit`
    along both axes.
    """
    low, high = points.min(0), points.max(0)
    unit = _ROOM / np.where(high > low, high - low, 1.0)
    if one_unit:
        unit[:] = unit.min()
    framed: list[list[float]] = (
        (_MIDDLE + (points - (low + high) / 2) * unit * (1, -1)).round(1).tolist()
    )
    return framed


# Mixing weights in two dimensions


class Flat(NamedTuple):
    """Mixtures, (N, 2) float64, and experts, (n, 2) float64, as points of a plane, and its axes."""

    points: Floats
    experts: Floats
    caption: str


def project(weights: Floats, values: Floats) -> Flat:
    """Mixtures of n experts as points of a plane; with two experts the value is its height.

    Args:
        weights: mixing weights, (N, n) float64.
        values: their scores, (N,) float64.
    """
    n = weights.shape[1]
    if n == 2:
        heights = [values[(weights == one).all(1)].max(initial=values.min()) for one in np.eye(2)]
        caption = "Across: the weight of the second expert. Up: the dev score."
        experts = np.column_stack([[0.0, 1.0], heights])
        return Flat(np.column_stack([weights[:, 1], values]), experts, caption)
    if n == 3:
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])
        caption = "The triangle of the three experts; outside it a weight is negative."
        return Flat(weights @ corners, corners, caption)
    return _principal(weights)


def _principal(weights: Floats) -> Flat:
    n, centre = weights.shape[1], weights.mean(0)
    _, singular, axes = np.linalg.svd(weights - centre, full_matrices=False)
    share = (singular[:2] ** 2).sum() / max(float((singular**2).sum()), 1e-300)
    axes = axes[:2] if len(axes) > 1 else np.vstack([axes, np.zeros(n)])
    # The sign of a component is arbitrary; this one draws the same run the same way everywhere.
    axes = axes * np.where(axes[np.arange(2), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]
    caption = (
        f"The first two principal components of the positions, with {share:.0%} of the variance."
    )
    return Flat((weights - centre) @ axes.T, (np.eye(n) - centre) @ axes.T, caption)
