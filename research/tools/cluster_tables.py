"""The tables of batches and of many adapters, from research/evidence/batches.jsonl and many-adapters.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from outcomes import lines, markdown

AT_ONCE = (1, 2, 4, 8)


def batches() -> str:
    """The score on test by task and batch, and what a batch loses against one at a time."""
    scores: dict[tuple[str, int], list[float]] = {}
    single: dict[str, list[float]] = {}
    losses: dict[int, list[float]] = {at_once: [] for at_once in AT_ONCE}
    found = {(row["task"], row["draw"], row["batch"]): row for row in lines("batches")}
    for (task, draw, at_once), row in found.items():
        value = share(row["best"])
        scores.setdefault((task, at_once), []).append(value)
        losses[at_once].append(100 * (share(found[task, draw, 1]["best"]) - value))
        if at_once == 1:
            single.setdefault(task, []).append(share(row["best_single"]))
    rows = []
    for task, alone in single.items():
        values = [f"{np.mean(scores[task, at_once]):.3f}" for at_once in AT_ONCE]
        rows.append([task, f"{np.mean(alone):.3f}", *values])
    lost = [interval(losses[at_once]) for at_once in AT_ONCE[1:]]
    rows.append(["points lost, 95% interval", "", "0", *lost])
    return markdown(["500 test examples", "best adapter", *(f"q = {q}" for q in AT_ONCE)], rows)


def share(items: str) -> float:
    """The share of right answers."""
    return items.count("1") / len(items)


def interval(values: list[float]) -> str:
    """A mean with its 95% interval, by Student's t over searches."""
    from scipy.stats import t

    error = np.std(values, ddof=1) / np.sqrt(len(values))
    half = float(error * t.ppf(0.975, len(values) - 1))
    mean = float(np.mean(values))
    return f"{mean:.1f} [{mean - half:.1f}, {mean + half:.1f}]"


def drawn() -> str:
    """What screening costs and loses among adapters of known accuracy."""
    rows = [row for row in lines("many-adapters") if row["what"] == "drawn"]
    scored = {(row["kind"], row["count"]): row["scored"] for row in rows}
    table = []
    for row in rows:
        ratio = row["scored"] / scored[row["kind"], 50]
        lost = [f"{row['lost']:.3f}", f"{100 * row['loss']:.2f}", f"{100 * row['worst']:.1f}"]
        everything = (row["count"] + 9) * 200
        passes = [f"{everything:,}", f"{row['scored']:,}", f"{ratio:.2f}"]
        table.append([f"{row['kind']}, {row['count']}", *passes, f"{row['left']:.0f}", *lost])
    head = [
        "adapters",
        "all on all",
        "screened",
        "to 50",
        "left",
        "best lost",
        "points",
        "at worst",
    ]
    return markdown(head, table)


def searched() -> str:
    """Searches of noisy copies, screened and not."""
    rows = [row for row in lines("many-adapters") if row["what"] == "searched"]
    return markdown(
        [
            "task, adapters",
            "examples scored",
            "left",
            "best adapter",
            "mixture",
            "start, s",
            "MB",
        ],
        map(_search, rows),
    )


def _search(row: Mapping[str, Any]) -> list[str]:
    """A row of `searched`."""
    how = "" if row["screen"] == "on" else ", not screened"
    return [
        f"{row['task']}, {row['count']}{how}",
        f"{row['scored']:,}",
        str(row["left"]),
        f"{row['best_single']:.3f}",
        f"{row['best']:.3f}",
        f"{row['start_seconds']}",
        f"{row['megabytes']:,}",
    ]


TABLES = {"batches": batches, "screening-drawn": drawn, "screening-searched": searched}
