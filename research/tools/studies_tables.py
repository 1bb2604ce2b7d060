"""The tables of the ablations of Model Swarms, from `studies.jsonl` and `studies-delta.jsonl`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outcomes import lines

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "lab"))
import studies_table

Rows = Sequence[dict[str, Any]]
# one coefficient at another value
SETTINGS = ("inertia ", "cognitive ", "social ", "repel ", "step ")
FULL = studies_table.FULL


def _changes(rows: Rows, names: Sequence[str]) -> str:
    return studies_table.changes(studies_table.by_variant(rows), names, FULL)


def _names(rows: Rows) -> list[str]:
    """The variants, without sets of coefficients."""
    names = dict.fromkeys(row["variant"] for row in rows)
    plain = [name for name in names if not name.startswith(SETTINGS) and "=" not in name]
    return sorted(plain, key=lambda name: name != FULL)


def ablations() -> str:
    """All variants, each minus the whole algorithm."""
    rows = lines("studies")
    return _changes(rows, _names(rows))


def parts() -> str:
    """The terms of the velocity and the crossover, in `delta` with 200 dev examples."""
    rows = lines("studies-delta")
    return _changes(rows, _names(rows))
