"""A picture of the Pareto front as numbers, for ``figures.html.j2`` to draw; loaded where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyswarmopt_llm.report.reading import in_frame, labels_of
from pyswarmopt_llm.searching.scoring.result import SPLITS, Result


def front_picture(result: Result) -> dict[str, Any] | None:
    """The points of the Pareto front by the first two tasks, on dev and on test; None without one."""
    tasks = list(result.best.dev.tasks)[:2]
    if result.front is None or not result.front.points or len(tasks) < 2:
        return None
    own = {
        split: {task: outcome.value for task, outcome in scores.tasks.items()}
        for split in SPLITS
        if (scores := result.best.on(split)) is not None
    }
    scored = {"result": own} | {point["folder"]: point for point in result.front.points}
    places = [
        (name, split, [values[split][task] for task in tasks])
        for name, values in scored.items()
        for split in SPLITS
        if all(task in values.get(split, {}) for task in tasks)
    ]
    raw = np.array([point for _, _, point in places])
    framed = in_frame(raw, one_unit=False)
    ways: dict[str, list[list[float]]] = {}
    for (name, _, _), at in zip(places, framed, strict=True):
        ways.setdefault(name, []).append(at)
    low, high = raw.min(0), raw.max(0)
    across, up = (
        f"{task}, {least:.3f} to {most:.3f}"
        for task, least, most in zip(tasks, low, high, strict=True)
    )
    return {
        "dots": [
            (*at, split, f"{name}, {split}: {point[0]:.3f}, {point[1]:.3f}")
            for (name, split, point), at in zip(places, framed, strict=True)
        ],
        "ways": ways,
        "labels": labels_of(list(ways), [way[-1] for way in ways.values()]),
        "caption": f"Across: {across}. Up: {up}. Hollow on dev, filled on test.",
    }
