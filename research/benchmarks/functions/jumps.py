"""Smooth costs and whole lorries: the default beside `covariant`, with 150 calls for each coordinate.

    python research/benchmarks/functions/jumps.py --out research/evidence/jumps.jsonl
    python research/benchmarks/functions/jumps.py --out research/evidence/jumps.jsonl --table

Twelve costs are drawn by a number, of three kinds, with 3 to 8 coordinates in (1, 10): stocks, a turned
quadratic and ratios, each with steps where a sum of coordinates needs one lorry more. Nothing was
chosen on them. The outcome is the best value, seeds 0 to 4.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
from collections.abc import Callable
from typing import Any

import numpy as np
from resumed import compared

import pyswarmopt as pso

SOLVERS = ("default", "covariant")
NUMBERS = range(500, 512)
PER_DIM = 150  # calls


def cost(number: int) -> tuple[Callable[[Any], float], int]:
    """The cost of a number, and its coordinates."""
    draws = np.random.default_rng(number)
    dim = int(draws.integers(3, 9))
    middle = draws.uniform(2, 9, dim)
    axes = np.linalg.qr(draws.normal(size=(dim, dim)))[0] * 10 ** draws.uniform(0, 1, dim)
    load = draws.uniform(5, 15)
    price = draws.uniform(5, 30)

    def stocks(x: Any) -> float:
        smooth = (9 * middle / x).sum() + x @ x / 50
        return float(smooth + price * np.ceil(x.sum() / load) / x.mean())

    def quadratic(x: Any) -> float:
        return float((((x - middle) @ axes) ** 2).sum() + price * np.ceil(x.sum() / load))

    def ratios(x: Any) -> float:
        first, second = np.split(x, [dim // 2])
        lorries = np.ceil(first.sum() / load) + np.ceil(second.sum() / load) / 3
        return float((middle * (x / 5 + 5 / x)).sum() + price * lorries)

    return (stocks, quadratic, ratios)[(number - NUMBERS[0]) % 3], dim


def run(number: int, solver: str, seed: int) -> float:
    """The best value."""
    fun, dim = cost(number)
    recipe = None if solver == "default" else solver
    options: dict[str, Any] = {"max_evals": PER_DIM * dim, "seed": seed}
    return float(pso.minimize(fun, [(1, 10)] * dim, recipe=recipe, **options).fun)


if __name__ == "__main__":
    compared(__doc__, 5, {"number": NUMBERS, "solver": SOLVERS}, "best", run)
