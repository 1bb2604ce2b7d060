"""The default search on noisy functions: told so, not told, and the recipe `surrogate`, not told.

    python research/benchmarks/bbob/noisy.py --budgets 200,1000 --seeds 3

Six functions with their optimum at 1 in [-5, 5]^D and normal errors. The table has the true value
at the point found, as a share of that of the best of as many random points, mean over the
functions.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "bbob"))
from bbob_problems import HIGH, LOW, Floats

import pyswarmopt as pso


def sphere(x: Floats) -> float:
    return float(((x - 1) ** 2).sum())


def ellipsoid(x: Floats) -> float:
    return float((10.0 ** np.linspace(0, 4, len(x)) * (x - 1) ** 2).sum())


def rosenbrock(x: Floats) -> float:
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def rastrigin(x: Floats) -> float:
    return float(((x - 1) ** 2 - 10 * np.cos(2 * np.pi * (x - 1)) + 10).sum())


def distance(x: Floats) -> float:
    return float(np.abs(x - 1).sum())


# function, D, standard deviation of the noise
PROBLEMS: list[tuple[Callable[[Floats], float], int, float]] = [
    (sphere, 5, 1.0), (sphere, 20, 10.0), (rosenbrock, 5, 10.0), (rastrigin, 5, 1.0),
    (ellipsoid, 5, 10.0), (distance, 10, 1.0),
]  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "noisy=True": {"noisy": True},
    "surrogate": {"recipe": "surrogate"},
}


def found(
    fun: Callable[[Floats], float], dim: int, sigma: float, budget: int, seed: int
) -> list[float]:
    """The true values at the points found, random search's first."""
    random = np.random.default_rng(100 + seed)
    points = random.uniform(LOW, HIGH, (budget, dim))
    values = np.array([fun(x) for x in points])
    results = [float(values[(values + sigma * random.normal(size=budget)).argmin()])]
    for options in WAYS.values():
        noise = np.random.default_rng(seed)
        r = pso.minimize(
            lambda x, noise=noise: fun(x) + sigma * noise.normal(), [(LOW, HIGH)] * dim,
            max_evals=budget, seed=seed, vectorized=False, **options,
        )  # fmt: skip
        results.append(fun(r.x))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budgets", default="200,1000")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"| calls | {' | '.join(WAYS)} |\n|{'---|' * (len(WAYS) + 1)}")
    for budget in map(int, arguments.budgets.split(",")):
        means = np.array(
            [
                np.mean([found(*problem, budget, s) for s in range(arguments.seeds)], axis=0)
                for problem in PROBLEMS
            ]
        )
        shares = (means[:, 1:] / means[:, :1]).mean(axis=0)
        print(f"| {budget:,} | {' | '.join(f'{share:.2f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
