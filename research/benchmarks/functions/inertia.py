#!/usr/bin/env python3
"""Does inertia govern exploration? The diversity of a swarm of Model Swarms by phi_v.

20 particles on five functions in 10-D, 50 moves, no early stop, so that all rows have as many moves.
Diversity is the mean distance of the particles from their mean, as a share of what it was at the
start (`pso.plot.diversity` draws it). Controls: without randomness, without repelling, and a
shorter step, which keeps a swarm apart for longer.

    python research/benchmarks/functions/inertia.py --outcomes research/evidence/inertia.jsonl
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rows_file import write_rows

import pyswarmopt as pso
from pyswarmopt.inspect.recorder import record

DIMENSION, MOVES = 10, 50
KEPT = 20  # moves whose diversity is kept; later it is that of the restarts
FUNCTIONS = ("sphere", "rosenbrock", "rastrigin", "ackley", "griewank")
INERTIA = (0.0, 0.1, 0.2, 0.3, 0.6)
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "as published": {},
    "without randomness": {"randomness": "none"},
    "without repelling": {"repel": 0.0},
    "half the step": {"step": 0.4},
}


def _diversity(positions: np.ndarray) -> float:
    """Mean distance of the particles, (N, D), from their mean."""
    return float(np.linalg.norm(positions - positions.mean(0), axis=1).mean())


def run(function: str, inertia: float, variant: str, seed: int) -> dict[str, Any]:
    """Diversity after each move, as a share of that of the start, and how much the best found after
    all moves is above the optimum.
    """
    problem = getattr(pso.functions, function)
    recipe = pso.recipes.model_swarms(
        inertia=inertia, patience=MOVES + 1, max_iter=MOVES, **VARIANTS[variant]
    )
    steps = record(problem, recipe, MOVES, bounds=problem.bounds(DIMENSION), seed=seed)
    spread = np.array([_diversity(step.x) for step in steps])
    return {
        "variant": variant,
        "inertia": inertia,
        "function": function,
        "seed": seed,
        "diversity": [float(f"{share:.4g}") for share in spread[: KEPT + 1] / spread[0]],
        "found": float(f"{steps[-1].best - problem.optimal_value(DIMENSION):.6g}"),
    }


def rows(seeds: list[int]) -> Iterator[dict[str, Any]]:
    """A line for each swarm."""
    for variant, inertia, function, seed in itertools.product(VARIANTS, INERTIA, FUNCTIONS, seeds):
        yield run(function, inertia, variant, seed)


def main() -> None:
    write_rows(__doc__, rows, seeds=6)


if __name__ == "__main__":
    main()
