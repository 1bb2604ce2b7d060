"""20, 50 and 200 calls: the default beside optimisers that are made for few calls, on five kinds of
problems.

    python research/benchmarks/bbob/small_budgets.py --out small_budgets.jsonl \\
        --scipy SCIPY/benchmarks/benchmarks
    python research/benchmarks/bbob/small_budgets.py --out small_budgets.jsonl --table

With `--per-dimension` it is 20 D, 50 D and 200 D calls (in a file of their own).

A line of the file is one run; what is there is not run again. Kinds of problems: bbob, SciPy's own
benchmark (with its source), hyperparameters, mixtures of models, steps and noise. What counts is
the true value at the point that a solver recommends, the best of those that it saw if it recommends
none; solvers are ranked on each problem and seed, equal values sharing their ranks. The table has
mean ranks, and how often the default is better than random search.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata
from small_budgets_problems import Problem, problems
from small_budgets_solvers import KNOW_THEIR_BUDGET, PEERS, find, package

BUDGETS = (20, 50, 200)
STARTS = 100  # of a solver that ends before its budget does


class Spent(Exception):
    """The budget is used up."""


class Counted:
    """The objective as a solver sees it, and the true value at the best point seen after each
    budget.
    """

    def __init__(self, problem: Problem, budget: int, seed: int, unit: int) -> None:
        self._problem, self._budget, self._noise = (
            problem,
            unit * budget,
            np.random.default_rng([7, seed]),
        )
        self._unit = unit
        self._best, self._true, self.calls = math.inf, math.inf, 0
        self.after: dict[int, float] = {}

    def __call__(self, values: list[Any]) -> float:
        if self.calls >= self._budget:
            raise Spent
        true = self._problem.truth(values)
        true = true if math.isfinite(true) else 1e300
        observed = true + self._problem.noise * float(self._noise.standard_normal())
        self.calls += 1
        if observed < self._best:
            self._best, self._true = observed, true
        self.after |= {
            budget: self._true for budget in BUDGETS if self.calls <= self._unit * budget
        }
        return observed


def run(name: str, problem: Problem, budget: int, seed: int, unit: int = 1) -> dict[int, float]:
    """True values at the recommended points, by budget, which is in units of so many calls."""
    fun, solver, recommended = Counted(problem, budget, seed, unit), find(name), None
    try:
        for start in range(STARTS):
            recommended = solver(fun, problem, unit * budget, seed + 1000 * start)
            if fun.calls >= unit * budget or recommended is not None:
                break
    except Spent:
        pass
    return fun.after if recommended is None else {budget: problem.truth(recommended)}


def planned(
    names: list[str], seeds: int, budgets: tuple[int, ...]
) -> Iterator[tuple[str, int, int]]:
    """Solver, budget and seed of every run on a problem."""
    for seed in range(seeds):
        for name in names:
            known = name.partition(":")[0] in KNOW_THEIR_BUDGET
            yield from ((name, budget, seed) for budget in (budgets if known else budgets[-1:]))


def measure(names: list[str], arguments: argparse.Namespace) -> None:
    budgets = tuple(int(b) for b in arguments.budgets.split(","))
    done = {(r["problem"], r["solver"], r["budget"], r["seed"]) for r in rows(arguments.out)}
    selected = [
        p
        for p in problems(arguments.scipy)
        if arguments.half in ("both", "odd" if p.chosen_on else "even")
    ]
    with arguments.out.open("a") as file:
        for name, budget, seed in planned(names, arguments.seeds, budgets):
            for problem in selected:
                if (problem.name, name, budget, seed) in done:
                    continue
                unit = len(problem.space) if arguments.per_dimension else 1
                for spent, value in run(name, problem, budget, seed, unit).items():
                    if spent <= budget:
                        row = {"group": problem.group, "problem": problem.name,
                               "half": problem.number % 2, "solver": name, "budget": spent,
                               "seed": seed, "value": value, "package": package(name)}  # fmt: skip
                        file.write(json.dumps(row) + "\n")
                file.flush()


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(names: list[str], found: list[dict[str, Any]], half: str) -> Iterator[str]:
    """Mean ranks over the problems and seeds that all of the solvers have met."""
    odd = {"odd": (1,), "even": (0,), "both": (0, 1)}[half]
    values = {(r["budget"], r["group"], r["problem"], r["seed"], r["solver"]): r["value"]
              for r in found if r["half"] in odd}  # fmt: skip
    yield f"| calls | problems | runs | {' | '.join(names)} |\n|{'---|' * (len(names) + 3)}"
    for budget in BUDGETS:
        ranks: dict[str, list[Any]] = {}
        for group, problem, seed in sorted({key[1:4] for key in values if key[0] == budget}):
            row = [values.get((budget, group, problem, seed, name)) for name in names]
            if None not in row:
                ranks.setdefault(group, []).append(rankdata(row))
        if not ranks:
            continue
        for group, ranked in ranks.items():
            yield _line(budget, group, ranked)
        yield _line(budget, "all", [rank for ranked in ranks.values() for rank in ranked])


def _line(budget: int, group: str, ranked: list[Any]) -> str:
    means = np.mean(ranked, axis=0)
    cells = " | ".join(
        f"**{mean:.2f}**" if mean == means.min() else f"{mean:.2f}" for mean in means
    )
    return f"| {budget} | {group} | {len(ranked)} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--scipy", type=Path, help="the folder benchmarks/benchmarks of SciPy's source"
    )
    parser.add_argument("--solvers", default=f"pyswarmopt,{','.join(PEERS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)))
    parser.add_argument(
        "--per-dimension", action="store_true", help="budgets are times the number of parameters"
    )
    parser.add_argument("--half", choices=("odd", "even", "both"), default="both")
    parser.add_argument("--table", action="store_true", help="show what was measured")
    arguments = parser.parse_args()
    names = arguments.solvers.split(",")
    if not arguments.table:
        measure(names, arguments)
    print("\n".join(table(names, rows(arguments.out), arguments.half)))


if __name__ == "__main__":
    main()
