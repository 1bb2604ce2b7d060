"""Runs a solver on all 15 instances of COCO's bbob suite and keeps the data in the format of COCO's
archive.

    python research/benchmarks/bbob/coco_archive.py --solver pyswarmopt --dims 2,3,5,10,20 --out runs/coco

For each dimension there is a folder OUT/exdata/SOLVER-dD, which `python -m cocopp` reads and the
archive takes. A run ends with 1000 x D evaluations or at f - f_opt <= 1e-8; a solver that returns
earlier is started again. Printed is the share of the 360 problems of a dimension that were solved.
Needs: pip install coco-experiment.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "bbob"))
from bbob import numbers
from bbob_problems import Floats
from bbob_solvers import Done, Solver, find, restarted


def solve(solver: Solver, problem: Any, budget: int) -> bool:
    """Whether the last target was hit."""

    def left() -> int:
        return 0 if problem.final_target_hit else budget - problem.evaluations

    def fun(x: Floats) -> float:
        if not left():
            raise Done
        return float(problem(np.asarray(x, dtype=np.float64)))

    restarted(
        solver, fun, problem.dimension, left, 1000 * problem.id_instance + problem.id_function
    )
    return bool(problem.final_target_hit)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--solver", default="pyswarmopt", help="as for bbob.py")
    parser.add_argument("--dims", type=numbers, default=[2, 3, 5, 10, 20])
    parser.add_argument("--budget", type=int, default=1000, help="evaluations per dimension")
    parser.add_argument("--out", type=Path, default=Path("runs/coco"))
    arguments = parser.parse_args()
    import cocoex

    warnings.simplefilter("ignore")
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.out)  # cocoex writes into exdata/ below the working directory
    for dim in arguments.dims:
        name = arguments.solver.replace(":", "_")
        observer = cocoex.Observer(
            "bbob", f"result_folder: {name}-d{dim:02d} algorithm_name: {name}"
        )
        solved = []
        for problem in cocoex.Suite("bbob", "", f"dimensions:{dim}"):
            problem.observe_with(observer)
            solved.append(solve(find(arguments.solver), problem, arguments.budget * dim))
            problem.free()
        print(
            (
                f"{arguments.solver} {dim}-D: {100 * np.mean(solved):.1f} % of {len(solved)} "
                "problems "
                "solved"
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
