"""Pictures of the Pareto front, loaded only if there is one: as numbers for ``figures.html.j2``,
and in characters for a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.panel import Panel
from rich.text import Text

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.words import cut
from pyswarmopt_llm.report.reading import in_frame, labels_of
from pyswarmopt_llm.scores.tasks.types import SPLITS
from pyswarmopt_llm.searching.scoring.result import Result

LEGEND = (
    "o is a point on dev, x on test, with its number in front/; * is the result. "
    "Of signs that share a place one is shown."
)
_SIGNS = {"dev": "o", "test": "x"}
_COLUMNS = 24  # of a picture; each has two characters, sign and number
_LINES = 12
_LONGEST = 20  # most characters of a task's name beside its axis


class Place(NamedTuple):
    """A point's scores on a split, task by task; `name` is its folder, or ``result``."""

    name: str
    split: str
    scores: list[float]


def front_picture(result: Result) -> dict[str, Any] | None:
    """The points of the Pareto front over the first two tasks, on dev and test; None without a
    front.
    """
    tasks = list(result.best.dev.tasks)[:2]
    places = list(_places(result, tasks))
    if len(tasks) < 2 or not places:
        return None
    raw = np.array([place.scores for place in places])
    framed = in_frame(raw, one_unit=False)
    ways: dict[str, list[list[float]]] = {}
    for place, at in zip(places, framed, strict=True):
        ways.setdefault(place.name, []).append(at)
    across, up = map(_axis, tasks, raw.T)
    return {
        "dots": [
            (*at, split, f"{name}, {split}: {scores[0]:.3f}, {scores[1]:.3f}")
            for (name, split, scores), at in zip(places, framed, strict=True)
        ],
        "ways": ways,
        "labels": labels_of(list(ways), [way[-1] for way in ways.values()]),
        "caption": f"Across: {across}. Up: {up}. Hollow on dev, filled on test.",
    }


def front_panel(result: Result) -> Panel | None:
    """The Pareto front of two tasks in characters, see `LEGEND`; None without a front, or with more
    tasks.
    """
    tasks = list(result.best.dev.tasks)
    places = list(_places(result, tasks))
    if len(tasks) != 2 or not places:
        return None
    raw = np.array([place.scores for place in places])
    grid = np.full((_LINES, _COLUMNS), "  ")
    columns = _cells(raw[:, 0], _COLUMNS)
    lines = _cells(-raw[:, 1], _LINES)
    for place, column, line in reversed([*zip(places, columns, lines, strict=True)]):
        number = "*" if place.name == "result" else place.name[-1]
        grid[line, column] = _SIGNS[place.split] + number
    across, up = (_axis(cut(task, _LONGEST), of) for task, of in zip(tasks, raw.T, strict=True))
    return Panel(
        Text("\n".join(map("".join, grid)), no_wrap=True),
        title=Text(f"Up: {up}"),
        title_align="left",
        subtitle=Text(f"Across: {across}"),
        subtitle_align="left",
        expand=False,
    )


def _places(result: Result, tasks: list[str]) -> Iterator[Place]:
    """Places of the result and each saved point, on splits where all tasks were scored; empty
    without a front. Rounding errors are removed: they would fill a frame of equal scores.
    """
    if result.front is None or not result.front.points:
        return
    own = {
        split: {task: outcome.value for task, outcome in scores.tasks.items()}
        for split in SPLITS
        if (scores := result.best.on(split)) is not None
    }
    scored = {"result": own} | {point["folder"]: point for point in result.front.points}
    for name, values in scored.items():
        for split in SPLITS:
            if all(task in values.get(split, {}) for task in tasks):
                yield Place(name, split, [round(values[split][task], 9) for task in tasks])


def _axis(task: str, scores: Floats) -> str:
    return f"{task}, {scores.min():.3f} to {scores.max():.3f}"


def _cells(values: Floats, count: int) -> npt.NDArray[np.intp]:
    """The cell (of `count`, lowest first) of each value; the middle cell if all values are equal."""
    low = values.min()
    width = values.max() - low
    shares = (values - low) / width if width else np.full_like(values, 0.5)
    return np.rint(shares * (count - 1)).astype(np.intp)
