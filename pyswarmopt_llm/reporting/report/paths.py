"""The ways of a swarm through the space of coefficients, as a picture in two dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.reporting.reading import swarm_of
from pyswarmopt_llm.reporting.report.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Mark, Scale, Tick, ticks, told

_LEVELS = 5  # shades of a value
_CHARACTER = 7.2  # mean width of one in a label, to keep labels apart
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """The swarm's ways through the space of coefficients, in two dimensions.

    Attributes:
        caption: what the two dimensions are.
        experts, starts, visited: points.
        hull: the corners of the experts' simplex where there are three, else "".
        paths: of the particles, as SVG wants them.
        chosen: that of the particle that found the result.
        best: the result.
        y_ticks: of the vertical axis, where it is a score.
    """

    caption: str
    experts: list[Mark]
    starts: list[Mark]
    visited: list[Mark]
    hull: str
    paths: list[str]
    chosen: str
    best: Mark
    y_ticks: list[Tick]


def plane(rows: Sequence[Row], coefficients: Mapping[str, float], chosen: Row) -> Plane:
    """The picture of where a swarm went.

    Args:
        rows: those of the search, at least one.
        coefficients: expert -> weight in the result; their order is that of the rows' coefficients.
        chosen: the row of the result.
    """
    names, n = list(coefficients), len(coefficients)
    where = np.array([row.coefficients for row in rows], dtype=np.float64)
    values = np.array([row.value for row in rows], dtype=np.float64)
    flat, corners, caption = _flatten(where, values, n)
    everything = np.vstack([flat, corners])
    low, high = everything.min(0), everything.max(0)
    x, y = _scales(low, high, same=n != 2)

    def place(point: Floats) -> tuple[float, float]:
        return x(float(point[0])), y(float(point[1]))

    spots = [place(point) for point in flat]
    order = values.argsort(kind="stable").argsort(kind="stable")
    shades = order * _LEVELS // len(rows)
    swarm = swarm_of(rows)
    visited = [
        Mark(*spot, told(row, swarm), f"v{shade}")
        for spot, row, shade in zip(spots, rows, shades.tolist(), strict=True)
    ]
    by_particle: dict[int, list[tuple[float, float]]] = {}
    for spot, row in zip(spots, rows, strict=True):
        by_particle.setdefault(row.particle, []).append(spot)
    paths = {particle: " ".join(f"{a:.1f},{b:.1f}" for a, b in way) for particle, way in by_particle.items()}
    at = next(spot for spot, row in zip(spots, rows, strict=True) if row is chosen)
    return Plane(
        caption,
        _labelled([Mark(*place(point), name) for point, name in zip(corners, names, strict=True)], coefficients, at),
        [Mark(*way[0], f"particle {one} starts here") for one, way in by_particle.items() if one in swarm],
        visited,
        " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, corners)) if n == 3 else "",
        list(paths.values()),
        paths[chosen.particle],
        Mark(*at, f"the result, {chosen.value:.3f} on dev"),
        [Tick(y(t), f"{t:g}") for t in ticks(low[1], high[1])] if n == 2 else [],
    )


def _flatten(where: Floats, values: Floats, n: int) -> tuple[Floats, Floats, str]:
    """Positions (N, n) and experts in two dimensions, and what these are.

    Two experts: the weight of the second, and the score. Three: their triangle, which all coefficients that sum to 1
    lie in the plane of. More: the two principal components of the positions.
    """
    if n == 2:
        at = [[(values[(where == corner).all(1)]).max(initial=values.min())] for corner in np.eye(2)]
        return (
            np.column_stack([where[:, 1], values]),
            np.column_stack([[0.0, 1.0], at]),
            "Across: the weight of the second expert. Up: the dev score.",
        )
    if n == 3:
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])
        return where @ corners, corners, "The triangle of the three experts; outside it a weight is negative."
    centre = where.mean(0)
    _, singular, axes = np.linalg.svd(where - centre, full_matrices=False)
    shares = singular**2 / max(float((singular**2).sum()), 1e-300)
    axes = axes[:2] if len(axes) > 1 else np.vstack([axes, np.zeros(n)])
    # The sign of a component is arbitrary; this one makes the same run the same picture everywhere.
    axes = axes * np.where(axes[np.arange(2), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]
    shown = f"{shares[:2].sum():.0%} of the variance of the coefficients"
    caption = f"The two principal components of the positions, which hold {shown}."
    return (where - centre) @ axes.T, (np.eye(n) - centre) @ axes.T, caption


def _scales(low: Floats, high: Floats, same: bool) -> tuple[Scale, Scale]:
    """Scales that fill the picture; with the `same` unit on both axes where distances have a meaning."""
    room = np.array([WIDTH - 2 * LEFT, HEIGHT - TOP - BOTTOM])
    span = np.where(high > low, high - low, 1.0)
    unit = np.full(2, (room / span).min()) if same else room / span
    used = unit * span
    left, top = LEFT + (room[0] - used[0]) / 2, TOP + (room[1] - used[1]) / 2
    ends = low + span
    return (
        Scale(float(low[0]), float(ends[0]), float(left), float(left + used[0])),
        Scale(float(low[1]), float(ends[1]), float(top + used[1]), float(top)),
    )


def _labelled(experts: list[Mark], weights: Mapping[str, float], best: tuple[float, float]) -> list[Mark]:
    """The experts with their names beside them: the heaviest first, and only where no other label is."""
    taken = [(best[0] - 10, best[1] - 10, best[0] + 10, best[1] + 10)]
    taken += [(mark.x - 5, mark.y - 5, mark.x + 5, mark.y + 5) for mark in experts]
    found: list[Mark] = []
    for mark in sorted(experts, key=lambda mark: -abs(weights[mark.title])):
        text = mark.title if len(mark.title) <= 24 else mark.title[:23] + "…"
        wide = len(text) * _CHARACTER
        end = mark.x + 9 + wide > WIDTH
        left = mark.x - 9 - wide if end else mark.x + 9
        box = (left, mark.y - 8, left + wide, mark.y + 8)
        free = left >= 0 and all(box[2] < t[0] or t[2] < box[0] or box[3] < t[1] or t[3] < box[1] for t in taken)
        if free:
            taken.append(box)
        found.append(Mark(mark.x, mark.y, mark.title, "", text if free else "", "end" if end else "start"))
    return found


__all__ = ["Plane", "plane"]
