"""The chart of results, for light and dark pages: six real tasks, from the outcomes in
research/evidence.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from outcomes import CHOSEN_ON, HELD_OUT, outcomes
from tables import BASE, BEST, EXPERT, LABELS, SEARCH
from themes import Theme, bare, write

METHODS = (BEST, BASE, EXPERT, SEARCH)
GROUPS = {"held-out tasks": HELD_OUT, "tasks used for tuning": CHOSEN_ON}
GAP = 0.4  # between the groups of tasks, in tasks


def accuracies() -> dict[str, dict[str, list[float]]]:
    """Group -> task -> accuracy of each of `METHODS`; in a group the largest gain of the search
    comes first.
    """
    read = outcomes("present")
    return {
        heading: {
            task: [round(read.accuracy(method, task), 3) for method in METHODS]
            for task in sorted(
                tasks, key=lambda task: read.accuracy(BEST, task) - read.accuracy(SEARCH, task)
            )
        }
        for heading, tasks in GROUPS.items()
    }


def chart(theme: Theme) -> Figure:
    """Four bars for each task, with their figures; the tasks in two groups with a heading each."""
    figure = Figure(figsize=(10.4, 3.0), layout="constrained")
    ax = figure.subplots()
    ticks: dict[str, float] = {}
    left = 0.0
    for heading, tasks in accuracies().items():
        middle = left + (len(tasks) - 1) / 2
        ax.text(
            middle, 1.0, heading, ha="center", va="top", color=theme.ink, fontsize=9, weight="bold"
        )
        for at, (task, values) in enumerate(tasks.items()):
            ticks[task.replace("_", "\n")] = left + at
            _bars(ax, theme, left + at, values)
        left += len(tasks) + GAP
    ax.set_xticks(list(ticks.values()), list(ticks), fontsize=8)
    ax.margins(x=0.02)
    ax.set(ylim=(0, 1), yticks=(0, 0.25, 0.5, 0.75, 1), ylabel="accuracy on 500 test examples")
    bare(ax, theme)
    ax.tick_params(axis="x", length=0)
    handles, names = ax.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside right center", frameon=False,
                  labelcolor=theme.ink, fontsize=9)  # fmt: skip
    return figure


def _bars(ax: Axes, theme: Theme, centre: float, values: list[float]) -> None:
    """One task."""
    colours = (theme.faint, theme.second, theme.accent, theme.best)
    for k, (method, colour, value) in enumerate(zip(METHODS, colours, values, strict=True)):
        bar = ax.bar(centre + (k - 1.5) * 0.22, value, 0.2, color=colour, label=LABELS[method])
        ax.bar_label(bar, fmt="%.2f", fontsize=5.8, color=theme.ink, padding=1)


def draw(out: Path) -> None:
    """Write `results-*.svg`."""
    write(out, "results", chart, accuracies())
