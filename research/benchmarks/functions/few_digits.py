"""Values with few digits: the default and pycma on the same functions; runs up to November 2026 also
had the recipe `surrogate`, which is gone.

    python research/benchmarks/functions/few_digits.py --out research/evidence/few_digits.jsonl
    python research/benchmarks/functions/few_digits.py --out ... --functions claimed --table

Each function is turned and moved by its name and the dimension, in the box [-5, 5]^D, with an optimal
value of 10. What a solver sees is rounded to so many significant digits, to float32, or has a ripple: a
relative error that a point always has again. The outcome is the exact excess over the optimum of the
best point by what was seen, after 50, 200 and 1,000 calls (`--budgets`); excesses below the resolution,
half a unit of the last digit or the ripple, count as level. One run of the largest budget tells all.
Nothing was chosen on the functions of `CLAIMED`. A run that is in the file is not made again; a file is
of one set of budgets. Needs: pip install cma.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import itertools
import math
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from resumed import arguments, outcomes

import pyswarmopt as pso

Floats = npt.NDArray[np.float64]
BUDGETS = (50, 200, 1000)
DIMENSIONS = (2, 5, 10)
OPTIMUM = 10.0
HALF = 5.0
KINDS = ("exact", "10", "8", "6", "5", "4", "float32", "ripple 1e-8", "ripple 1e-6")
SOLVERS = ("default", "surrogate", "pycma")
SMALLEST = 1e-8  # an excess that counts as none


def _powers(y: Floats, most: float) -> Floats:
    """From 1 to `most`, one for each coordinate."""
    return np.asarray(most ** (np.arange(len(y)) / max(len(y) - 1, 1)))


def _rosenbrock(y: Floats) -> float:
    z = y + 1
    return float((100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum())


def _discus(y: Floats) -> float:
    return float(1e6 * y[0] ** 2 + (y[1:] ** 2).sum()) / 10


def _griewank(y: Floats) -> float:
    z = 20 * y
    product = np.cos(z / np.sqrt(np.arange(1, len(z) + 1))).prod()
    return float((z**2).sum() / 4000 - product + 1)


def _levy(y: Floats) -> float:
    w = 1 + y / 4
    middle = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * math.pi * w[-1]) ** 2)
    return float(np.sin(math.pi * w[0]) ** 2 + middle.sum() + last)


CHOSEN: dict[str, Callable[[Floats], float]] = {
    "ellipsoid": lambda y: float((_powers(y, 1e6) * y**2).sum()) / 10,
    "rosenbrock": _rosenbrock,
    "kinks and sines": lambda y: float((np.abs(y) ** 1.5 + 0.3 * np.sin(2 * y) ** 2).sum()),
    "rastrigin": lambda y: float((y**2 + 10 - 10 * np.cos(2 * math.pi * y)).sum()),
}
CLAIMED: dict[str, Callable[[Floats], float]] = {
    "bowl": lambda y: float((y**2).sum()),
    "discus": _discus,
    "cigar": lambda y: float(y[0] ** 2 + 1e4 * (y[1:] ** 2).sum()) / 10,
    "powers": lambda y: float((np.abs(y) ** np.linspace(2, 6, len(y))).sum()),
    "griewank": _griewank,
    "levy": _levy,
    "sums": lambda y: float((np.cumsum(y) ** 2).sum()),
    "valley": lambda y: float(y[0] ** 2 + 10 * math.sqrt((y[1:] ** 2).sum())),
}
FUNCTIONS = {"chosen": CHOSEN, "claimed": CLAIMED, "all": CHOSEN | CLAIMED}


def problem(function: str, dim: int) -> Callable[[Floats], float]:
    """The function, turned and moved."""
    random = np.random.default_rng(zlib.crc32(f"{function} {dim}".encode()))
    turn = np.linalg.qr(random.normal(size=(dim, dim)))[0]
    centre = random.uniform(-0.6 * HALF, 0.6 * HALF, dim)
    base = FUNCTIONS["all"][function]
    return lambda x: OPTIMUM + base(turn @ (np.asarray(x, float) - centre))


def seen(kind: str, value: float, x: Floats) -> float:
    """What a simulation of this kind says."""
    if kind == "exact":
        return value
    if kind == "float32":
        return float(np.float32(value))
    if kind.startswith("ripple"):
        waves = np.sin(1e5 * (x * np.sqrt(np.arange(2, len(x) + 2))).sum() * math.pi)
        return value * (1 + float(kind.split()[1]) * float(waves))
    return float(f"%.{kind}g" % value)


def resolution(kind: str) -> float:
    """What of the optimal value cannot be seen."""
    if kind == "exact":
        return SMALLEST
    if kind == "float32":
        return OPTIMUM * 2.0**-24
    if kind.startswith("ripple"):
        return OPTIMUM * float(kind.split()[1])
    return max(SMALLEST, 0.5 * OPTIMUM * 10.0 ** (1 - int(kind)))


class Enough(Exception):
    """All calls are used."""


class Watched:
    """What a solver calls; it keeps the exact value of the best point by what was seen."""

    def __init__(self, function: str, dim: int, kind: str, budgets: Sequence[int]) -> None:
        self.exact, self.kind, self.budgets = problem(function, dim), kind, budgets
        self.calls, self.best, self.excess = 0, math.inf, math.inf
        self.after: dict[str, float] = {}

    def __call__(self, x: Any) -> float:
        if self.calls >= max(self.budgets):
            raise Enough
        self.calls += 1
        x = np.asarray(x, dtype=float)
        value = self.exact(x)
        said = seen(self.kind, value, x)
        if said < self.best:
            self.best, self.excess = said, value - OPTIMUM
        if self.calls in self.budgets:
            self.after[str(self.calls)] = float(f"{self.excess:.3g}")
        return said


def run(
    budgets: Sequence[int], solver: str, function: str, dim: int, kind: str, seed: int
) -> dict[str, float]:
    """The excess after each budget, in one run of the largest."""
    watched = Watched(function, dim, kind, budgets)
    if solver == "pycma":
        _pycma(watched, dim, seed)
    else:
        recipe = None if solver == "default" else solver
        box = [(-HALF, HALF)] * dim
        pso.minimize(watched, box, recipe=recipe, max_evals=max(budgets), seed=seed)
    for budget in budgets:
        watched.after.setdefault(str(budget), float(f"{watched.excess:.3g}"))
    return watched.after


def _pycma(watched: Watched, dim: int, seed: int) -> None:
    """pycma from random points, again and again."""
    import cma

    random = np.random.default_rng(seed)
    options = {"bounds": [-HALF, HALF], "verbose": -9}
    try:
        while True:
            start = random.uniform(-HALF, HALF, dim)
            options["seed"] = int(random.integers(1, 2**31))
            cma.fmin2(watched, start, 0.2 * 2 * HALF, options)
    except Enough:
        return


def ratios(rows: list[dict[str, Any]], names: set[str]) -> str:
    """A line for each kind and budget: the default's excess by the better of the others'."""
    found: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if row["function"] not in names:
            continue
        floor = resolution(row["kind"])
        for budget, excess in row["after"].items():
            key = row["kind"], budget, row["function"], row["dim"], row["solver"]
            found.setdefault(key, []).append(max(excess, floor))
    lines = [f"{'values':>12} {'calls':>6} {'mean':>8} {'worst':>9} {'behind':>8}  the worst one"]
    for kind, budget in itertools.product(KINDS, map(str, BUDGETS)):
        cells = []
        for function, dim in itertools.product(sorted(names), DIMENSIONS):
            key = kind, budget, function, dim
            medians = [float(np.median(found.get((*key, s), [math.nan]))) for s in SOLVERS]
            if not any(map(math.isnan, medians)):
                cells.append((medians[0] / min(medians[1:]), f"{function} {dim}-D"))
        if cells:
            logs = [math.log(ratio) for ratio, _ in cells]
            worst, where = max(cells)
            behind = sum(ratio > 1.25 for ratio, _ in cells)
            lines.append(
                f"{kind:>12} {budget:>6} {math.exp(sum(logs) / len(logs)):8.3g} {worst:9.3g}"
                f" {behind:>4}/{len(cells):<3}  {where}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = arguments(__doc__, seeds=3)
    parser.add_argument("--functions", choices=FUNCTIONS, default="all")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--dimensions", nargs="+", type=int, default=DIMENSIONS)
    runnable = [solver for solver in SOLVERS if solver != "surrogate"]
    parser.add_argument("--solvers", nargs="+", choices=runnable, default=runnable)
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS)
    args = parser.parse_args()
    seeds = range(0 if args.table else args.seeds)
    wanted = itertools.product(
        seeds, FUNCTIONS[args.functions], args.dimensions, args.kinds, args.solvers
    )
    names = ("seed", "function", "dim", "kind", "solver")
    rows = outcomes(args.out, names, wanted, "after", partial(run, args.budgets))
    print(ratios(rows, set(FUNCTIONS[args.functions])))


if __name__ == "__main__":
    main()
