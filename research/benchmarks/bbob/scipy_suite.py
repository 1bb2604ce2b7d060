"""How many of the functions of SciPy's own benchmark are solved within so many calls.

    python research/benchmarks/bbob/scipy_suite.py --scipy SCIPY/benchmarks/benchmarks \\
        --solvers pyswarmopt,dual-annealing

A function is solved at f - f_opt <= 1e-4 max(1, |f_opt|). Those whose optimum is in the middle of
their box, where many solvers start, are in a table of their own, and there 30% of every side are
cut off at one end. Solvers see [-5, 5]^D; one that returns early is started again with another
seed. Functions that draw random numbers are left out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy_problems import box, centred, cut, functions

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "bbob"))
from bbob_problems import HIGH, LOW, Floats
from bbob_solvers import Done, Solver, find, restarted

AFTER = (50, 100, 200, 500, 1000, 2000)
CLOSE = 1e-4
RANDOM = ("Stochastic", "XinSheYang01")
SOLVERS = "pyswarmopt,dual-annealing,l-bfgs-b,pycma-bipop,scipy-de,pagmo-pso,random"
APART = 1000  # of the seeds of two starts


class Counted:
    """A function of [-5, 5]^D that counts its calls until it is solved."""

    def __init__(self, benchmark: Any, low: Floats, high: Floats, budget: int) -> None:
        self.benchmark, self.low, self.side, self.budget = benchmark, low, high - low, budget
        self.enough = benchmark.fglob + CLOSE * max(1.0, abs(benchmark.fglob))
        self.calls, self.solved = 0, False

    def left(self) -> int:
        """Calls, 0 when it is solved."""
        return 0 if self.solved else self.budget - self.calls

    def __call__(self, x: Floats) -> float:
        if not self.left():
            raise Done
        self.calls += 1
        unit = (np.asarray(x, dtype=np.float64) - LOW) / (HIGH - LOW)
        value = float(self.benchmark.fun(self.low + self.side * unit))
        self.solved = value <= self.enough
        if self.solved:
            raise Done
        return value


def run(solver: Solver, fun: Counted, seed: int) -> float:
    """Calls until the function was solved, or infinity."""
    restarted(solver, fun, fun.benchmark.N, fun.left, seed, APART)
    return fun.calls if fun.solved else np.inf


def problems(folder: Path, middle: bool) -> Iterator[tuple[Any, Floats, Floats]]:
    for kind in functions(folder):
        benchmark = kind()
        if (
            hasattr(benchmark, "bounds")
            and kind.__name__ not in RANDOM
            and centred(benchmark) == middle
        ):
            yield benchmark, *(cut if middle else box)(benchmark)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scipy",
        type=Path,
        required=True,
        help="the folder benchmarks/benchmarks of SciPy's source",
    )
    parser.add_argument("--solvers", default=SOLVERS)
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    after = [n for n in AFTER if n <= arguments.budget]
    for middle in (False, True):
        print(
            f"| {'cut boxes' if middle else 'not centred'} | {' | '.join(map(str, after))} | "
            "median |"
        )
        print("|" + "---|" * (len(after) + 2))
        for name in arguments.solvers.split(","):
            calls = np.array([
                run(find(name), Counted(benchmark, low, high, arguments.budget), seed)
                for benchmark, low, high in problems(arguments.scipy, middle)
                for seed in range(arguments.seeds)
            ])  # fmt: skip
            shares = " | ".join(f"{100 * np.mean(calls <= n):.1f}" for n in after)
            print(f"| {name} ({len(calls)} runs) | {shares} | {np.median(calls):.0f} |", flush=True)


if __name__ == "__main__":
    main()
