"""Chooses the algorithm (the requested recipe, or one that suits the problem) and the search that
runs it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.default.continuous import (
    MODELLED_DIM,
    MODELLED_NOISY,
    MODELLED_NUMBERS,
    DefaultSearch,
)
from pyswarmopt.default.phases import MATRIX_DIM, PhasedSearch
from pyswarmopt.driver.options import Options, Problem
from pyswarmopt.parts.stopping import MaxIter, Target

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.swarm import Swarm

# particles: ten converge before they find problem G06's thin feasible region
TO_A_FEASIBLE_POINT = 20
NEAR = 1e-3  # share of a side within which a known point is the same particle as another
MOST_KNOWN = 200  # most known points that the default search starts from, the best ones


def algorithm(options: Options, problem: Problem) -> Recipe | None:
    """The given recipe, or the default; None for the default search of `pyswarmopt.default`.

    The default search needs a deterministic function, or few noisy evaluations; with constraints
    (`pyswarmopt.default.constrained`) at most `MATRIX_DIM` coordinates or integers with two values,
    and a function that may be called where they are violated. Otherwise the
    default is a swarm: `covariant`, which makes M x M matrices, so beyond `MATRIX_DIM` the ring of
    `constriction`. research/notes/optimiser.md says how the defaults under noise were chosen.

    Raises:
        ValueError: an unknown recipe.
    """
    recipe = options.recipe
    if recipe == "surrogate":
        said = "recipe='surrogate' was removed; the default search runs instead (recipe=None)"
        warnings.warn(said, FutureWarning, stacklevel=6)  # the line that calls minimize
        recipe = None
    if recipe is None and _suits_default(options, problem):
        return None
    # imported on use, for a faster start of searches without one
    from pyswarmopt.algorithms import registry as recipes

    if recipe is not None:
        return recipes.as_recipe(recipe)
    if problem.coding.size > MATRIX_DIM:
        return recipes.constriction(population=_affordable(40, options.max_evals))
    particles = recipes.covariant().population
    if problem.constraints:
        particles = _affordable(TO_A_FEASIBLE_POINT, options.max_evals)
    return recipes.covariant(population=particles)


def _suits_default(options: Options, problem: Problem) -> bool:
    """Whether the default search suits the problem; under noise, if a process can model all
    points.
    """
    coding = problem.coding
    constraints = problem.constraints
    if options.noisy:
        few = options.max_evals is not None and options.max_evals <= MODELLED_NOISY
        small = coding.kinds.count <= MODELLED_DIM and coding.size <= MODELLED_NUMBERS
        return few and small and not constraints
    small = problem.dim <= MATRIX_DIM or coding.kinds.binary
    return not constraints or (small and not constraints.strict)


def _affordable(population: int, max_evals: int | None) -> int:
    """A smaller population for a small budget: at least 20 iterations, but 5 particles."""
    if max_evals is None:
        return population
    return min(population, max(5, max_evals // 20))


# ---- the search ----


def make_optimizer(
    options: Options,
    problem: Problem,
    recipe: Recipe | None,
    maximize: bool,
    search_for: Callable[[Options, Problem], Callable[..., PhasedSearch]],
) -> Any:
    """The optimiser for the search's coordinates: a `Swarm` or a `PhasedSearch`, which `search_for`
    chooses.
    """
    # A single lucky draw must not count as the target, so a noisy search checks means itself.
    target = options.target
    if options.noisy:
        target = None
    if recipe is not None:
        return _swarm(options, problem, recipe, maximize, target)
    positions, known = _starting_points(problem, MOST_KNOWN, maximize)
    return search_for(options, problem)(
        problem.coding.bounds(),
        positions=positions,
        maximize=maximize,
        seed=options.seed,
        max_evals=options.max_evals,
        max_iter=options.max_iter,
        target=target,
        population=options.population,
        kinds=problem.coding.kinds,
        known=known,
    )


def search_for(options: Options, problem: Problem) -> type[PhasedSearch]:
    """The default search for a problem; imported on use, for a faster start of searches without
    it.
    """
    smooth = problem.coding.smooth.all()
    binary = problem.coding.kinds.binary
    if problem.constraints:
        from pyswarmopt.default import constrained

        if binary:
            return constrained.ConstrainedBinarySearch
        if smooth:
            return constrained.ConstrainedSearch
        return constrained.ConstrainedMixedSearch
    if smooth and not options.noisy:
        return DefaultSearch
    from pyswarmopt.default import mixed

    if options.noisy:
        return mixed.NoisySearch
    if binary:
        return mixed.BinarySearch
    if problem.coding.kinds.orders_only:
        return mixed.OrderSearch
    return mixed.MixedSearch


def _swarm(
    options: Options, problem: Problem, recipe: Recipe, maximize: bool, target: float | None
) -> Swarm:
    """A recipe's swarm, with the user's limits; each starting point is a particle."""
    from pyswarmopt.swarm import Swarm

    rules = list(recipe.stop)
    if options.max_iter is not None:  # it replaces the recipe's
        rules = [rule for rule in rules if not isinstance(rule, MaxIter)]
        rules.append(MaxIter(options.max_iter))
    if target is not None:
        rules.append(Target(target))
    population = options.population or recipe.population
    positions = _first_particles(problem, population, maximize)
    if positions is not None:
        population = max(population, len(positions))
    recipe = replace(recipe, stop=tuple(rules))
    moves = _planned_moves(options, population)
    if moves is not None:
        recipe = recipe.planned(moves)
    return Swarm(
        bounds=problem.coding.bounds(),
        recipe=recipe,
        population=population,
        positions=positions,
        maximize=maximize,
        seed=options.seed,
    )


def _first_particles(problem: Problem, population: int, maximize: bool) -> Floats | None:
    """The given starting points and the best known ones that are apart from each other: at most half
    the population, so that it also begins where nothing is known.
    """
    points, known = _starting_points(problem, len(problem.known[0]) + population, maximize)
    if points is None or not known:
        return points
    given = len(points) - known
    most = max(min(population // 2, population - given), 1)
    low, high = problem.coding.bounds()
    kept: list[Floats] = []
    for point in points[given:]:
        if len(kept) < most and all(_are_apart(point, other, high - low) for other in kept):
            kept.append(point)
    return np.concatenate([points[:given], kept])


def _are_apart(a: Floats, b: Floats, sides: Floats) -> bool:
    """Whether two points differ by more than a small share of a side of the box."""
    return bool((np.abs(a - b) > NEAR * sides).any())


def _starting_points(problem: Problem, most: int, maximize: bool) -> tuple[Floats | None, int]:
    """The given starting points and the best known ones, at most `most` in total, but at
    least one of these; the number of known ones.
    """
    best = problem.best_known(max(most - len(problem.start), 1), maximize)
    points = np.concatenate([problem.start, problem.coding.encode(best)])
    if not len(points):
        return None, 0
    return points, len(best)


def _planned_moves(options: Options, population: int) -> int | None:
    """The number of moves, at least one, within the budget; None without a budget.

    Example:
        >>> _planned_moves(Options(abs, max_evals=1000), 40)
        24
    """
    moves = []
    if options.max_iter is not None:
        moves.append(options.max_iter)
    if options.max_evals is not None:
        moves.append(math.ceil(options.max_evals / population) - 1)
    if not moves:
        return None
    return max(min(moves), 1)
