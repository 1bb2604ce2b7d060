"""The tables of research/notes/optimiser.md: the summary, from those that benchmarks/bbob/bbob.py wrote further
down on that page, and what research/evidence has of kept runs and of other suites.
"""

from __future__ import annotations

import re
import sys

import numpy as np
from outcomes import RESEARCH, lines, markdown, p_value
from scipy.stats import permutation_test

sys.path.insert(0, str(RESEARCH.parent / "benchmarks" / "bbob"))

PAGE = RESEARCH / "notes" / "optimiser.md"
SOLVERS = {
    "pyswarmopt": "`recipe=None`",
    "pyswarmopt:anywhere": "`recipe=None` from a random point",
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


SUITES = {
    ("ma-bbob", 5): "MA-BBOB, 5-D",
    ("ma-bbob", 20): "MA-BBOB, 20-D",
    ("cec2022", 10): "CEC 2022, 10-D",
}
OTHERS = {
    "pyswarmopt": "`recipe=None`",
    "pycma-bipop": "BIPOP-CMA-ES (pycma)",
    "pycma-lq": "lq-CMA-ES (pycma)",
    "nevergrad-ngopt": "NGOpt (nevergrad)",
    "scipy-de": "SciPy's DE",
    "l-shade": "L-SHADE (minionpy)",
    "jso": "jSO (minionpy)",
    "arrde": "ARRDE (minionpy)",
    "rcmaes": "RCMAES (minionpy)",
}


def second_suites() -> str:
    """Area and share of targets hit on suites that nothing was chosen on, on how many of their
    problems, runs averaged, a solver has a larger area than the default, and the p-value of the mean
    difference, signs of problems changed. One that has not been run on all of a suite is compared
    on those on which it was.
    """
    runs = {((row["suite"], row["D"]), row["solver"]): row["runs"] for row in lines("other-suites")}
    table = []
    for solver, name in OTHERS.items():
        cells = []
        for suite in SUITES:
            if (suite, solver) not in runs:
                cells.append("")
                continue
            ours, theirs = (_by_problem(runs[suite, who]) for who in ("pyswarmopt", solver))
            cells.append(_beside(ours, None if solver == "pyswarmopt" else theirs))
        if any(cells):
            table.append([name, *cells])
    return markdown(["area, targets hit, ahead of the default, p", *SUITES.values()], table)


def _beside(ours: dict[float, list[float]], theirs: dict[float, list[float]] | None) -> str:
    """A cell: area, targets hit, on how many problems a solver is ahead of us, and p."""
    mean, hit = np.mean(list((theirs or ours).values()), axis=0)
    if theirs is None:
        return f"{mean:.3f}, {hit:.3f}"
    more = [theirs[problem][0] - ours[problem][0] for problem in theirs]
    p = p_value(sign_flips(more))
    cell = f"{mean:.3f}, {hit:.3f}, {sum(each > 0 for each in more)} of {len(theirs)}, {p}"
    there = f" (the default there {mean - np.mean(more):.3f})"
    return cell + (there if len(theirs) < len(ours) else "")


def _by_problem(runs: list[list[float]]) -> dict[float, list[float]]:
    """Problem -> area and share of targets hit, the mean of its runs; a run is [problem, both]."""
    problems = sorted({run[0] for run in runs})
    return {
        problem: np.mean([run[1:] for run in runs if run[0] == problem], axis=0).tolist()
        for problem in problems
    }


def sign_flips(differences: list[float]) -> float:
    """The p-value of the mean of paired differences of functions or problems, whose signs are changed
    in all ways, or in 10,000 (Fisher 1935).
    """
    test = permutation_test(
        (np.array(differences),), np.mean, permutation_type="samples", n_resamples=10_000, rng=0
    )
    return float(test.pvalue)
