"""Plots written as PNG: those of `swarm-llm analyse`, and the Pareto front over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.files.regular import replacing
from pyswarmopt_llm.reporting.reading import Emergence, Origin
from pyswarmopt_llm.reporting.report.items import CASES

Values = Mapping[str, float]

_COLOURS = {"kept": "tab:blue", "emerged": "tab:green", "lost": "tab:orange", "never": "0.8"}


def plot_emergence(file: Path, labels: Sequence[str], cases: Sequence[Mapping[str, Emergence]]) -> None:
    """Stacked shares of the four cases, a bar for each run and task."""
    bars = [
        (f"{label}\n{task}", case) for label, of_run in zip(labels, cases, strict=True) for task, case in of_run.items()
    ]
    figure, axes = _figure(width=max(5.0, 1.2 * len(bars)))
    bottoms = [0.0] * len(bars)
    for name, meaning in CASES.items():
        totals = [case.kept + case.lost + case.emerged + case.never for _, case in bars]
        shares = [getattr(case, name) / total for (_, case), total in zip(bars, totals, strict=True)]
        axes.bar(range(len(bars)), shares, bottom=bottoms, color=_COLOURS[name], label=meaning)
        bottoms = [b + s for b, s in zip(bottoms, shares, strict=True)]
    axes.set(ylabel="share of dev items", ylim=(0, 1))
    axes.set_xticks(range(len(bars)), [label for label, _ in bars])
    figure.legend(loc="outside upper center")  # in one column: two are wider than a picture of a few bars
    _save(figure, file)


def plot_origin(file: Path, origins: Sequence[Origin]) -> None:
    """Where the best particles started: rank in the initial swarm, value at the start and at the end."""
    figure, axes = _figure()
    for start in origins:
        if start.proposed:
            axes.axhline(start.value, color="tab:red", linestyle="--", linewidth=1)
            continue
        axes.plot([start.rank, start.rank], [start.start, start.value], "-", color="0.7")
        axes.plot(start.rank, start.start, "o", color="tab:orange")
        axes.plot(start.rank, start.value, "*", color="tab:red", markersize=12)
    population = max(start.population for start in origins)
    axes.axvline((population + 1) / 2, linestyle=":", color="0.5")
    axes.set_xlabel("rank of its start in the swarm (1 is best)")
    axes.set_ylabel("dev: start (dot), end (star), proposed (dashes)")
    axes.set_xlim(0, population + 1)
    _save(figure, file)


def plot_front(file: Path, front: Sequence[Values], saved: Sequence[Values], chosen: Values | None) -> None:
    """The Pareto front: two tasks as a plane, more as parallel axes.

    Args:
        file: the PNG to write.
        front: task -> value of each point of the front, sorted by the first task.
        saved: those with files.
        chosen: the point in ``best/``.
    """
    figure, axes = _figure()
    names = list(front[0]) if front else []
    groups = [(front, "front", "0.6", "."), (saved, "saved in front/", "tab:blue", "o")]
    groups.append(([] if chosen is None else [chosen], "best/", "tab:red", "*"))
    for points, label, colour, marker in groups:
        values = [[point[name] for name in names] for point in points]
        style = {"color": colour, "marker": marker, "markersize": 14 if marker == "*" else 7}
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
    _save(figure, file)


def _figure(width: float = 5.0) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 4), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, file: Path) -> None:
    with replacing(file) as stream:
        figure.savefig(stream, dpi=120)
