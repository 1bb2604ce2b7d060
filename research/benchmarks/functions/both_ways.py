#!/usr/bin/env python3
"""nevergrad in both directions: does an optimiser find the same through `pyswarmopt.interop` as when
it is called directly?

Five functions in 10-D, 1,020 evaluations, 20 points at a time. `constriction` is run as a
`pso.Swarm` of the unit box, whose points are stretched to the function's box here, and as nevergrad's
optimiser `SwarmOptimizer("constriction")`, one point at a time; nevergrad's `CMA` and `PSO` are run
by nevergrad's own ask and tell, and as `NevergradOptimizer`. Controls: the same optimiser called
directly with another seed, and points drawn by lot in the box. A line is a way, a function and a
seed, with how much the best value found is above the optimum.

    python research/benchmarks/functions/both_ways.py --outcomes research/evidence/both-ways.jsonl
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rows_file import write_rows

import pyswarmopt as pso
from pyswarmopt.interop.nevergrad import NevergradOptimizer, SwarmOptimizer, ng

Floats = npt.NDArray[np.float64]
Values = Callable[[Floats], Floats]  # (N, D) points of the function's box -> (N,)
Box = tuple[Floats, Floats]
DIMENSION, POINTS, CALLS = 10, 20, 1_020
FUNCTIONS = ("sphere", "rosenbrock", "rastrigin", "ackley", "griewank")
OURS, THEIRS = "constriction", ("CMA", "PSO")
OTHER_SEED = 1_000  # is added


def our_swarm(values: Values, box: Box, seed: int) -> float:
    """`constriction` as it is, with the seed that nevergrad would hand it."""
    low, high = box
    drawn = int(np.random.RandomState(seed).randint(2**31))
    unit = [(0.0, 1.0)] * DIMENSION
    swarm = pso.Swarm(bounds=unit, population=POINTS, recipe=OURS, seed=drawn)
    for _ in range(CALLS // POINTS):
        x = swarm.ask()
        swarm.tell(x, values(low + (high - low) * x.numpy()))
    return float(swarm.best.value)


def parameters(box: Box, seed: int) -> Any:
    """nevergrad's description of the box."""
    low, high = box
    space = ng.p.Array(init=(low + high) / 2, lower=low, upper=high)
    space.random_state = np.random.RandomState(seed)
    return space


def ours_in_nevergrad(values: Values, box: Box, seed: int) -> float:
    """`constriction` as one of nevergrad's optimisers."""
    make = SwarmOptimizer(OURS, population=POINTS)
    optimizer = make(parameters(box, seed), budget=CALLS)
    found = []
    for _ in range(CALLS):
        candidate = optimizer.ask()
        found.append(float(values(candidate.value[None])[0]))
        optimizer.tell(candidate, found[-1])
    return min(found)


def nevergrads(name: str, values: Values, box: Box, seed: int) -> float:
    """An optimiser of nevergrad's by its own ask and tell."""
    optimizer = ng.optimizers.registry[name](parameters(box, seed), CALLS, POINTS)
    found: list[float] = []
    while len(found) < CALLS:
        candidates = [optimizer.ask() for _ in range(POINTS)]
        costs = values(np.array([candidate.value for candidate in candidates]))
        for candidate, cost in zip(candidates, costs, strict=True):
            optimizer.tell(candidate, float(cost))
        found += costs.tolist()
    return min(found)


def nevergrads_in_ours(name: str, values: Values, box: Box, seed: int) -> float:
    """The same as an optimiser of ours."""
    sides = list(zip(*box, strict=True))
    optimizer = NevergradOptimizer(name, sides, population=POINTS, budget=CALLS, seed=seed)
    while not optimizer.stop():
        x = optimizer.ask()
        optimizer.tell(x, values(x.numpy()))
    return float(optimizer.best.value)


def by_lot(values: Values, box: Box, seed: int) -> float:
    """The best of as many points drawn in the box."""
    low, high = box
    return float(values(np.random.default_rng(seed).uniform(low, high, (CALLS, len(low)))).min())


Way = Callable[[Values, Box, int], float]
Named = tuple[str, str, Way, int]  # optimiser, way, what runs it, what is added to the seed


def ways() -> Iterator[Named]:
    """Each optimiser directly, through the other package, and directly with another seed."""
    pairs: Mapping[str, tuple[Way, Way]] = {
        OURS: (our_swarm, ours_in_nevergrad),
        **{
            name: (
                lambda *args, name=name: nevergrads(name, *args),
                lambda *args, name=name: nevergrads_in_ours(name, *args),
            )
            for name in THEIRS
        },
    }
    for name, (directly, through) in pairs.items():
        yield name, "directly", directly, 0
        yield name, "through", through, 0
        yield name, "another seed", directly, OTHER_SEED
    yield "by lot", "directly", by_lot, 0


def rows(seeds: list[int]) -> Iterator[dict[str, Any]]:
    """A line for each search."""
    for (name, way, run, more), function, seed in itertools.product(ways(), FUNCTIONS, seeds):
        problem = getattr(pso.functions, function)
        low, high = np.array(problem.bounds(DIMENSION), dtype=np.float64).T

        def values(x: Floats, problem: Any = problem) -> Floats:
            return np.asarray(problem(x), dtype=np.float64)

        above = run(values, (low, high), seed + more) - problem.optimal_value(DIMENSION)
        yield {
            "optimiser": name,
            "way": way,
            "function": function,
            "seed": seed,
            "found": float(f"{above:.9g}"),
        }


def main() -> None:
    warnings.simplefilter("ignore")  # nevergrad's and pycma's own
    write_rows(__doc__, rows, seeds=15)


if __name__ == "__main__":
    main()
