"""The default search in many coordinates, beside L-BFGS-B from random points and separable CMA-ES,
by n x D calls.

    python research/benchmarks/scaling/dimensions.py --dims 99,100,101 --seeds 3 --out runs/dimensions.jsonl
    python research/benchmarks/scaling/dimensions.py --table runs/dimensions.jsonl

Boxes are [-5, 5]^D, optima at random points of [-4, 4]^D with value 0; every solver has the same
functions and as many evaluations, and one that returns early is started again with another seed.
Needs: pip install cma scipy. `constriction` is what `recipe=None` was above 100 coordinates once.
Runs that are in the file are not made again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import functools
import json
import math
import statistics
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LOW, HIGH = -5.0, 5.0
GROUP = 20  # coordinates that hang together in the grouped functions


# Functions: z, (m, D), is the distance from the optimum; (m,)


def rosenbrock(z: Floats) -> Floats:
    return (100 * ((z[:, :-1] + 1) ** 2 - z[:, 1:] - 1) ** 2 + z[:, :-1] ** 2).sum(axis=1)


def ellipsoid(z: Floats) -> Floats:
    return z**2 @ np.geomspace(1, 1e6, z.shape[1])


def turned_ellipsoid(z: Floats) -> Floats:
    return sum(ellipsoid(part @ _rotation(part.shape[1])) for part in _groups(z))


def grouped_schwefel(z: Floats) -> Floats:
    return sum((np.cumsum(part, axis=1) ** 2).sum(axis=1) for part in _groups(z))


def ackley(z: Floats) -> Floats:
    z = 6 * z  # +-30 on the box
    bowl = np.exp(-0.2 * np.sqrt((z * z).mean(axis=1)))
    return 20 + math.e - 20 * bowl - np.exp(np.cos(2 * math.pi * z).mean(axis=1))


def rastrigin(z: Floats) -> Floats:
    return (10 + z * z - 10 * np.cos(2 * math.pi * z)).sum(axis=1)


def sphere(z: Floats) -> Floats:
    return (z * z).sum(axis=1)


def _groups(z: Floats) -> Iterator[Floats]:
    """Columns by random groups, the same ones for each D."""
    order = _order_of(z.shape[1])
    for start in range(0, len(order), GROUP):
        yield z[:, order[start : start + GROUP]]


@functools.cache
def _order_of(dim: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(dim).permutation(dim)


@functools.cache
def _rotation(dim: int) -> Floats:
    return np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, dim)))[0]


FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    f.__name__: f
    for f in (sphere, ellipsoid, turned_ellipsoid, grouped_schwefel, rosenbrock, ackley, rastrigin)
}


class Done(Exception):
    """The budget is used."""


class Counted:
    """A function moved to a random optimum, for (D,) or (m, D); raises `Done` after `budget`
    evaluations.
    """

    def __init__(self, name: str, dim: int, budget: int, seed: int) -> None:
        self.fun, self.budget = FUNCTIONS[name], budget
        self.best_x = np.random.default_rng([seed, dim, zlib.crc32(name.encode())]).uniform(
            -4, 4, dim
        )
        self.evaluations, self.best = 0, math.inf

    def __call__(self, x: Floats) -> Any:
        points = np.atleast_2d(x)
        if self.evaluations + len(points) > self.budget:
            raise Done
        self.evaluations += len(points)
        values = self.fun(points - self.best_x)
        self.best = min(self.best, float(values.min()))
        return values if x.ndim == 2 else float(values[0])


# Solvers: minimise fun on the box with at most so many evaluations


def ours(fun: Counted, dim: int, budget: int, seed: int, recipe: str | None = None) -> None:
    import pyswarmopt

    pyswarmopt.minimize(
        fun, [(LOW, HIGH)] * dim, recipe=recipe, max_evals=budget, seed=seed, vectorized=True
    )


def l_bfgs_b(fun: Counted, dim: int, budget: int, seed: int) -> None:
    from scipy.optimize import minimize

    start = np.random.default_rng(seed).uniform(LOW, HIGH, dim)
    limits = {"maxfun": budget, "maxiter": budget}
    minimize(fun, start, method="L-BFGS-B", bounds=[(LOW, HIGH)] * dim, options=limits)


def separable_cma(fun: Counted, dim: int, budget: int, seed: int) -> None:
    import cma

    random = np.random.default_rng(seed)
    options = {
        "bounds": [LOW, HIGH], "maxfevals": budget, "seed": seed + 1, "verbose": -9, "verb_log": 0,
        "CMA_diagonal": True,
    }  # fmt: skip
    cma.fmin2(
        fun, lambda: random.uniform(LOW, HIGH, dim), 2.0, restarts=30, bipop=True, options=options
    )


SOLVERS: dict[str, Callable[[Counted, int, int, int], None]] = {
    "pyswarmopt": ours,
    "l-bfgs-b": l_bfgs_b,
    "separable-cma": separable_cma,
    "constriction": lambda *a: ours(*a, recipe="constriction"),
}


def run(solver: str, name: str, dim: int, multiplier: float, seed: int) -> dict[str, Any]:
    budget, starts, began = int(multiplier * dim), 0, time.process_time()
    fun = Counted(name, dim, budget, seed)
    while fun.evaluations < budget:
        try:
            SOLVERS[solver](fun, dim, budget - fun.evaluations, seed + 7919 * starts)
        except Done:
            break
        starts += 1
    seconds = round(time.process_time() - began, 2)
    key = {"solver": solver, "f": name, "D": dim, "n": multiplier, "seed": seed}
    return {**key, "best": fun.best, "evaluations": fun.evaluations, "seconds": seconds}


def measure(a: argparse.Namespace) -> None:
    a.out.parent.mkdir(parents=True, exist_ok=True)
    known = {_key(r) for r in _records(a.out)} if a.out.exists() else set()
    with a.out.open("a") as file:
        for dim in map(int, a.dims.split(",")):
            for name in a.functions.split(","):
                for solver in a.solvers.split(","):
                    for seed in range(a.seeds):
                        if (solver, name, dim, a.budget, seed) in known:
                            continue
                        record = run(solver, name, dim, a.budget, seed)
                        file.write(json.dumps(record) + "\n")
                        file.flush()
                        print(*record.values(), flush=True)


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _key(r: dict[str, Any]) -> tuple[Any, ...]:
    return r["solver"], r["f"], r["D"], r["n"], r["seed"]


def table(path: Path) -> None:
    """Median bests, a line for each function and D."""
    records = _records(path)
    solvers = list(dict.fromkeys(r["solver"] for r in records))
    print(f"| function | n | D | {' | '.join(solvers)} |\n|---|---|---|{'---|' * len(solvers)}")
    for name, n, dim in dict.fromkeys(
        (r["f"], r["n"], r["D"]) for r in sorted(records, key=_order)
    ):
        cells = []
        for solver in solvers:
            bests = [
                r["best"]
                for r in records
                if (r["solver"], r["f"], r["n"], r["D"]) == (solver, name, n, dim)
            ]
            cells.append(f"{statistics.median(bests):.2g}" if bests else "")
        print(f"| {name.replace('_', ' ')} | {n:g} | {dim} | {' | '.join(cells)} |")


def _order(r: dict[str, Any]) -> tuple[Any, ...]:
    return list(FUNCTIONS).index(r["f"]), r["n"], r["D"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--solvers", default=",".join(SOLVERS))
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--dims", default="99,100,101,500,1000")
    parser.add_argument("--budget", type=float, default=100, help="evaluations per dimension")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/dimensions.jsonl"))
    parser.add_argument(
        "--table", type=Path, help="instead of runs: print the table of such a file"
    )
    a = parser.parse_args()
    warnings.simplefilter("ignore")
    if a.table:
        table(a.table)
    else:
        measure(a)


if __name__ == "__main__":
    main()
