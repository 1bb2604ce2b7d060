#!/usr/bin/env python3
"""Model Swarms on test functions, beside other recipes, its own parts left out, and points by lot.

Five functions in 10-D, 20 particles, 1,020 evaluations: what its own limits allow, 50 moves. The
searches of the recipes are those of `pyswarmopt compare`. A line is a recipe, a function and a
seed, with how much the best value found is above the optimum.

    python research/benchmarks/functions/on_functions.py --outcomes research/evidence/on-functions.jsonl
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from rows_file import write_rows

import pyswarmopt as pso
from pyswarmopt.teaching.functions.problems import ToyProblem, problem

DIMENSION, PARTICLES, CALLS = 10, 20, 1_020
FUNCTIONS = ("sphere", "rosenbrock", "rastrigin", "ackley", "griewank")
OTHERS = ("constriction", "spso2011", "inertia_weight", "clpso", "covariant", "surrogate")
PUBLISHED, LOT = "model_swarms", "by lot"


def without_c() -> Any:
    """Its terms are added, not averaged."""
    published = pso.recipes.model_swarms()
    return replace(published, velocity=replace(published.velocity, normalise=False))


WITHOUT = {
    "model_swarms, lambda does not fall": pso.recipes.model_swarms(step_decay=1.0),
    "model_swarms without C": without_c(),
}
NAMES = (PUBLISHED, *WITHOUT, *OTHERS, LOT)


def by_lot(of: ToyProblem, seed: int) -> float:
    """The best of as many points drawn in the box."""
    low, high = np.array(of.bounds).T
    points = np.random.default_rng(seed).uniform(low, high, (CALLS, DIMENSION))
    return float(np.min(of.function(points)))


def found(name: str, of: ToyProblem, seed: int) -> float:
    """The best value of a search."""
    if name == LOT:
        return by_lot(of, seed)
    recipe = WITHOUT[name] if name in WITHOUT else pso.recipes.get(name)
    return pso.minimize(of.function, of.bounds, recipe, PARTICLES, CALLS, seed=seed).fun


def rows(seeds: list[int]) -> Iterator[dict[str, Any]]:
    """A line for each search."""
    for name, function, seed in itertools.product(NAMES, FUNCTIONS, seeds):
        of = problem(function, DIMENSION)
        above = found(name, of, seed) - of.optimum
        yield {
            "recipe": name,
            "function": function,
            "seed": seed,
            "found": float(f"{above:.6g}"),
        }


def main() -> None:
    write_rows(__doc__, rows, seeds=15)


if __name__ == "__main__":
    main()
