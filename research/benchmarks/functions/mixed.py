"""Functions of six coordinates, some of them integers or categories: the default beside a recipe.

    python research/benchmarks/functions/mixed.py --recipe covariant

The table of research/notes/optimiser.md: median and worst of the seeds, after each budget in a search of its
own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import pyswarmopt as pso

DIM = 6
HALF = [True] * 3 + [False] * 3
Function = Callable[[Any], float]


def ellipsoid(seed: int) -> Function:
    """Rotated, condition 10^4; its optimum is at whole numbers in the first three coordinates."""
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((DIM, DIM)))[0]
    optimum, scales = _optimum(seed + 99), 1e4 ** (np.arange(DIM) / (DIM - 1))
    return lambda x: float((scales * (rotation @ (np.asarray(x) - optimum)) ** 2).sum())


def wide_ellipsoid(seed: int) -> Function:
    """The same on a box twenty times as wide."""
    fun = ellipsoid(seed)
    return lambda x: fun(np.asarray(x) / 20)


def rastrigin(seed: int) -> Function:
    optimum = _optimum(seed + 9)
    return lambda x: float(((x - optimum) ** 2 - 10 * np.cos(2 * np.pi * (x - optimum)) + 10).sum())


def labels(seed: int) -> Function:
    """Each of three categories has its table of costs; the first one's also scales a bowl of the
    three reals.
    """
    random = np.random.default_rng(seed)
    table, optimum = 5 * random.random((3, 4)), random.uniform(-3, 3, 3)

    def cost(x: Any) -> float:
        alone = sum(table[i, int(x[i])] - table[i].min() for i in range(3))
        return float(alone + ((np.asarray(x[3:]) - optimum) ** 2).sum() * (1 + table[0, int(x[0])]))

    return cost


def _optimum(seed: int) -> Any:
    optimum = np.random.default_rng(seed).uniform(-3, 3, DIM)
    optimum[: DIM // 2] = np.round(optimum[: DIM // 2])
    return optimum


PROBLEMS: dict[str, tuple[Callable[[int], Function], dict[str, Any]]] = {
    "rotated ellipsoid, 3 integers": (ellipsoid, {"bounds": [(-5, 5)] * DIM, "integrality": HALF}),
    "Rastrigin, 3 integers": (rastrigin, {"bounds": [(-5, 5)] * DIM, "integrality": HALF}),
    "bowl with 3 categories of 4 labels": (
        labels,
        {"bounds": [(0, 3)] * 3 + [(-5, 5)] * 3, "categorical": HALF},
    ),
    "ellipsoid of 6 integers, -100 to 100": (
        wide_ellipsoid,
        {"bounds": [(-100, 100)] * DIM, "integrality": True},
    ),
    "ellipsoid of 6 integers, -5 to 5": (
        ellipsoid,
        {"bounds": [(-5, 5)] * DIM, "integrality": True},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="covariant", help="what the default is compared with")
    parser.add_argument("--budgets", type=int, nargs="+", default=[200, 1000, 6000])
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print(f"| | calls | `{args.recipe}` | default |\n|---|---|---|---|")
    for name, (make, options) in PROBLEMS.items():
        for budget in args.budgets:
            cells = []
            for recipe in (args.recipe, None):
                found = [
                    pso.minimize(
                        make(seed), **options, recipe=recipe, max_evals=budget, seed=seed
                    ).fun
                    for seed in range(args.seeds)
                ]
                cells.append(f"{np.median(found):.2g} ({max(found):.2g})")
            print(f"| {name} | {budget:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
