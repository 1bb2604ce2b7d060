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


EXAMPLE = 0.05  # seconds of a scored example on a GPU
DEV, PROPOSALS = 200, 6


def growth() -> str:
    """A search with screening on 1 and on 100 GPUs, where no adapter can be told from another."""
    return markdown(
        [
            "adapters",
            "examples",
            "1 GPU, h",
            "100 GPUs, min",
            "in use",
            "writing, min",
            "proposing, min",
            "files, MB",
            "unit vectors, MB",
        ],
        map(_grown, (50, 200, 1000, 10000)),
    )


def _grown(adapters: int) -> list[str]:
    """A row of `growth`: scoring and writing go on at once, proposals one after the other."""
    from pyswarmopt_llm.searching.halving import most_answers, rounds

    kept = lines("growth")
    (row,) = (one for one in kept if one.get("screening") and one["adapters"] == 10000)
    slowest = max(one["seconds"] for one in kept if one["what"] == "proposal")
    answers = most_answers(adapters, {"t": DEV})
    parts = 2 * adapters + (len(rounds(DEV)) - 2) * min(adapters, 64)
    scoring = answers * EXAMPLE
    writing = parts * row["seconds"]
    proposing = PROPOSALS * slowest
    last = PROPOSALS * DEV * EXAMPLE  # by one GPU
    together = max(scoring / 100, writing) + proposing + last
    return [
        f"{adapters:,}",
        f"{answers + PROPOSALS * DEV:,}",
        f"{(scoring + proposing + last) / 3600:.1f}",
        f"{together / 60:.1f}",
        f"{(scoring + last) / 100 / together:.0%}",
        f"{writing / 60:.1f}",
        f"{proposing / 60:.1f}",
        f"{parts * row['bytes'] / len(rounds(DEV)) / 1e6:.0f}",
        f"{8 * adapters**2 / 1e6:,.0f}",
    ]


def constants() -> str:
    """What the driver does, in milliseconds."""
    table = []
    for row in lines("growth"):
        if row["what"] == "proposal":
            what = f"a proposal, {row['candidates']} candidates, {row['coefficients']} coefficients"
            table.append([what, f"{1000 * row['seconds']:,.0f}"])
        elif row["what"] == "row":
            kind = "part of an adapter" if row["screening"] else "candidate"
            what = f"a row of a {kind}, {row['adapters']:,} adapters, {row['bytes'] / 1000:.0f} kB"
            table.append([what, f"{1000 * row['seconds']:.0f}"])
        elif row["what"] == "study":
            what = f"ask and tell, {row['pending']:,} trials pending"
            table.append([what, f"{1000 * row['ask']:.2f} + {1000 * row['tell']:.2f}"])
    return markdown(["", "ms"], table)


TABLES = {
    "batches": batches,
    "screening-drawn": drawn,
    "screening-searched": searched,
    "growth": growth,
    "growth-constants": constants,
}
