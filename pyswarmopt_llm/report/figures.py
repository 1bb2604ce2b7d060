"""The report's pictures as numbers: where each point lies, for ``figures.html.j2`` to draw."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.report.reading import proposing_model, swarm_of
from pyswarmopt_llm.searching.scoring.record import Row

Floats = npt.NDArray[np.float64]
WIDTH, HEIGHT = 480, 320  # units of the viewBox, in which text has the size of the page's
_MIDDLE, _ROOM = np.array([258.0, 147.0]), np.array([420.0, 266.0])  # of the frame in it
_TICKS = 5  # round numbers on an axis, at most
_LEVELS = 5  # shades of a value
_LABEL = 24  # characters of an expert's name
_LETTER, _LINE = 7.9, 16.0  # width of an average character and height of a line


def scale(values: Iterable[float], start: float, end: float) -> Any:
    """Numbers to coordinates: the least of `values` at `start`, the largest at `end`.

    Example:
        >>> x = scale([0.5, 0.9], 10, 90)
        >>> x(0.5), x(0.7), x(0.9)
        (10.0, 50.0, 90.0)
    """
    numbers = list(values)
    low, span = min(numbers), (max(numbers) - min(numbers)) or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 1)


@dataclass(frozen=True)
class Plane:
    """Points of a plane as coordinates in a picture, where up is less.

    Attributes:
        centre: the point in the middle of the frame.
        unit: pixels of a step along each axis.
    """

    centre: Floats
    unit: Floats

    @classmethod
    def around(cls, points: Floats, one_unit: bool = False) -> Plane:
        """The plane in which these points, (N, 2), fill the frame; of `one_unit` along both axes."""
        low, high = points.min(0), points.max(0)
        unit = _ROOM / np.where(high > low, high - low, 1.0)
        if one_unit:
            unit[:] = unit.min()
        return cls((low + high) / 2, unit * (1, -1))

    def place(self, points: Any) -> list[list[float]]:
        """Coordinates of points, (N, 2)."""
        return (_MIDDLE + (np.reshape(points, (-1, 2)) - self.centre) * self.unit).round(1).tolist()

    def ticks(self, axis: int, whole: bool = False) -> list[tuple[str, float]]:
        """Round numbers on an axis, 0 or 1, and their coordinates there."""
        half = abs(_ROOM / self.unit)[axis] / 2
        low, high = self.centre[axis] - half, self.centre[axis] + half
        least = (high - low) / _TICKS
        power = 10.0 ** math.floor(math.log10(least))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
        step = max(step, 1.0) if whole else step
        numbers = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
        places = _MIDDLE[axis] + (numbers - self.centre[axis]) * self.unit[axis]
        return [(f"{n:g}", round(at, 1)) for n, at in zip(numbers, places.tolist(), strict=True)]


def best_so_far(history: Iterable[Row]) -> list[float]:
    """The best value after each evaluation, rows in order; values that are not finite never lead.

    Example:
        >>> values = [0.2, float("nan"), 0.5, 0.4]
        >>> best_so_far([Row("search", 0, i, "k", [1.0], value, 1, 1.0, {}) for i, value in enumerate(values)])
        [0.2, 0.2, 0.5, 0.5]
    """
    values = [row.value if math.isfinite(row.value) else -math.inf for row in history]
    best = np.maximum.accumulate(values) if values else np.empty(0)
    return best[np.isfinite(best)].tolist()


def curve(history: Sequence[Row], references: Mapping[str, float]) -> dict[str, Any] | None:
    """Dev scores and the best so far by evaluation; None if nothing was evaluated.

    Args:
        history: rows of the search, in order.
        references: name -> score, drawn as horizontal lines.
    """
    best, swarm = best_so_far(history), swarm_of(history)
    if not best:
        return None
    seen = [(i, row) for i, row in enumerate(history, start=1) if math.isfinite(row.value)]
    dots = [(i, row.value) for i, row in seen]
    lines = [(1, value) for value in references.values()]
    plane = Plane.around(np.array([*dots, *lines, (2, best[0])], dtype=np.float64))
    begun = len(history) - len(best) + 1
    return {
        "dots": plane.place(dots),
        "titles": [f"evaluation {i}, {described(row, swarm)}" for i, row in seen],
        "stairs": plane.place([*enumerate(best, start=begun)]),
        "lines": _named_lines(plane, references),
        "across": plane.ticks(0, whole=True),
        "up": plane.ticks(1),
    }


def _named_lines(plane: Plane, lines: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Text, height and the text's height; a name is under its line, close above another over it."""
    named, below = [], math.inf
    for name, value in sorted(lines.items(), key=lambda line: line[1]):
        ((_, at),) = plane.place((1, value))
        named.append((f"{name} {value:.3f}", at, at - 4 if below - at < _LINE else at + 14))
        below = at
    return named


def described(row: Row, swarm: Container[int]) -> str:
    """A row of the search in words; `swarm`: the numbers of the particles."""
    who = f"particle {row.particle}, iteration {row.iteration}"
    if row.particle not in swarm:
        who = f"proposed by the {proposing_model([row])}"
    return f"{who}: {row.value:.3f}"


def paths(rows: Sequence[Row], coefficients: Mapping[str, float], chosen: Row) -> dict[str, Any]:
    """Paths of the particles between the experts.

    Args:
        rows: those of the search, at least one.
        coefficients: expert -> weight in the result; their order is that of the rows' coefficients.
        chosen: the row of the result.
    """
    values, swarm = np.array([row.value for row in rows], dtype=np.float64), swarm_of(rows)
    flat = project(np.array([row.coefficients for row in rows], dtype=np.float64), values)
    scored = len(coefficients) == 2
    plane = Plane.around(np.vstack([flat.points, flat.experts]), one_unit=not scored)
    points, experts = plane.place(flat.points), plane.place(flat.experts)
    ways: dict[int, list[list[float]]] = {}
    for row, at in zip(rows, points, strict=True):
        ways.setdefault(row.particle, []).append(at)
    best = next(at for row, at in zip(rows, points, strict=True) if row is chosen)
    shades = values.argsort(kind="stable").argsort(kind="stable") * _LEVELS // len(rows)
    return {
        "caption": flat.caption,
        "corners": [*experts, experts[0]] if len(experts) == 3 else [],
        "ways": list(ways.values()),
        "dots": points,
        "shades": shades.tolist(),
        "titles": [described(row, swarm) for row in rows],
        "strong": ways[chosen.particle],
        "starts": {particle: ways[particle][0] for particle in ways if particle in swarm},
        "experts": [*zip(coefficients, experts, strict=True)],
        "best": (best, f"the result, {chosen.value:.3f} on dev"),
        "labels": _labels(experts, coefficients, best),
        "up": plane.ticks(1) if scored else [],
    }


def _labels(
    experts: Sequence[Sequence[float]], weights: Mapping[str, float], best: Sequence[float]
) -> list[tuple[str, float, float, str]]:
    """Experts' names beside them: the heaviest first, and only where nothing else is."""
    taken = [(x - 6, x + 6, y) for x, y in (best, *experts)]
    labels = []
    for (name, _), (x, y) in sorted(
        zip(weights.items(), experts, strict=True), key=lambda expert: -abs(expert[0][1])
    ):
        text = name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
        width = _LETTER * len(text)
        for anchor, at, left in (("start", x + 9, x + 9), ("end", x - 9, x - 9 - width)):
            free = all(
                abs(y - other) > _LINE or left > right or left + width < begin
                for begin, right, other in taken
            )
            if free and 0 <= left <= WIDTH - width:
                taken.append((left, left + width, y))
                labels.append((text, at, y, anchor))
                break
    return labels


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
