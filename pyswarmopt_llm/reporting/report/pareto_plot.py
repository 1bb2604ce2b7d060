"""A plot of the Pareto front over tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyswarmopt_llm.common.files.regular import replacing

log = logging.getLogger(__name__)

Values = Mapping[str, float]


def plot_front(file: Path, front: Sequence[Values], saved: Sequence[Values], chosen: Values | None) -> None:
    """Write a PNG: two tasks as a plane, more as parallel axes; nothing but a log line where matplotlib is missing.

    Args:
        file: the PNG to write.
        front: task -> value of each point of the front, sorted by the first task.
        saved: those with files.
        chosen: the point in ``best/``.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.warning("%s not drawn: matplotlib is not installed", file)
        return
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    names = list(front[0]) if front else []
    groups = [(front, "front", "0.6", "."), (saved, "saved in front/", "tab:blue", "o")]
    if chosen is not None:
        groups.append(([chosen], "best/", "tab:red", "*"))
    for points, label, colour, marker in groups:
        if not points:
            continue
        if len(names) == 2:
            x, y = ([point[name] for point in points] for name in names)
            axes.plot(x, y, marker, color=colour, label=label, markersize=14 if marker == "*" else 7)
        else:
            for i, point in enumerate(points):
                values = [point[name] for name in names]
                axes.plot(names, values, marker=marker, color=colour, label=label if i == 0 else None)
    if len(names) == 2:
        axes.set(xlabel=f"{names[0]} (dev)", ylabel=f"{names[1]} (dev)")
    else:
        axes.set_ylabel("dev")
    axes.legend()
    with replacing(file) as stream:
        figure.savefig(stream, dpi=120)


__all__ = ["plot_front"]
