"""The tables of the laboratory's studies of Model Swarms.

`research/evidence/studies.jsonl` has the ablations, `studies-first.jsonl` what was run in the first
laboratory alone.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outcomes import lines, markdown
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "lab"))
import studies_table

Rows = Sequence[dict[str, Any]]
# one coefficient at another value
SETTINGS = ("inertia ", "cognitive ", "social ", "repel ", "step ")
FULL, EVERY_ITEM = studies_table.FULL, studies_table.EVERY_ITEM
TERMS = ["no p", "no g", "no repel", "no inertia", "no randomness", "no restart", "no crossover"]


def _changes(rows: Rows, names: Sequence[str], whole: str = FULL) -> str:
    return studies_table.changes(studies_table.by_variant(rows), names, whole)


def _names(rows: Rows) -> list[str]:
    """The variants, without sets of coefficients."""
    names = dict.fromkeys(row["variant"] for row in rows)
    plain = [name for name in names if not name.startswith(SETTINGS) and "=" not in name]
    return sorted(plain, key=lambda name: name != FULL)


def ablations() -> str:
    """All variants, each minus the whole algorithm."""
    rows = lines("studies")
    return _changes(rows, _names(rows))


def beyond() -> str:
    """The variants whose 95% interval, or that times the number of variants, excludes no change."""
    rows = studies_table.by_variant(lines("studies"))
    names = [name for name in rows if name != FULL]
    parts = []
    for split in ("dev", "test"):
        levels = {"at 5%": 0.05, f"at 5% divided by {len(names)}": 0.05 / len(names)}
        for label, level in levels.items():
            apart = [name for name in names if _differs(rows, name, split, level)]
            listed = ", ".join(apart) or "none"
            parts.append(f"Apart from the whole algorithm on {split}, {label}: {listed}.")
    pairs = [len(rows[name]) for name in names]
    span = f"{min(pairs)} to {max(pairs)}" if min(pairs) < max(pairs) else f"{max(pairs)}"
    parts.append(f"Pairs: {span}.")
    return "\n".join(parts)


def _differs(rows: dict[str, Any], name: str, split: str, level: float) -> bool:
    """Whether Student's t rejects a mean difference of 0."""
    changes = [run[split] - rows[FULL][key][split] for key, run in rows[name].items()]
    if len(set(changes)) == 1:
        return changes[0] != 0
    half = stats.t.ppf(1 - level / 2, len(changes) - 1) * statistics.stdev(changes)
    return abs(statistics.mean(changes)) > half / len(changes) ** 0.5


def first_ablations() -> str:
    """Variants of the first laboratory that the other one has not."""
    rows, others = lines("studies-first"), lines("studies")
    repeated = {row["variant"] for row in others}
    return _changes(rows, [name for name in _names(rows) if name == FULL or name not in repeated])


def parts() -> str:
    """The terms of the velocity, the start and the patience alone."""
    return _changes(lines("studies"), [FULL, *TERMS, "1 x 10", "patience 5"])


def one_coefficient() -> str:
    """One coefficient at another value than the library's."""
    rows = lines("studies-first")
    names = {row["variant"] for row in rows if row["variant"].startswith(SETTINGS)}
    return _changes(rows, sorted(names))


def coefficient_sets() -> str:
    """Sets drawn from the paper's grid, every item scored."""
    rows = lines("studies-first")
    names = dict.fromkeys(row["variant"] for row in rows if "=" in row["variant"])
    return _changes(rows, list(names), EVERY_ITEM)


def _every_item() -> list[dict[str, Any]]:
    return [row for row in lines("studies-first") if row["variant"] == EVERY_ITEM]


def origins() -> str:
    """Where the best particles started, in searches with every item scored."""
    drawn = [row for row in lines("studies-first") if "=" in row["variant"]]
    return studies_table.origins([*_every_item(), *drawn])


def emergence() -> str:
    """What no expert gets right and some particle does."""
    return studies_table.emerged(_every_item())


SEARCHES = {
    "paper": "the paper's procedure",
    "model-swarms": "the same, 40 evaluations",
    "swarm": "its swarm in `delta`, 40 evaluations",
    "random": "random search, 40 evaluations",
    "pycma": "CMA-ES, 40 evaluations",
    "default": "the default before it trains, 40 evaluations",
}


def emergence_written() -> str:
    """What no expert writes right and the best mixture does, by method."""
    rows = lines("emergence")
    table = []
    for method, label in SEARCHES.items():
        runs = [row for row in rows if row["method"] == method]
        emerged = sum(row["emerged"] for row in runs)
        unknown = emerged + sum(row["never"] for row in runs)
        kept = sum(row["kept"] for row in runs)
        known = kept + sum(row["lost"] for row in runs)
        by_task = [
            sum(row["emerged"] for row in runs if row["task"] == task)
            for task in sorted({row["task"] for row in runs})
        ]
        table.append(
            [
                label,
                f"{emerged} of {unknown}",
                f"{emerged / unknown:.3f}",
                ", ".join(map(str, by_task)),
                f"{kept / known:.3f}",
            ]
        )
    head = ["18 searches each", "no expert is right, the best is", "share", "t1 to t6"]
    return markdown([*head, "some expert is right: the best is, too"], table)
