"""A comparison as one self-contained page: tables, and best-so-far curves of those that search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pyswarmopt_llm.report.pages import render
from pyswarmopt_rivals.comparison.table import (
    HEADINGS,
    OVER_TASKS,
    READING,
    cells,
    dev_note,
    over_tasks,
    summary_lines,
    tables_of,
)
from pyswarmopt_rivals.comparison.verdict import next_steps

WIDTH, HEIGHT, PAD = 720.0, 300.0, 44.0
# Okabe & Ito 2008: distinguishable with any colour vision; then the same again, dashed.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a8a00", "#777777")
_DASHES = ("", "6 3", "2 3")


def mean_curve(traces: Sequence[Sequence[Sequence[float]]]) -> list[tuple[float, float]]:
    """The mean over seeds of best-so-far curves, as points at which it may rise, from where all
    have begun.

    Example:
        >>> mean_curve([[(10, 0.5), (20, 0.7)], [(10, 0.3), (30, 0.4)]])
        [(10.0, 0.4), (20.0, 0.5), (30.0, 0.55)]
    """
    start = max(trace[0][0] for trace in traces)
    at = sorted({float(n) for trace in traces for n, _ in trace if n >= start})
    values = [[max(v for n, v in trace if n <= x) for trace in traces] for x in at]
    return [(x, float(np.round(np.mean(row), 12))) for x, row in zip(at, values, strict=True)]


def plot(methods: Mapping[str, Any]) -> dict[str, Any] | None:
    """The template's values for one task's curves; None if no method searched."""
    curves = {name: mean_curve(row["traces"]) for name, row in methods.items() if row.get("traces")}
    if not curves:
        return None
    points = [point for curve in curves.values() for point in curve]
    end = max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    span = (high - low) or 1.0

    def place(x: float, y: float) -> str:
        return f"{PAD + x / end * (WIDTH - 2 * PAD):.1f},{HEIGHT - PAD - (y - low) / span * (HEIGHT - 2 * PAD):.1f}"

    lines = []
    for i, (name, curve) in enumerate(curves.items()):
        corners = [place(*curve[0])]
        for (_, before), (x, y) in pairwise(curve):
            corners += [place(x, before), place(x, y)]
        corners.append(place(end, curve[-1][1]))
        style = {
            "colour": _COLOURS[i % len(_COLOURS)],
            "dash": _DASHES[i // len(_COLOURS) % len(_DASHES)],
        }
        lines.append({"name": name, "points": " ".join(corners), **style})
    return {"lines": lines, "low": f"{low:.3f}", "high": f"{high:.3f}", "end": f"{end:,.0f}"}


def render_page(result: Mapping[str, Any]) -> str:
    """``compare.html``, a pure function of ``compare.json``: no scripts, no external links."""
    methods = {task: table["methods"] for task, table in tables_of(result).items()}
    tables = [
        {
            "task": task,
            "rows": [cells(*pair) for pair in rows.items()],
            "plot": plot(rows),
            "note": dev_note(rows),
        }
        for task, rows in methods.items()
    ]
    return render(
        "pyswarmopt_rivals/comparison/compare.html.j2",
        notes=summary_lines(result),
        steps=list(next_steps(result)),
        reading=READING,
        headings=HEADINGS,
        tables=tables,
        all_headings=OVER_TASKS,
        all_rows=over_tasks(result) if "tasks" in result else [],
        width=WIDTH,
        height=HEIGHT,
        pad=PAD,
    )
