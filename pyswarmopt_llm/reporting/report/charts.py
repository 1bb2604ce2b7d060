"""Where the marks of the report's pictures lie: numbers to coordinates; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.reporting.reading import swarm_of

WIDTH, HEIGHT = 480.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 12.0, 14.0, 40.0  # room for the axes' numbers


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: where, and its number."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point of a picture.

    Attributes:
        x, y: where.
        title: what a pointer on it shows.
        style: its class in the stylesheet.
        label: text beside it, if there is room.
        anchor: on which side of the point its label begins, as SVG says it.
    """

    x: float
    y: float
    title: str = ""
    style: str = ""
    label: str = ""
    anchor: str = "start"


@dataclass(frozen=True)
class Span:
    """A horizontal stretch of a picture, with the title and class of a `Mark`."""

    start: float
    end: float
    y: float = 0.0
    title: str = ""
    style: str = ""


def best_so_far(history: Iterable[Row]) -> list[float]:
    """The best value after each evaluation, rows in order; values that are not finite never lead.

    Example:
        >>> values = [0.2, float("nan"), 0.5, 0.4]
        >>> best_so_far([Row("search", 0, i, "k", [1.0], value, 1, 1.0, {}) for i, value in enumerate(values)])
        [0.2, 0.2, 0.5, 0.5]
    """
    best: list[float] = []
    for row in history:
        value = row.value if math.isfinite(row.value) else -math.inf
        best.append(max(value, best[-1]) if best else value)
    return [value for value in best if math.isfinite(value)]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten.

    Example:
        >>> ticks(0.58, 0.783)
        [0.6, 0.65, 0.7, 0.75]
    """
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


@dataclass(frozen=True)
class Scale:
    """From numbers to coordinates along one axis; `start` and `end` are the coordinates of `low` and `high`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a number."""
        span = (self.high - self.low) or 1.0
        return round(self.start + (value - self.low) / span * (self.end - self.start), 1)


@dataclass(frozen=True)
class Curve:
    """Best dev score by evaluation.

    Attributes:
        points: of the staircase, as SVG wants them.
        seen: every evaluation.
        rules: horizontal lines to compare with.
        x_ticks, y_ticks: of the axes.
    """

    points: str
    seen: list[Mark]
    rules: list[Mark]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def curve(history: Sequence[Row], rules: Mapping[str, float]) -> Curve | None:
    """The picture of a search; None if nothing was evaluated.

    Args:
        history: its rows, in order.
        rules: name -> score of what it is compared with.
    """
    best = best_so_far(history)
    if not best:
        return None
    values = [row.value for row in history if math.isfinite(row.value)]
    low, high = min([*values, *rules.values()]), max([*values, *rules.values()])
    pad = 0.04 * (high - low) or 0.5
    x = Scale(1, max(len(best), 2), LEFT, WIDTH - RIGHT)
    y = Scale(low - pad, high + pad, HEIGHT - BOTTOM, TOP)
    corners = [(x(1), y(best[0]))]
    for number, value in enumerate(best[1:], start=2):
        corners += [(x(number), corners[-1][1]), (x(number), y(value))]
    swarm = swarm_of(history)
    seen = [
        Mark(x(number), y(row.value), f"evaluation {number}, {told(row, swarm)}")
        for number, row in enumerate(history, start=1)
    ]
    lines = [Mark(LEFT, y(value), label=f"{name} {value:.3f}") for name, value in rules.items()]
    return Curve(
        " ".join(f"{a:.1f},{b:.1f}" for a, b in corners),
        seen,
        lines,
        [Tick(x(t), f"{t:g}") for t in ticks(1, len(best)) if t >= 1],
        [Tick(y(t), f"{t:g}") for t in ticks(y.low, y.high)],
    )


def told(row: Row, swarm: Container[int]) -> str:
    """What a row of the search says, for a pointer on its mark; `swarm`: the numbers of the particles."""
    about = "" if row.complete else "about "
    own = f"particle {row.particle}, iteration {row.iteration}"
    return f"{own if row.particle in swarm else 'proposed by the item model'}: {about}{row.value:.3f}"


__all__ = [
    "BOTTOM", "HEIGHT", "LEFT", "RIGHT", "TOP", "WIDTH",
    "Curve", "Mark", "Scale", "Span", "Tick", "best_so_far", "curve", "ticks", "told",
]  # fmt: skip
