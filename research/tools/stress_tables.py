"""The tables of groups under stress, from research/evidence/stress.jsonl: means over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from outcomes import lines, markdown

Rows = Sequence[dict[str, Any]]
STRATEGIES = ("majority", "weighted", "trust", "confidence", "stacked")
METHODS = ("best member", *STRATEGIES)
LIES = {
    "together": "all name the same wrong option",
    "alone": "each names its own best wrong option",
    "unknowing": "each names what it finds worst",
}


def _rows(part: str, method: str, condition: str | None = None) -> Rows:
    return [
        row
        for row in lines("stress")
        if (row["part"], row["method"]) == (part, method) and condition in (None, row["condition"])
    ]


def _share(rows: Rows, field: str) -> float:
    """Mean over tasks of the ones in a text."""
    return fmean(fmean(map(int, row[field])) for row in rows)


def _label(method: str) -> str:
    return method if method == METHODS[0] else f"`{method}`"


def inputs() -> str:
    """Accuracy on questions as they are and changed, and how many answers stay the same."""
    table = []
    for method in METHODS:
        one, two, other = (
            _rows("inputs", method, condition)
            for condition in ("one foreign word", "two foreign words", "in other words")
        )
        cells = [_share(one, "plain"), *(_share(rows, "test") for rows in (one, two))]
        cells += [_share(one, "same"), _share(other, "plain"), _share(other, "test")]
        cells.append(_share(other, "same"))
        table.append([_label(method), *(f"{cell:.3f}" for cell in cells)])
    head = [
        "ten experts, three tasks",
        "as it is",
        "one foreign word",
        "two",
        "same answer with one",
    ]
    return markdown([*head, "those with other words", "in other words", "same answer"], table)


def agreement() -> str:
    """What agreement says of an answer."""
    table = []
    for method in METHODS:
        rows = _rows("agreement", method)
        cells = (fmean(row[field] for row in rows) for field in ("accuracy", "auc", "upper_half"))
        table.append([_label(method), *(f"{cell:.3f}" for cell in cells)])
    return markdown(["1,500 questions", "accuracy", "AUC", "the half with most agreement"], table)


def liars() -> str:
    """Accuracy while one, two or four of the ten attack on test."""
    plain = [fmean(row["accuracy"] for row in _rows("agreement", name)) for name in STRATEGIES]
    table = [["nobody lies", "", *(f"{cell:.3f}" for cell in plain)]]
    for lie, label in LIES.items():
        for count in ("1", "2", "4"):
            groups = [_rows("liars", name, f"{count}, {lie}") for name in STRATEGIES]
            cells = [f"{fmean(row['accuracy'] for row in rows):.3f}" for rows in groups]
            table.append([label, count, *cells])
    return markdown(["attack", "liars of ten", *map(_label, STRATEGIES)], table)


def sizes() -> str:
    """Accuracy of as many members as greedy selection on dev has taken."""
    names = ("majority", "weighted", "confidence")
    table = []
    for count in map(str, (1, 2, 3, 4, 5, 7, 10)):
        groups = [_rows("size", name, count) for name in names]
        cells = [f"{fmean(row['accuracy'] for row in rows):.3f}" for rows in groups]
        table.append([count, *cells, f"{fmean(row['tokens'] for row in groups[0]):.0f}"])
    return markdown(["members, chosen on dev", *map(_label, names), "tokens"], table)
