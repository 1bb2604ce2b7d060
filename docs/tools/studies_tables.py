"""The tables of the laboratory's studies of Model Swarms, from docs/evidence/studies.jsonl."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "lab"))
import studies_table

Rows = Sequence[dict[str, Any]]
# one coefficient at another value
SETTINGS = ("inertia ", "cognitive ", "social ", "repel ", "step ")


def _changes(rows: Rows, names: Sequence[str], whole: str) -> str:
    return studies_table.changes(studies_table.by_variant(rows), names, whole)


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["variant"] for row in rows))


def ablations(rows: Rows) -> str:
    """All variants but those of coefficients, each minus the whole algorithm."""
    names = [name for name in _names(rows) if not name.startswith(SETTINGS) and "=" not in name]
    names.sort(key=lambda name: name != studies_table.FULL)
    return _changes(rows, names, studies_table.FULL)


def parts(rows: Rows) -> str:
    """The terms of the velocity, the start and the patience alone."""
    terms = [
        "no p",
        "no g",
        "no repel",
        "no inertia",
        "no randomness",
        "no restart",
        "no crossover",
    ]
    return _changes(rows, [studies_table.FULL, *terms, "1 x 10", "patience 5"], studies_table.FULL)


def one_coefficient(rows: Rows) -> str:
    """One coefficient at another value than the library's."""
    names = sorted(name for name in _names(rows) if name.startswith(SETTINGS))
    return _changes(rows, names, studies_table.FULL)


def coefficient_sets(rows: Rows) -> str:
    """Sets drawn from the paper's grid, every item scored."""
    return _changes(rows, [name for name in _names(rows) if "=" in name], studies_table.EVERY_ITEM)


def _every_item(rows: Rows) -> list[dict[str, Any]]:
    return [row for row in rows if row["variant"] == studies_table.EVERY_ITEM]


def origins(rows: Rows) -> str:
    """Where the best particles started, in searches with every item scored."""
    drawn = [row for row in rows if "=" in row["variant"]]
    return studies_table.origins([*_every_item(rows), *drawn])


def emergence(rows: Rows) -> str:
    """What no expert gets right and some particle does."""
    return studies_table.emerged(_every_item(rows))
