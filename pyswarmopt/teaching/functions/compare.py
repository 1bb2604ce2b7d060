"""Recipes against each other: the same functions, the same budget, the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt._minimize import minimize
from pyswarmopt.algorithms import registry as recipes
from pyswarmopt.driver.result import INTERRUPTED, Result
from pyswarmopt.inspect.plot.curves import median_interval
from pyswarmopt.teaching.functions.problems import Problem


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a recipe did on a problem."""

    problem: Problem
    recipe: str
    results: tuple[Result, ...]  # one per seed

    def finals(self) -> list[float]:
        """Best values in the end above the optimum, one per seed."""
        return [result.fun - self.problem.optimum for result in self.results]

    def median(self) -> float:
        """Median of the finals."""
        return float(np.median(self.finals()))

    def interval(self) -> tuple[float, float]:
        """Its 95% interval; see `inspect.plot.curves.median_interval` for few seeds."""
        low, high = median_interval(np.array(self.finals())[:, None])
        return float(low[0]), float(high[0])

    def to_json(self) -> dict[str, Any]:
        """The entry of `pyswarmopt compare --json`."""
        return {
            "function": self.problem.name,
            "recipe": self.recipe,
            "optimum": self.problem.optimum,
            "finals": self.finals(),
            "median": self.median(),
            "interval": list(self.interval()),
        }


def compare(
    problems: Sequence[Problem],
    names: Sequence[str],
    seeds: int,
    max_evals: int,
    population: int | None = None,
    on_run: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Run every recipe ("default" is that of `minimize`) on every problem with every seed, 0 to
    seeds - 1.

    Returns one outcome per problem and recipe, problem by problem; `on_run` is called after each
    run.

    Example:
        >>> from pyswarmopt.teaching.functions.problems import problem
        >>> (ring,) = compare([problem("sphere", 2)], ["constriction"], seeds=3, max_evals=800)
        >>> len(ring.finals()), ring.median() < 1e-2
        (3, True)
    """
    made = {name: None if name == "default" else recipes.get(name) for name in names}
    outcomes = []
    for problem in problems:
        for name, recipe in made.items():
            results = []
            for seed in range(seeds):
                result = minimize(
                    problem.function, problem.bounds, recipe, population, max_evals, seed=seed
                )
                if INTERRUPTED in result.stop:
                    raise KeyboardInterrupt  # the comparison ends, not this search alone
                results.append(result)
                on_run()
            outcomes.append(Outcome(problem, name, tuple(results)))
    return outcomes
