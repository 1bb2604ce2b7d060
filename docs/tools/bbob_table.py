"""The summary of docs/evidence.md, from the tables that benchmarks/bbob/bbob.py wrote further down
on that page.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "evidence.md"
SOLVERS = {
    "pyswarmopt": "`recipe=None`",
    "pyswarmopt:anywhere": "the same from a random point",
    "pycma-bipop": "BIPOP-CMA-ES (pycma)",
    "pycma-lq": "lq-CMA-ES (pycma)",
    "pyswarmopt:surrogate": "`surrogate`",
    "pyswarmopt:covariant": "`covariant`",
    "pagmo-pso": "pagmo's PSO",
}


def measured() -> dict[str, dict[str, tuple[str, str]]]:
    """Dimension -> solver -> area and share of targets hit."""
    text = PAGE.read_text(encoding="utf-8").partition("<!-- bbob.py: begin -->")[2]
    found = {}
    for dimension, table in re.findall(r"^### (\d+-D)\n\n((?:\|.*\n)+)", text, flags=re.MULTILINE):
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
        ]
        found[dimension] = {row[0]: (row[1], row[3]) for row in rows}
    return found


def summary() -> str:
    """Area and share of targets hit, a row per solver and a column per dimension."""
    tables = measured()
    lines = [f"| area, targets hit | {' | '.join(tables)} |", f"|---|{'---:|' * len(tables)}"]
    for solver, name in SOLVERS.items():
        cells = [", ".join(rows[solver]) if solver in rows else "" for rows in tables.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
