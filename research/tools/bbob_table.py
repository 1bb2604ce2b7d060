"""The tables of research/notes/optimiser.md: the summary, from those that benchmarks/bbob/bbob.py wrote further
down on that page, and what research/evidence has of kept runs and of other suites.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
from outcomes import RESEARCH, lines, markdown, p_value
from scipy.stats import permutation_test, rankdata

sys.path.insert(0, str(RESEARCH.parent / "benchmarks" / "bbob"))
from bbob_problems import GROUPS
from bbob_report import area, load, solved

PAGE = RESEARCH / "notes" / "optimiser.md"
KEPT = RESEARCH / "evidence" / "bbob"  # runs, compressed by bbob.py
FIRST_CALLS = RESEARCH / "evidence" / "bbob-100d"  # with 100 D calls
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


def kept() -> str:
    """Area and share of targets hit of the runs that are kept, and beside the default on the
    instances that both have: on how many functions a solver has a larger area, and the p-value of
    the mean difference, signs of functions changed.
    """
    table = []
    for dim, runs in load(KEPT, "bbob").items():
        for solver, records in runs.items():
            instances = sorted({r["i"] for r in records})
            each = [area([r for r in records if r["i"] == i]) for i in instances]
            ahead = "" if solver == "pyswarmopt" else _ahead(records, runs["pyswarmopt"])
            table.append([
                f"{dim}-D", f"{(OTHERS | SOLVERS)[solver]} ({records[0]['package']})", str(len(instances)),
                f"{area(records):.3f}", f"{min(each):.3f} to {max(each):.3f}",
                f"{solved(records):.3f}", ahead,
            ])  # fmt: skip
    head = ["", "solver", "instances", "area", "per instance", "hit", "ahead of the default, p"]
    return markdown(head, table)


def _ahead(records: list[dict[str, Any]], ours: list[dict[str, Any]]) -> str:
    """On how many functions the area is larger than ours, by group, and the p-value of them all."""
    both = {r["i"] for r in records} & {r["i"] for r in ours}
    more = {
        function: area([r for r in records if r["f"] == function and r["i"] in both])
        - area([r for r in ours if r["f"] == function and r["i"] in both])
        for function in {r["f"] for r in ours}
    }
    ahead = [int(function) for function, difference in more.items() if difference > 0]
    groups = [f"{name} {n}" for name, of in GROUPS.items() if (n := len(set(of) & set(ahead)))]
    which = f" ({', '.join(groups)})" if groups else ""
    p = p_value(sign_flips(list(more.values())))
    return f"{len(ahead)} of {len(more)} functions{which}, {p}"


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


def first_calls() -> str:
    """The same on MA-BBOB in 20-D within a tenth of the calls."""
    runs = {
        solver: [[r["i"], area([r]), solved([r])] for r in records]
        for solver, records in load(FIRST_CALLS, "ma-bbob")[20].items()
    }
    ours = _by_problem(runs["pyswarmopt"])
    table = [
        [OTHERS[solver], _beside(ours, None if solver == "pyswarmopt" else _by_problem(each))]
        for solver, each in runs.items()
    ]
    return markdown(["100 D calls", "area, targets hit, ahead of the default, p"], table)


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


COMPETITIONS = {
    ("cec2022", 10): "CEC 2022, 10-D",
    ("cec2017", 10): "CEC 2017, 10-D",
}
SOLVED = 1e-7  # the rule is 1e-8, below the rounding of function 3 of 2022
WINNERS = OTHERS | {"nl-shade-rsp": "NL-SHADE-RSP (minionpy)", "lsrtde": "LSRTDE (minionpy)"}


def competitions() -> str:
    """Mean rank by the mean error of a function's runs at the competition's budget, functions of
    which all runs are solved, and on how many a solver is better than the default.
    """
    stored = {((row["suite"], row["D"]), row["solver"]): row for row in lines("cec")}
    suites = [suite for suite in COMPETITIONS if any(key[0] == suite for key in stored)]
    cells: dict[str, list[str]] = {}
    for suite in suites:
        solvers = [solver for solver in WINNERS if (suite, solver) in stored]
        means = np.array([_errors(stored[suite, solver]["errors"]) for solver in solvers])
        ranks = rankdata(means, axis=0).mean(axis=1)
        ours = means[solvers.index("pyswarmopt")]
        for solver, rank, each in zip(solvers, ranks, means, strict=True):
            cell = f"{rank:.2f}, {(each == 0).sum()}"
            if solver != "pyswarmopt":
                cell += f", {(each < ours).sum()} to {(each > ours).sum()}"
            cells.setdefault(solver, [""] * len(suites))[suites.index(suite)] = cell
    head = ["mean rank, functions solved, better and worse than the default"]
    head += [COMPETITIONS[suite] for suite in suites]
    rows = [[name, *cells[solver]] for solver, name in WINNERS.items() if solver in cells]
    return markdown(head, rows)


def _errors(runs: list[list[float]]) -> list[float]:
    """The mean error of each function's runs, 0 where it is solved; a run is [function, instance,
    error].
    """
    functions = sorted({run[0] for run in runs})
    means = [np.mean([run[2] for run in runs if run[0] == number]) for number in functions]
    return [0.0 if mean <= SOLVED else float(mean) for mean in means]


def sign_flips(differences: list[float]) -> float:
    """The p-value of the mean of paired differences of functions or problems, whose signs are changed
    in all ways, or in 10,000 (Fisher 1935).
    """
    test = permutation_test(
        (np.array(differences),), np.mean, permutation_type="samples", n_resamples=10_000, rng=0
    )
    return float(test.pvalue)
