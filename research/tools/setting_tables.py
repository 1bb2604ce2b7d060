"""The table of Model Swarms in its published setting among linear classifiers, from
research/evidence/published-setting.jsonl.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from group_tables import studies_table
from outcomes import lines, markdown

Line = Mapping[str, Any]
Key = tuple[str, int]  # pool and seed
PUBLISHED, TEST = "published", 1_000
# variant -> label; of the ten searches `grid K` and `repeat K` the table takes one by lot and the best
LABELS = {
    "drop-k 0.2": "Dropout-K 0.2",
    "drop-k 0.5": "Dropout-K 0.5",
    "drop-k 0.8": "Dropout-K 0.8",
    "drop-n 0.2": "Dropout-N 0.2",
    "drop-n 0.5": "Dropout-N 0.5",
    "drop-n 0.8": "Dropout-N 0.8",
    "patience 5": "patience 5, no dropout",
    "10 particles": "10 particles, the experts, no dropout",
    "sums": "step 0 by sums of all experts",
    "even": "the same with zero, the average and the sum",
    "the best of the last iteration": "handed over: the best of the last iteration",
    "a personal best by lot": "handed over: a personal best by lot",
    "the mean of the last positions": "handed over: the mean of the last positions",
    "the mean of the personal bests": "handed over: the mean of the personal bests",
    "best expert on dev": "best expert on dev",
    "uniform average": "uniform average",
}


def share_right(row: Line) -> float:
    """The share of right answers, of bits in hexadecimal.

    Example:
        >>> share_right({"right": "f0" * 125})
        0.5
    """
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(row["right"]), dtype=np.uint8))
    return float(bits[:TEST].mean())


def _by_key(variant: str) -> dict[Key, Line]:
    """The lines of a variant by pool and seed."""
    return {
        (row["task"], row["seed"]): row
        for row in lines("published-setting")
        if row["variant"] == variant
    }


def _tries(kind: str) -> dict[Key, list[Line]]:
    """All ten tries of `grid` or `repeat`, by pool and seed."""
    tries: dict[Key, list[Line]] = {}
    for row in lines("published-setting"):
        if row["variant"].split()[0] == kind:
            tries.setdefault((row["task"], row["seed"]), []).append(row)
    return tries


def best_try(tries: Sequence[Line]) -> Line:
    """The first of the best on dev, with the evaluations of all."""
    best = max(tries, key=lambda row: float(row["dev"]))
    return {**best, "evaluations": sum(row["evaluations"] for row in tries)}


def _cells(label: str, found: Mapping[Key, Sequence[Line]], whole: Mapping[Key, Line]) -> list[str]:
    """A row: each pool and seed counts once, by the mean of its lines."""
    test = {key: fmean(map(share_right, rows)) for key, rows in found.items()}
    dev = fmean(fmean(row["dev"] for row in rows) for rows in found.values())
    gains = [test[key] - share_right(whole[key]) for key in whole]
    spent = [row["evaluations"] for rows in found.values() for row in rows if "evaluations" in row]
    cost = f"{fmean(spent):,.0f}" if spent else ""
    paired = studies_table.paired(gains) if any(gains) else ""
    return [label, f"{dev:.3f}", f"{fmean(test.values()):.3f}", paired, cost]


def published_setting() -> str:
    """A row per variant: dev, test, test minus the published setting, evaluations."""
    whole = _by_key(PUBLISHED)
    alone = {key: [row] for key, row in whole.items()}
    table = [_cells("as published, the global best handed over", alone, whole)]
    for kind, label in (
        ("grid", "draw of the paper's grid"),
        ("repeat", "repeat with other seeds"),
    ):
        tries = _tries(kind)
        table.append(_cells(f"a {label}", tries, whole))
        best = {key: [best_try(rows)] for key, rows in tries.items()}
        table.append(_cells(f"the best on dev of ten: {label}", best, whole))
    for variant, label in LABELS.items():
        found = {key: [row] for key, row in _by_key(variant).items()}
        table.append(_cells(label, found, whole))
    head = [f"{len(whole)} searches each", "dev", "test", "test minus as published", "evaluations"]
    return markdown(head, table)
