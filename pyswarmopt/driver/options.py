"""The arguments of a search, and which algorithm runs by default."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import needing_torch
from pyswarmopt.base.inputs import as_seed
from pyswarmopt.driver.evaluation import Objective, OnError
from pyswarmopt.driver.history import Granularity
from pyswarmopt.driver.problem.constraints import listed
from pyswarmopt.driver.problem.space import Space
from pyswarmopt.driver.result import Result
from pyswarmopt.driver.workers import MapLike, Workers
from pyswarmopt.hybrid.slots import MATRIX_DIM

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe

Callback = Callable[[Result], bool | None]
Start = npt.ArrayLike | Result | str | os.PathLike[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]]

UNKNOWN_WORKERS = 40  # particles for as many workers as there may be
TO_A_FEASIBLE_POINT = 20  # particles: ten converge before they find the thin feasible part of problem G06


@dataclass(frozen=True, eq=False)
class Options:
    """The arguments of `pyswarmopt.minimize`, where they are described, and whether to maximise.

    Raises:
        ValueError: a limit below its minimum, or an unknown recipe.
    """

    fun: Objective
    bounds: Any = None
    recipe: str | Recipe | None = None
    population: int | None = None
    max_evals: int | None = None
    max_iter: int | None = None
    target: float | None = None
    seed: int | np.random.Generator | None = None
    workers: int | str | MapLike | Executor = 1
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
    history: Granularity | None = None
    asynchronous: bool = False
    space: Mapping[str, Any] | None = None
    args: tuple[Any, ...] = ()
    timeout: float | None = None
    evaluation_timeout: float | None = None
    maximize: bool = False

    def __post_init__(self) -> None:
        if self.max_evals is not None and self.max_evals < 1:
            raise ValueError(f"max_evals={self.max_evals}: it must be at least 1")
        if self.max_iter is not None and self.max_iter < 0:
            raise ValueError(f"max_iter={self.max_iter}: it must not be negative")
        for name in ("timeout", "evaluation_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name}={seconds}: it must be a number of seconds above 0")
        object.__setattr__(self, "seed", as_seed(self.seed))  # the dataclass is frozen
        _ = self.given  # an unknown name is an error now

    @property
    def given(self) -> Recipe | None:
        """The recipe that was given, by name or not."""
        return _recipes(f"recipe={self.recipe!r}").get(self.recipe) if isinstance(self.recipe, str) else self.recipe


def in_coordinates(options: Options) -> tuple[Options, Space | None]:
    """The same search with an objective of a point alone: parameters by name become coordinates, ``args`` are bound.

    Raises:
        TypeError: see `Space`.
        ValueError: see `Space`; or options that say what the space says.
    """
    if options.space is None:
        if options.bounds is None:
            raise ValueError("give bounds, a pair (low, high) for each coordinate, or space={name: ...}")
        fun = functools.partial(_with_more, options.fun, tuple(options.args)) if len(options.args) else options.fun
        return replace(options, fun=fun, history="iteration" if options.history is None else options.history), None
    for name in ("bounds", "integrality", "categorical"):
        if getattr(options, name) is not None:
            raise ValueError(f"space= and {name}=: the space says it all; give one of them")
    if len(options.args):
        raise ValueError("space= and args=: fun gets its parameters by name; use functools.partial for others")
    space, many = Space(options.space), options.vectorized is True
    return replace(
        options,
        fun=functools.partial(_call_on_dicts, options.fun, space) if many else space.named(options.fun),
        bounds=space.bounds,
        integrality=space.integrality,
        categorical=space.categorical,
        constraints=[_named(constraint, space) for constraint in listed(options.constraints)],
        x0=_encoded(options.x0, space),
        vectorized=many,
        history="particles" if options.history is None else options.history,
    ), space


def _with_more(fun: Objective, args: tuple[Any, ...], x: Any) -> Any:
    return fun(x, *args)


def _call_on_dicts(fun: Objective, space: Space, points: Any) -> Any:
    return fun([space.decode(x) for x in points])


def _named(constraint: Any, space: Space) -> Any:
    if isinstance(constraint, dict) and "fun" in constraint:
        return {**constraint, "fun": space.named(constraint["fun"], "a constraint", some=True)}
    return space.named(constraint, "a constraint", some=True)


def _encoded(x0: Any, space: Space) -> Any:
    if isinstance(x0, Mapping) and not isinstance(x0, Result):
        return space.encode(x0)
    if isinstance(x0, list) and x0 and all(isinstance(params, Mapping) for params in x0):
        return np.array([space.encode(params) for params in x0])
    return x0


class Problem(NamedTuple):
    """What the default algorithm depends on beside the options.

    Attributes:
        dim: D, the user's coordinates.
        size: M, those of the swarm, which has one for each label of a category.
        constrained: whether there are constraints.
        discrete: whether some coordinates are integers or categories.
        strict: whether the objective must not be called where a constraint is broken.
        smooth: whether some coordinates are real numbers.
    """

    dim: int
    size: int
    constrained: bool
    discrete: bool
    strict: bool = False
    smooth: bool = True


def algorithm(options: Options, problem: Problem) -> Recipe | None:
    """The recipe given, or what runs by default; None for the composed search of `pyswarmopt.hybrid`.

    That needs a deterministic function and rounds that all return; with constraints (`pyswarmopt.hybrid.constrained`)
    also one that may be called where they are broken, and some real coordinates. Where it cannot be used, it is the
    best swarm that can: `surrogate`, or `covariant` where costs are no quadratic; both make matrices of M x M numbers,
    so beyond `MATRIX_DIM` it is the ring of `constriction`. docs/evidence.md says how the defaults were chosen.
    """
    if options.given is not None:
        return options.given
    solvable = not problem.constrained or (problem.smooth and not problem.strict and problem.dim <= MATRIX_DIM)
    if solvable and not (options.noisy or options.asynchronous):
        return None
    recipes = _recipes()
    if problem.size > MATRIX_DIM:
        return _constriction(options.population, options.max_evals)
    if not (problem.constrained or problem.discrete):
        return recipes.surrogate(population=max(recipes.surrogate().population, _calls_at_once(options)))
    particles = recipes.covariant().population
    if problem.constrained:
        particles = _affordable(TO_A_FEASIBLE_POINT, options.max_evals)
    return recipes.covariant(population=max(particles, _calls_at_once(options)))


def _calls_at_once(options: Options) -> int:
    """Particles without which workers would wait: in an asynchronous search no more calls are under way."""
    if not options.asynchronous:
        return 1
    workers = Workers(options.workers)
    return UNKNOWN_WORKERS if workers.kind in ("ray", "map") else workers.count


def _recipes(what: str = "a search with noise, asynchronous=True or constraints that allow no descents") -> Any:
    """The named recipes: swarms of tensors, so that torch is imported here and not before `what` needs one."""
    with needing_torch(what):
        from pyswarmopt.algorithms import registry
    return registry


def name_of(recipe: Recipe | None) -> str:
    """The name of an algorithm as `Result.algorithm` has it."""
    return "memetic" if recipe is None else recipe.name


def useful_starts(options: Options) -> int:
    """How many of many starting points a search uses: up to half of its population."""
    recipe, population = options.given, options.population
    if population is None:
        if recipe is None and (options.noisy or options.asynchronous):
            recipe = _constriction(None, options.max_evals)
        population = 40 if recipe is None else recipe.population
    return max(population // 2, 1)


def _constriction(population: int | None, max_evals: int | None) -> Recipe:
    return _recipes().constriction(population=_affordable(40, max_evals) if population is None else population)


def _affordable(population: int, max_evals: int | None) -> int:
    """A population that is small for a small budget: at least 20 iterations, but 5 particles."""
    return population if max_evals is None else min(population, max(5, max_evals // 20))
