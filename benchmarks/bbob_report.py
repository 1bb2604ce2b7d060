"""Numbers, tables and plots out of the runs of `bbob.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TARGETS = 10.0 ** np.linspace(2, -8, 51)
Record = dict[str, Any]


def area(records: Sequence[Record]) -> float:
    """Area under the runtime distribution over log10(evaluations / D) from 0 to log10(budget / D), from 0 to 1."""
    total = 0.0
    for r in records:
        top = math.log10(r["budget"] / r["D"])
        total += sum(top - max(0.0, math.log10(h / r["D"])) for h in r["hits"]) / top
    return total / (len(TARGETS) * len(records))


def solved(records: Sequence[Record]) -> float:
    """Share of all targets that were hit."""
    return sum(len(r["hits"]) for r in records) / (len(TARGETS) * len(records))


def report(runs: Path, folder: Path) -> None:
    raise NotImplementedError
