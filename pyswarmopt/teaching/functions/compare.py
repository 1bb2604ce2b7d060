"""Test problems by name, as the command line takes them, and recipes against each other on them: the
same functions, the same budget, the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt._minimize import minimize
from pyswarmopt.algorithms import registry as recipes
from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.driver.result import INTERRUPTED, Result
from pyswarmopt.inspect.plot.curves import median_interval
from pyswarmopt.teaching.functions.functions import ALL, ToyFunction
from pyswarmopt.teaching.functions.wrappers import rotated, shifted


@dataclass(frozen=True)
class ToyProblem:
    """A function to be minimised, with its box."""

    name: str
    function: Callable[[Any], Any]  # (..., D) -> (...)
    bounds: list[tuple[float, float]]
    optimum: float  # the smallest value


def problem(name: str, dim: int, seed: int = 0) -> ToyProblem:
    """The test problem of that name: a function of `pyswarmopt.functions`.

    The prefix "shifted:" moves the optimum to a random place of the box, "rotated:" rotates the
    axes about it; both may be given. The seed is that of shift and rotation.

    Example:
        >>> p = problem("shifted:rotated:rastrigin", dim=3)
        >>> p.optimum, len(p.bounds)
        (0.0, 3)
    """
    *wrappers, core = name.replace("-", "_").split(":")
    function = _toy(core)
    if not function.defined_in(dim):
        raise ValueError(f"{core} needs {function.dimensions()} dimensions, not {dim}")
    for wrapper in reversed(wrappers):
        function = _wrapped(wrapper, function, dim, seed)
    return ToyProblem(name, function, function.bounds(dim), function.optimal_value(dim))


def _toy(name: str) -> ToyFunction:
    if name not in ALL:
        hint = did_you_mean(name, ALL, "see pyswarmopt list")
        raise ValueError(f"no function is called {name!r}; {hint}")
    return ALL[name]


def _wrapped(wrapper: str, function: ToyFunction, dim: int, seed: int) -> ToyFunction:
    if wrapper == "rotated":
        return rotated(function, seed)
    if wrapper == "shifted":
        low, high = function.domain
        middle, half = (low + high) / 2, (high - low) / 2
        target = np.random.default_rng([seed, dim]).uniform(
            middle - 0.8 * half, middle + 0.8 * half, dim
        )
        return shifted(function, target - function.optimum(dim))
    raise ValueError(
        f"no wrapper is called {wrapper!r}: use shifted: or rotated: before a function's name"
    )


@dataclass(frozen=True, eq=False)
class RecipeResults:
    """Result of a recipe on a problem."""

    problem: ToyProblem
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
    problems: Sequence[ToyProblem],
    names: Sequence[str],
    seeds: int,
    max_evals: int,
    population: int | None = None,
    on_run: Callable[[], None] = lambda: None,
) -> list[RecipeResults]:
    """Run every recipe ("default" is that of `minimize`) on every problem with every seed, 0 to
    seeds - 1.

    Returns one outcome per problem and recipe, problem by problem; `on_run` is called after each
    run.

    Example:
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
            outcomes.append(RecipeResults(problem, name, tuple(results)))
    return outcomes
