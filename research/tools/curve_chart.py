"""The chart of how many labels, for light and dark pages, from the outcomes in research/evidence."""

from __future__ import annotations

from pathlib import Path

from curve_tables import BASE, EXPERT, LABELS, MIXTURE, SEARCH, SINGLE, accuracies
from matplotlib.figure import Figure
from themes import Theme, bare, write


def chart(theme: Theme) -> Figure:
    """A line per method over the number of examples, on a logarithmic axis, in the band of its 95%
    interval.
    """
    colours = {
        SINGLE: theme.faint,
        BASE: theme.second,
        EXPERT: theme.accent,
        MIXTURE: theme.faint,
        SEARCH: theme.best,
    }
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    ax = figure.subplots()
    counts: list[int] = []
    for method, values in accuracies().items():
        counts = [int(examples) for examples in values]
        style = "--" if method == MIXTURE else "-"
        means, low, high = zip(*values.values(), strict=True)
        ax.plot(
            counts, means, style, color=colours[method], label=LABELS[method],
            marker="o", markersize=3.5, linewidth=1.6,
        )  # fmt: skip
        ax.fill_between(counts, low, high, color=colours[method], alpha=0.15, linewidth=0)
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(examples) for examples in counts])
    ax.minorticks_off()
    ax.set(xlabel="labelled examples", ylabel="accuracy, six tasks, 500 test items each")
    bare(ax, theme)
    figure.legend(loc="outside right center", frameon=False, labelcolor=theme.ink, fontsize=9)
    return figure


def draw(out: Path) -> None:
    """Write `labels-*.svg`."""
    write(out, "labels", chart, accuracies())
