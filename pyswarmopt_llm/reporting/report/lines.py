"""Tables of the report whose lines hold a small drawing: scores with intervals, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.evaluation.result import ModelScore, RunResult
from pyswarmopt_llm.metrics.registry import scale_of
from pyswarmopt_llm.reporting.reading import expert_rows
from pyswarmopt_llm.reporting.summary import Interval, score_text

WIDTH = 220.0  # of a drawing


@dataclass(frozen=True)
class Dot:
    """A point of a drawing: where, what a pointer on it shows, its class in the stylesheet."""

    x: float
    y: float
    title: str
    style: str = ""


@dataclass(frozen=True)
class Span:
    """A horizontal stretch of a drawing, with the title and class of a `Dot`."""

    start: float
    end: float
    y: float = 0.0
    title: str = ""
    style: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
        label: of which model or particle.
        cells: heading -> text.
        dots, spans: of its drawing.
        first: whether the page is about this one.
    """

    label: str
    cells: Mapping[str, str]
    dots: Sequence[Dot] = ()
    spans: Sequence[Span] = ()
    first: bool = False


def scale(values: Iterable[float], margin: float, width: float = WIDTH) -> Callable[[float], float]:
    """Numbers to coordinates: the least of `values` at `margin`, the largest at `width - margin`.

    Example:
        >>> x = scale([0.5, 0.9], margin=10, width=100)
        >>> x(0.5), x(0.7), x(0.9)
        (10.0, 50.0, 90.0)
    """
    numbers = list(values)
    low, span = min(numbers), (max(numbers) - min(numbers)) or 1.0
    return lambda value: round(margin + (value - low) / span * (width - 2 * margin), 1)


def models(scores: Sequence[ModelScore], result: RunResult, history: Sequence[Row]) -> list[Line]:
    """The result, its rivals, and every expert by its dev score; of one that dropped out of a race,
    by that on some items.
    """
    *others, handed_over = scores
    rows = [handed_over, *others]
    names, scored = list(result.coefficients), {result.best_single}
    latest = {row.particle: row for row in expert_rows(history, result)}
    dropped = {} if result.experts is None else result.experts.dropped
    for row in sorted(latest.values(), key=lambda row: -row.value):
        name = names[row.particle]
        if name not in scored:
            label = f"{name}, on {counted(dropped[name], 'dev item')}" if name in dropped else name
            dev = row.value if result.experts is None else result.experts.dev[name]
            rows.append(ModelScore(label, dev, _dev_interval(row, result)))
    numbers: list[float] = []
    for model in rows:
        numbers += [value for value in (model.dev, model.test) if value is not None]
        numbers += [*(model.dev_interval or ()), *(model.test_interval or ())]
    x = scale(numbers, margin=6)
    return [_model(row, x, row is handed_over) for row in rows]


def _model(row: ModelScore, x: Callable[[float], float], first: bool) -> Line:
    cells, dots, spans = {}, [], []
    for split, value, bounds, style, y in (
        ("dev", row.dev, row.dev_interval, "hollow", 8.0),
        ("test", row.test, row.test_interval, "", 18.0),
    ):
        cells[split], _, cells[f"{split}_interval"] = score_text(value, bounds).partition(" ")
        if value is not None:
            dots.append(Dot(x(value), y, f"{split} {value:.3f}", style))
            if bounds is not None:
                spans.append(Span(x(bounds[0]), x(bounds[1]), y, style=split))
    return Line(row.label, cells, dots, spans, first)


def _dev_interval(row: Row, result: RunResult) -> Interval | None:
    """Of a row with one task, by its items."""
    if len(row.items) != 1:
        return None
    task = next(iter(row.items))
    score, scale = row.score(task), scale_of(result.metrics.get(task, ""))
    return interval(score.per_item, scale=scale) if len(score.per_item) == score.n > 1 else None


def bars(weights: Sequence[tuple[str, float]]) -> tuple[list[Line], float]:
    """The mixing weights as bars, and the coordinate of zero."""
    x = scale([0.0, *(weight for _, weight in weights)], margin=2)
    lines = []
    for name, weight in weights:
        start, end = sorted((x(0), x(weight)))
        bar = Span(start, end, style="bar negative" if weight < 0 else "bar")
        lines.append(Line(name, {"weight": f"{weight:.2f}"}, spans=[bar]))
    return lines, x(0)
