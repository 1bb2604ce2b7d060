"""Runtime distributions of optimisers on COCO's bbob functions, 24 functions on [-5, 5]^D, on affine
mixtures of them, on those of the CEC 2017 and 2022 competitions, and on moved optima.

    python benchmarks/bbob/bbob.py --solvers pyswarmopt,pycma-bipop --dims 5,20 --instances 1-3 \\
        --out runs/bbob
    python benchmarks/bbob/bbob.py --suite control --solvers pyswarmopt,pagmo-pso --dims 10 \\
        --instances 1-5 --out runs/bbob
    python benchmarks/bbob/bbob.py --suite ma-bbob --dims 5 --instances 1-10 --out runs/bbob
    python benchmarks/bbob/bbob.py --report research/notes/optimiser.md --out runs/bbob

A run ends when the budget of BUDGET x D evaluations is used or when f - f_opt <= 1e-8; a solver
that returns earlier is started again with another seed. Each run appends a line to
OUT/SOLVER-dD.jsonl, and runs that are there are not made again: so stop it at any time, go on
later, split it over machines. `--keep FOLDER` compresses the files, and reports may be made from that
folder. Needs: pip install coco-experiment ioh minionpy cma nevergrad pygmo
scipy matplotlib; a solver whose package is missing is left out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import json
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from bbob_problems import SUITES, Floats, Problem
from bbob_report import TARGETS, area, errors, file_of, keep, outcomes, report, solved
from bbob_solvers import PEERS, Done, Solver, find, package, restarted

RECIPES = ("", ":anywhere", ":covariant", ":constriction", ":spso2011")
DEFAULT = [f"pyswarmopt{recipe}" for recipe in RECIPES] + list(PEERS)


class Recorder:
    """Counts evaluations and notes at which one each target was first hit."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self.evaluations = 0
        self.best = np.inf
        self.hits: list[int] = []

    def left(self) -> int:
        """Evaluations, 0 when the last target was hit."""
        return 0 if len(self.hits) == len(TARGETS) else self.budget - self.evaluations

    def __call__(self, x: Floats) -> float:
        if not self.left():
            raise Done
        self.evaluations += 1
        value = float(self.problem.fun(np.asarray(x, dtype=float)))
        self.best = min(self.best, value)
        while (
            len(self.hits) < len(TARGETS)
            and value - self.problem.optimum <= TARGETS[len(self.hits)]
        ):
            self.hits.append(self.evaluations)
        if len(self.hits) == len(TARGETS):
            raise Done
        return value


def run(solver: Solver, problem: Problem, budget: int) -> dict[str, Any]:
    """One run: the evaluations at which the targets were hit, in their order, as far as they were,
    and the error at the end.
    """
    recorder, began = Recorder(problem, budget), time.process_time()
    seed = 1000 * problem.instance + zlib.crc32(problem.name.encode()) % 1000
    starts = restarted(solver, recorder, problem.dim, recorder.left, seed)
    seconds = round(time.process_time() - began, 3)
    return {
        "f": problem.name, "i": problem.instance, "D": problem.dim, "budget": budget,
        "hits": recorder.hits, "evaluations": recorder.evaluations, "starts": starts,
        "seconds": seconds, "error": max(recorder.best - problem.optimum, 0.0),
    }  # fmt: skip


def measure(
    name: str, dim: int, instances: list[int], multiplier: float, suite: str, folder: Path
) -> None:
    """Make the runs of one solver in one dimension that the folder does not hold yet."""
    path = folder / file_of(name, suite, dim)
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    budget = int(multiplier * dim)
    known = {(r["f"], r["i"]) for r in records if r["budget"] == budget}
    solver, problems = find(name), SUITES[suite](dim, instances)
    with path.open("a") as file:
        for problem in problems:
            if (problem.name, problem.instance) in known:
                continue
            records.append({**run(solver, problem, budget), "package": package(name)})
            file.write(json.dumps(records[-1]) + "\n")
            file.flush()
    mine = [r for r in records if r["i"] in instances and r["budget"] == budget]
    microseconds = 1e6 * sum(r["seconds"] for r in mine) / sum(r["evaluations"] for r in mine)
    scores = f"area {area(mine):.4f}, hit {solved(mine):.4f}"
    print(f"{suite} {name} {dim}-D: {scores}, {microseconds:.1f} us per evaluation", flush=True)


def numbers(text: str) -> list[int]:
    """ "1-3,5" -> [1, 2, 3, 5]"""
    parts = (part.split("-") for part in text.split(","))
    return [n for part in parts for n in range(int(part[0]), int(part[-1]) + 1)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--solvers", default=",".join(DEFAULT), help=f"default: {','.join(DEFAULT)}"
    )
    parser.add_argument("--dims", type=numbers, default=[5, 20])
    parser.add_argument("--instances", type=numbers, default=[1, 2, 3])
    parser.add_argument("--budget", type=float, default=1000, help="evaluations per dimension")
    parser.add_argument("--suite", choices=list(SUITES), default="bbob")
    parser.add_argument("--out", type=Path, default=Path("runs/bbob"), help="folder of the runs")
    parser.add_argument(
        "--report", type=Path, help="instead of runs: write their tables and plots into this page"
    )
    parser.add_argument(
        "--outcomes", type=Path, help="instead of runs: write those of ma-bbob and cec2022 in short"
    )
    parser.add_argument(
        "--errors", type=Path, help="instead of runs: write the errors at the end on CEC functions"
    )
    parser.add_argument("--keep", type=Path, help="instead of runs: compress them into this folder")
    a = parser.parse_args()
    if a.keep:
        keep(a.out, a.keep)
        return
    if a.errors:
        errors(a.out, a.errors)
        return
    if a.outcomes:
        outcomes(a.out, a.outcomes)
        return
    if a.report:
        report(a.out, a.report)
        return
    warnings.simplefilter("ignore")
    a.out.mkdir(parents=True, exist_ok=True)
    for dim in a.dims:
        for name in a.solvers.split(","):
            try:
                measure(name, dim, a.instances, a.budget, a.suite, a.out)
            except ImportError as missing:
                print(f"{name}: left out ({missing})", flush=True)


if __name__ == "__main__":
    main()
