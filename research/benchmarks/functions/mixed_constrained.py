"""The default search beside SciPy's differential evolution where whole numbers and constraints meet.

    python research/benchmarks/functions/mixed_constrained.py --seeds 8

The table has, after each budget, the median distance of the best feasible value from the best known
one, relative to it, and in brackets how many runs are within a thousandth. `minimize` has so many
calls in all, of which those of a point that it has seen count again; SciPy's DE is counted by
different points and starts again when it returns. Needs: pip install scipy.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import math
import warnings

import numpy as np
from constrained import SOLVERS, Counted, Floats, ours, run
from constrained_problems import Problem
from mixed_constrained_problems import CHOSEN_ON, HELD_OUT

NEAR = 1e-3  # relative distance from the best value that counts as success
BUDGETS = [500, 1000, 1500]


class Called(Counted):
    """A problem that counts the points whose constraints are asked for, also those seen before."""

    calls = 0

    def fun(self, x: Floats) -> float:
        return self.problem.fun(x)

    def below(self, x: Floats) -> list[float]:
        self.calls += 1
        rules = self.problem.below(x)
        if max(rules) <= 0:
            best = self.problem.best
            distance = (self.problem.fun(x) - best) / abs(best)
            for budget in self.found:
                if self.calls <= budget:
                    self.found[budget] = min(self.found[budget], distance)
        return rules


def distances(name: str, problem: Problem, seed: int) -> dict[int, float]:
    """Of one run of a solver, by budget."""
    if name.startswith("scipy"):
        return run(SOLVERS[name], problem, BUDGETS, seed).found
    called = Called(problem, BUDGETS)
    ours(called, seed, name.partition(":")[2] or None)
    return called.found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--solvers", default="pyswarmopt,scipy-de")
    parser.add_argument("--problems", default="", help="names; default: all")
    parser.add_argument("--half", choices=["chosen", "held-out", "both"], default="both")
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    halves = {"chosen": CHOSEN_ON, "held-out": HELD_OUT, "both": CHOSEN_ON | HELD_OUT}
    problems = halves[arguments.half]
    solvers = arguments.solvers.split(",")
    print(f"| problem | calls | {' | '.join(solvers)} |\n|{'---|' * (len(solvers) + 2)}")
    for name in arguments.problems.split(",") if arguments.problems else problems:
        found = {
            solver: [distances(solver, problems[name], i) for i in range(arguments.seeds)]
            for solver in solvers
        }
        for budget in BUDGETS:
            cells = [_cell([one[budget] for one in runs]) for runs in found.values()]
            print(f"| {name} | {budget:,} | {' | '.join(cells)} |", flush=True)


def _cell(found: list[float]) -> str:
    median, near = float(np.median(found)), sum(one <= NEAR for one in found)
    return f"{median:.1e} ({near})" if math.isfinite(median) else f"none ({near})"


if __name__ == "__main__":
    main()
