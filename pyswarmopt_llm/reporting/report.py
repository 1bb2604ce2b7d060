"""`report.html`: a run as one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pyswarmopt_llm.reporting.card import command_line
from pyswarmopt_llm.reporting.table import by_weight, cost_text, remarks, score_rows, score_text, verdict

WIDTH, HEIGHT, PAD = 640.0, 220.0, 36.0


def best_so_far(history: Iterable[Mapping[str, Any]]) -> list[float]:
    """The best value after each evaluation, rows in order; values that are not finite never lead.

    Example:
        >>> best_so_far([{"value": 0.2}, {"value": float("nan")}, {"value": 0.5}, {"value": 0.4}])
        [0.2, 0.2, 0.5, 0.5]
    """
    best: list[float] = []
    for row in history:
        value = row["value"] if row["value"] is not None and math.isfinite(row["value"]) else -math.inf
        best.append(max(value, best[-1]) if best else value)
    return [value for value in best if math.isfinite(value)]


def steps(values: list[float], low: float, high: float) -> str:
    """The points of an SVG polyline that holds each value until the next evaluation (a staircase)."""
    span = (high - low) or 1.0
    width = (WIDTH - 2 * PAD) / max(len(values) - 1, 1)
    points: list[str] = []
    for index, value in enumerate(values):
        x = PAD + index * width
        y = HEIGHT - PAD - (value - low) / span * (HEIGHT - 2 * PAD)
        if points:
            points.append(f"{x:.1f},{points[-1].split(',')[1]}")
        points.append(f"{x:.1f},{y:.1f}")
    return " ".join(points)


def _bars(coefficients: Mapping[str, float]) -> list[dict[str, Any]]:
    """Experts with bar widths in percent of the heaviest weight."""
    heaviest = max((abs(weight) for weight in coefficients.values()), default=0.0) or 1.0
    return [
        {
            "name": name,
            "weight": f"{weight:+.3f}",
            "width": round(100 * abs(weight) / heaviest, 1),
            "negative": weight < 0,
        }
        for name, weight in by_weight(coefficients)
    ]


def render_report(
    run: Mapping[str, Any], result: Mapping[str, Any], history: Iterable[Mapping[str, Any]]
) -> str:
    """The page, a pure function of what the run wrote down.

    Args:
        run: ``run.json``, see `pyswarmopt_llm.reporting.card.model_card`.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    curve = best_so_far(history)
    low, high = (min(curve), max(curve)) if curve else (0.0, 1.0)
    environment = Environment(
        loader=PackageLoader("pyswarmopt_llm.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        base=run.get("base_name") or run["config"]["base"],
        tasks=[*run["config"]["tasks"], *run["config"].get("utilities", ())],
        verdict=verdict(result),
        remarks=remarks(result),
        rows=[
            (row.label, score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval))
            for row in score_rows(result)
        ],
        bars=_bars(result["coefficients"]),
        points=steps(curve, low, high),
        low=f"{low:.3f}",
        high=f"{high:.3f}",
        count=len(curve),
        width=WIDTH,
        height=HEIGHT,
        pad=PAD,
        cost=cost_text(result),
        command=command_line(run["config"]),
        versions=run.get("versions", {}),
    )
