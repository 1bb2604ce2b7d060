"""The arguments of a search, and which algorithm runs by default."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy.typing as npt

from pyswarmopt.algorithms import registry as recipes
from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.driver.evaluation import Objective, OnError
from pyswarmopt.driver.history import Granularity
from pyswarmopt.driver.result import Result
from pyswarmopt.driver.workers import MapLike

Callback = Callable[[Result], bool | None]
Start = npt.ArrayLike | Result | str | os.PathLike[str]



@dataclass(frozen=True, eq=False)
class Options:
    """The arguments of `pyswarmopt.minimize`, where they are described, and whether to maximise.

    Raises:
        ValueError: a limit below its minimum, or an unknown recipe.
    """

    fun: Objective
    bounds: Any
    recipe: str | Recipe | None = None
    population: int | None = None
    max_evals: int | None = None
    max_iter: int | None = None
    target: float | None = None
    seed: int | None = None
    workers: int | str | MapLike = 1
    vectorized: bool | Literal["auto"] = "auto"
    callback: Callback | None = None
    x0: Start | None = None
    progress: bool = False
    on_error: OnError = "raise"
    checkpoint: str | os.PathLike[str] | None = None
    integrality: npt.ArrayLike | None = None
    constraints: Any = None
    categorical: npt.ArrayLike | None = None
    noisy: bool = False
    history: Granularity = "iteration"
    asynchronous: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        if self.max_evals is not None and self.max_evals < 1:
            raise ValueError(f"max_evals={self.max_evals}: it must be at least 1")
        if self.max_iter is not None and self.max_iter < 0:
            raise ValueError(f"max_iter={self.max_iter}: it must not be negative")
        _ = self.given  # an unknown name is an error now

    @property
    def given(self) -> Recipe | None:
        """The recipe that was given, by name or not."""
        return recipes.get(self.recipe) if isinstance(self.recipe, str) else self.recipe


class Problem(NamedTuple):
    """What the default algorithm depends on beside the options.

    Attributes:
        dim: D, the user's coordinates.
        constrained: whether there are constraints.
        discrete: whether some coordinates are integers or categories.
    """

    dim: int
    constrained: bool
    discrete: bool


def algorithm(options: Options, problem: Problem) -> Recipe | None:
    """The recipe given, or what runs by default; None for `pyswarmopt.hybrid.memetic.MemeticSwarm`.

    Descents need a deterministic function of real coordinates, rounds that all return, and no constraints, of which a
    small swarm may find no feasible point. docs/evidence.md says how the defaults were chosen.
    """
    if options.given is not None:
        return options.given
    no_descents = options.population is not None or options.noisy or options.asynchronous or problem.constrained
    if no_descents:
        return _constriction(options.population, options.max_evals)
    return recipes.covariant() if problem.discrete else None


def useful_starts(options: Options) -> int:
    """How many of many starting points a search uses: up to half of its population."""
    recipe, population = options.given, options.population
    if population is None:
        if recipe is None and (options.noisy or options.asynchronous):
            recipe = _constriction(None, options.max_evals)
        population = 40 if recipe is None else recipe.population
    return max(population // 2, 1)


def _constriction(population: int | None, max_evals: int | None) -> Recipe:
    """The default where descents cannot be used: small for a small budget."""
    affordable = 40 if max_evals is None else min(40, max(5, max_evals // 20))
    return recipes.constriction(population=affordable if population is None else population)


__all__ = ["Callback", "Options", "Problem", "Start", "algorithm", "useful_starts"]
