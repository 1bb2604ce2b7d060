"""`report.html`: a run as one self-contained page that works offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.reporting.card import command_line
from pyswarmopt_llm.reporting.reading import best_row, expert_rows, origin, searched, swarm_of
from pyswarmopt_llm.reporting.report.charts import HEIGHT, WIDTH, Mark, Scale, Span, curve
from pyswarmopt_llm.reporting.report.items import BAR_WIDTH, CASES, changes, emerged
from pyswarmopt_llm.reporting.report.pages import render
from pyswarmopt_llm.reporting.report.paths import plane
from pyswarmopt_llm.reporting.story import stop_text, summary, usage
from pyswarmopt_llm.reporting.table import Interval, ScoreRow, by_weight, remarks, score_rows
from pyswarmopt_llm.reporting.terminal.live import duration
from pyswarmopt_llm.tasks import Task

_RANGE = 220.0  # width of the drawings in tables
_SMALL = 5e-4  # a weight that is shown as none
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A line of a table with a drawing: the scores of a contestant, or the way of a particle.

    Attributes:
        label: whose.
        cells: heading -> text.
        marks: points of the drawing.
        lines: its horizontal lines.
        first: the one that the page is about.
    """

    label: str
    cells: Mapping[str, str]
    marks: Sequence[Mark]
    lines: Sequence[Span]
    first: bool = False


def render_report(run: Json, result: Json, history: Iterable[Row], tasks: Mapping[str, Task] | None = None) -> str:
    """The page, a pure function of what the run wrote down.

    Args:
        run: ``run.json``, see `pyswarmopt_llm.reporting.card.model_card`.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.
        tasks: name -> task, for the texts of questions; without it they are only counted.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    rows = [row for row in history if row.phase == "search"]
    whole = searched(rows)
    config = run["config"]
    base = run.get("base_name") or config["base"]
    sections: dict[str, Any] = {"emerged": [], "changes": [], "plane": None, "particles": [], "origin": None}
    if whole:
        # After a weight step the result is none of the search's candidates: nothing is known of its items.
        moved = result.get("weight_step", {}).get("taken", False)
        sections = {
            "emerged": [] if moved else emerged(whole, result),
            "changes": [] if moved else changes(whole, result, tasks or {}),
            "plane": plane(rows, result["coefficients"], best_row(whole, result)),
            "particles": _particles(rows, result),
            "origin": origin(rows, result),
        }
    return render(
        "reporting/report/report.html.j2",
        tasks=list(run.get("fingerprints", {}).get("tasks", config["tasks"])),
        summary=summary(result),
        remarks=remarks(result),
        contestants=_contestants(result, whole),
        by_task=_by_task(result),
        curve=curve(rows, _rules(result)),
        bars=_bars(result["coefficients"]),
        groups=result.get("coefficients_by_group", {}),
        paired=result.get("paired", {}),
        facts=_cost(result) | _provenance(run, base),
        usage=usage(config, base),
        command=command_line(config),
        cases=CASES,
        size={"width": WIDTH, "height": HEIGHT, "bar": BAR_WIDTH, "range": _RANGE},
        **sections,
    )


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _between(bounds: Interval | None) -> str:
    return "" if bounds is None else f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _contestants(result: Json, whole: Sequence[Row]) -> list[Drawn]:
    """The swarm, the average, and every expert by its dev score; the best one alone has been asked test."""
    single, *rest = score_rows(result)
    swarm, others = rest[-1], rest[:-1]
    label = f"{result['best_single']}, the best single expert"
    experts = [ScoreRow(label, single.dev, single.dev_interval, single.test, single.test_interval)]
    names = list(result["coefficients"])
    for row in sorted(expert_rows(whole, result), key=lambda row: -row.value):
        if names[row.particle] != result["best_single"]:
            experts.append(ScoreRow(names[row.particle], row.value, _dev_interval(row), None, None))
    all_rows = [swarm, *others, *experts]
    known = [bound for row in all_rows for pair in (row.dev_interval, row.test_interval) for bound in pair or ()]
    known += [value for row in all_rows for value in (row.dev, row.test) if value is not None]
    x = Scale(min(known), max(known), 6, _RANGE - 6)
    return [_drawn(row, x, row is swarm) for row in all_rows]


def _drawn(row: ScoreRow, x: Scale, first: bool) -> Drawn:
    marks, lines = [], []
    for split, value, bounds, style, height in (
        ("dev", row.dev, row.dev_interval, "hollow", 8.0),
        ("test", row.test, row.test_interval, "", 18.0),
    ):
        if value is None:
            continue
        if bounds is not None:
            lines.append(Span(x(bounds[0]), x(bounds[1]), height, style=split))
        marks.append(Mark(x(value), height, f"{split} {value:.3f}", style))
    cells = {
        "dev": _score(row.dev),
        "dev_interval": _between(row.dev_interval),
        "test": _score(row.test),
        "test_interval": _between(row.test_interval),
    }
    return Drawn(row.label, cells, marks, lines, first)


def _dev_interval(row: Row) -> Interval | None:
    """Of a row with one task, by its items."""
    if len(row.items) != 1:
        return None
    score = row.score(next(iter(row.items)))
    return interval(score.per_item) if len(score.per_item) == score.n > 1 else None


def _by_task(result: Json) -> list[tuple[str, list[str]]]:
    """Task -> dev and test of the best single expert and of the swarm, where there are several tasks."""
    keys = ("best_single_dev", "best_dev", "best_single_test", "best_test")
    return [(name, [_score(row.get(key)) for key in keys]) for name, row in result.get("tasks", {}).items()]


def _rules(result: Json) -> dict[str, float]:
    """What the curve is compared with."""
    rules = {"best expert": result["best_single_dev"]}
    if result.get("uniform_dev") is not None:
        rules["average"] = result["uniform_dev"]
    return rules


def _bars(coefficients: Mapping[str, float]) -> dict[str, Any]:
    """The experts' weights as bars on both sides of zero; those without weight by name only."""
    shown = [(name, weight) for name, weight in by_weight(coefficients) if abs(weight) >= _SMALL]
    x = Scale(min(0.0, *coefficients.values()), max(0.0, *coefficients.values()), 2, _RANGE - 2)
    bars = [
        {"name": name, "weight": f"{weight:+.3f}", "x": min(x(0), x(weight)), "width": round(abs(x(weight) - x(0)), 1)}
        | {"negative": weight < 0}
        for name, weight in shown
    ]
    return {"bars": bars, "zero": x(0), "none": [n for n, w in coefficients.items() if abs(w) < _SMALL]}


def _particles(rows: Sequence[Row], result: Json) -> list[Drawn]:
    """Where each particle started and the best that it found, the best first."""
    ways: dict[int, list[Row]] = {}
    for row in rows:
        ways.setdefault(row.particle, []).append(row)
    chosen = best_row(searched(rows), result)
    found = {particle: max(way, key=lambda row: row.value) for particle, way in ways.items()}
    values = [row.value for row in rows]
    x = Scale(min(values), max(values), 6, _RANGE - 6)
    names, swarm = list(result["coefficients"]), swarm_of(rows)
    lines = []
    for particle in sorted(ways, key=lambda p: (-found[p].value, p != chosen.particle, p)):
        start, best = ways[particle][0], found[particle]
        proposed = particle not in swarm
        when = "after the last" if proposed else str(best.iteration)
        cells = {"start": _score(start.value), "best": _score(best.value), "iteration": when}
        marks = [
            Mark(x(start.value), 12.0, f"start {start.value:.3f}", "hollow"),
            Mark(x(best.value), 12.0, f"best {best.value:.3f}"),
        ]
        way = [Span(x(start.value), x(best.value), 12.0)]
        who = "proposed" if proposed else str(particle)
        label = f"{who}: {_mixture(start.coefficients, names)}"
        lines.append(Drawn(label, cells, marks, way, particle == chosen.particle))
    return lines


def _mixture(coefficients: Sequence[float], names: Sequence[str]) -> str:
    """A starting point in words.

    Example:
        >>> _mixture([0.0, 1.0], ["ant", "bee"]), _mixture([0.25, 0.75], ["ant", "bee"])
        ('bee', '0.75 bee + 0.25 ant')
    """
    parts = [(name, weight) for name, weight in by_weight(dict(zip(names, coefficients, strict=True))) if weight]
    if len(parts) == 1:
        return parts[0][0]
    return " + ".join(f"{weight:.2f} {name}" for name, weight in parts[:2]) + (" + …" if len(parts) > 2 else "")


def _cost(result: Json) -> dict[str, str]:
    share = result["seconds_scoring"] / result["seconds"] if result["seconds"] else 0.0
    saved = result.get("items_saved", 0.0)
    return {
        "Evaluations": f"{result['evaluations']:,}",
        "Items asked": f"{result['item_evaluations']:,}" + (f", {saved:.0%} of all not asked" if saved else ""),
        "Scoring": str(result["scoring"]),
        "Time": f"{duration(result['seconds'])}, {share:.0%} of it scoring",
        "Peak memory": f"{result['peak_memory_bytes'] / 2**30:.1f} GiB",
        "Ended": stop_text(result),
    }


def _provenance(run: Json, base: str) -> dict[str, str]:
    config, prints = run["config"], run.get("fingerprints", {})
    experts = prints.get("experts", {})
    return {
        "Base": base,
        "Experts": ", ".join(f"{name} ({mark[:8]})" for name, mark in experts.items()) or ", ".join(config["experts"]),
        "Tasks": ", ".join([*config["tasks"], *config.get("utilities", ())]),
        "Optimizer": f"{config.get('optimizer', 'model-swarms')}, space {config.get('space', 'factor')}",
        "Seed": str(config.get("seed", 0)),
        "Versions": ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items()),
    }


__all__ = ["render_report"]
