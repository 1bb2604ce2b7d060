"""The default search with constraints beside SciPy, pycma and a penalty term: how far from the best
known value.

    python research/benchmarks/functions/constrained.py --budgets 5000,20000 --seeds 5

A point counts once, whether the objective, the constraints or both are called there. A run ends
when the largest budget is used or a feasible point is within 1e-8 of the best known value; a solver
that returns earlier starts again with another seed. Violations up to 1e-6 do not count, for SLSQP
ends there. The table has the median distance from the best known value, relative to it, or after
how many points the median run was that near, and the number of runs that found a feasible point
where it is not all of them. Needs: pip install scipy cma.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "core" / "helpers"))
from constrained_problems import EQUALITY_TOLERANCE, PROBLEMS, Floats, Problem

FEASIBLE = 1e-6  # the largest violation that does not count
PENALTY = 1e4  # per unit of violation; what a user may write


SOLVED = 1e-8  # relative distance


class Done(Exception):
    """The budget is used, or the problem is solved."""


class Counted:
    """A problem that counts its points and keeps the relative distance of the best feasible value
    for each budget.
    """

    def __init__(self, problem: Problem, budgets: Sequence[int]) -> None:
        self.problem, self.budget = problem, max(budgets)
        self.seen: set[bytes] = set()
        self.found = dict.fromkeys(budgets, math.inf)

    def _count(self, x: Floats) -> None:
        key = np.asarray(x, dtype=float).tobytes()
        if key not in self.seen:
            if not self.left or self.found[self.budget] <= SOLVED:
                raise Done
            self.seen.add(key)
            if (self.problem.rules(x) <= FEASIBLE).all():
                distance = max(self.problem.fun(x) - self.problem.best, 0.0) / abs(
                    self.problem.best
                )
                for budget in self.found:
                    if len(self.seen) <= budget:
                        self.found[budget] = min(self.found[budget], distance)

    def fun(self, x: Floats) -> float:
        self._count(x)
        return self.problem.fun(x)

    def below(self, x: Floats) -> list[float]:
        self._count(x)
        return self.problem.below(x)

    def zero(self, x: Floats) -> list[float]:
        self._count(x)
        return self.problem.zero(x)

    def penalised(self, x: Floats) -> float:
        self._count(x)
        return self.problem.fun(x) + PENALTY * float(np.maximum(self.problem.rules(x), 0).sum())

    @property
    def left(self) -> int:
        return self.budget - len(self.seen)


Solver = Callable[[Counted, int], None]


def _integers(problem: Problem) -> Floats:
    return np.isin(np.arange(len(problem.bounds)), problem.integers)


def _dicts(counted: Counted) -> list[dict[str, object]]:
    rules: list[dict[str, object]] = [
        {"type": "ineq", "fun": lambda x: -np.array(counted.below(x))}
    ]
    return (
        [*rules, {"type": "eq", "fun": lambda x: np.array(counted.zero(x))}]
        if _has_zero(counted)
        else rules
    )


def _has_zero(counted: Counted) -> bool:
    return bool(counted.problem.zero(np.array(counted.problem.bounds)[:, 0]))


def ours(counted: Counted, seed: int, recipe: str | None = None) -> None:
    import pyswarmopt

    problem = counted.problem
    pyswarmopt.minimize(
        counted.fun, problem.bounds, recipe, constraints=_dicts(counted),
        integrality=_integers(problem), max_evals=counted.left, seed=seed, vectorized=False,
    )  # fmt: skip


def penalty(counted: Counted, seed: int) -> None:
    """What users write themselves: the default without constraints on f + 10^4 times the
    violation.
    """
    import pyswarmopt

    problem = counted.problem
    pyswarmopt.minimize(
        counted.penalised, problem.bounds, integrality=_integers(problem), max_evals=counted.left,
        seed=seed, vectorized=False,
    )  # fmt: skip


def scipy_de(counted: Counted, seed: int) -> None:
    from scipy.optimize import NonlinearConstraint, differential_evolution

    rules = [NonlinearConstraint(counted.below, -np.inf, 0)]
    if _has_zero(counted):
        rules.append(NonlinearConstraint(counted.zero, -EQUALITY_TOLERANCE, EQUALITY_TOLERANCE))
    problem = counted.problem
    differential_evolution(
        counted.fun,
        problem.bounds,
        constraints=rules,
        integrality=_integers(problem),
        rng=seed,
        maxiter=10**6,
    )


def slsqp(counted: Counted, seed: int) -> None:
    """From random points; integers are rounded."""
    from scipy.optimize import minimize

    low, high = np.array(counted.problem.bounds).T
    start = np.random.default_rng(seed).uniform(low, high)
    if counted.problem.integers:
        raise Done
    minimize(
        counted.fun,
        start,
        method="SLSQP",
        bounds=counted.problem.bounds,
        constraints=_dicts(counted),
    )


def pycma(counted: Counted, seed: int) -> None:
    """CMA-ES on an augmented Lagrangian, in the unit box."""
    import cma

    low, high = np.array(counted.problem.bounds).T
    whole = _integers(counted.problem)

    def point(u: Floats) -> Floats:
        x = low + np.clip(u, 0, 1) * (high - low)
        return np.where(whole, np.rint(x), x)

    def rules(u: Floats) -> list[float]:
        counted.below(point(u))
        return counted.problem.rules(point(u)).tolist()

    cma.fmin_con2(
        lambda u: counted.fun(point(u)), np.random.default_rng(seed).random(len(low)), 0.3,
        constraints=rules, find_feasible_first=True,
        options={"bounds": [0, 1], "seed": seed + 1, "verbose": -9, "verb_log": 0,
                 "maxfevals": counted.left},
    )  # fmt: skip


SOLVERS: dict[str, Solver] = {
    "pyswarmopt": ours, "penalty": penalty, "scipy-de": scipy_de, "scipy-slsqp": slsqp,
    "pycma-al": pycma, "pyswarmopt:covariant": lambda counted,
    seed: ours(counted, seed, "covariant"),
}  # fmt: skip


def run(solver: Solver, problem: Problem, budgets: Sequence[int], seed: int) -> Counted:
    """One run to the largest budget."""
    counted, starts = Counted(problem, budgets), 0
    while counted.left:
        before = counted.left
        try:
            solver(counted, 1000 * seed + starts)
        except Done:
            break
        if counted.left == before:
            break
        starts += 1
    return counted


def _cell(runs: list[Counted], budget: int) -> str:
    found = sorted(run.found[budget] for run in runs)
    feasible, median = sum(map(math.isfinite, found)), found[(len(found) - 1) // 2]
    text = f"{median:.0e}" if math.isfinite(median) else "none"
    if median <= SOLVED:
        points = sorted(len(run.seen) if run.found[budget] <= SOLVED else budget for run in runs)
        text = f"0 after {points[(len(runs) - 1) // 2]:,}"
    return text if feasible == len(runs) else f"{text} ({feasible} of {len(runs)} feasible)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--solvers", default=",".join(SOLVERS))
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--budgets", default="5000,20000")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    names, budgets = arguments.solvers.split(","), sorted(map(int, arguments.budgets.split(",")))
    print(f"| problem | points | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}", flush=True)
    for problem in [PROBLEMS[name] for name in arguments.problems.split(",")]:
        found = {
            name: [run(SOLVERS[name], problem, budgets, i) for i in range(arguments.seeds)]
            for name in names
        }
        for budget in budgets:
            cells = [_cell(runs, budget) for runs in found.values()]
            print(f"| {problem.name} | {budget:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
