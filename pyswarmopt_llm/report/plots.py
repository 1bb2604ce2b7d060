"""The Pareto front over tasks, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.files.regular import replacing

Values = Mapping[str, float]


def plot_front(
    file: Path, front: Sequence[Values], saved: Sequence[Values], chosen: Values | None
) -> None:
    """The Pareto front: two tasks as a plane, more as parallel axes.

    Args:
        file: the PNG to write.
        front: task -> value of each point of the front, sorted by the first task.
        saved: those with files.
        chosen: the point in ``best/``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 4), layout="constrained")
    axes = figure.subplots()
    names = list(front[0]) if front else []
    groups = [(front, "front", "0.6", "."), (saved, "saved in front/", "tab:blue", "o")]
    groups.append(([] if chosen is None else [chosen], "best/", "tab:red", "*"))
    for points, label, colour, marker in groups:
        values = [[point[name] for name in names] for point in points]
        style: dict[str, Any] = {
            "color": colour,
            "marker": marker,
            "markersize": 14 if marker == "*" else 7,
        }
        if len(names) == 2 and values:
            axes.plot(*zip(*values, strict=True), linestyle="none", label=label, **style)
        else:
            for i, line in enumerate(values):
                axes.plot(names, line, label=label if i == 0 else None, **style)
    if len(names) == 2:
        axes.set(xlabel=f"{names[0]} (dev)", ylabel=f"{names[1]} (dev)")
    else:
        axes.set_ylabel("dev")
    axes.legend()
    with replacing(file) as stream:
        figure.savefig(stream, dpi=120)
