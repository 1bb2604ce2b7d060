"""Chooses the algorithm (the requested recipe, or one that suits the problem) and the search that
runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.default.continuous import (
    MODELLED_DIM,
    MODELLED_NOISY,
    MODELLED_NUMBERS,
    DefaultSearch,
)
from pyswarmopt.default.phases import MATRIX_DIM, PhasedSearch, S
from pyswarmopt.driver.options import Options, Problem
from pyswarmopt.parts.stopping import MaxIter, Target

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.swarm import Swarm

# particles: ten converge before they find problem G06's thin feasible region
TO_A_FEASIBLE_POINT = 20
APART = 1e-3  # least distance of known points in a named recipe's swarm, as a share of the sides
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


def default_search(options: Options, problem: Problem, maximize: bool) -> PhasedSearch:
    """The default search that suits the problem, without noise."""
    return phased_search(search_for(problem), options, problem, maximize)


def phased_search(kind: Callable[..., S], options: Options, problem: Problem, maximize: bool) -> S:
    """A search of this kind for the problem's coordinates, from the starting and known points."""
    best = problem.best_known(max(MOST_KNOWN - len(problem.start), 1), maximize)
    positions = _positions(problem, best)
    return kind(
        problem.coding.bounds(),
        positions=positions,
        maximize=maximize,
        seed=options.seed,
        max_evals=options.max_evals,
        max_iter=options.max_iter,
        target=_checked_by_search(options),
        population=options.population,
        kinds=problem.coding.kinds,
        evaluated_before=len(best),
    )


def _checked_by_search(options: Options) -> float | None:
    """The target. A single lucky draw must not count, so a noisy search checks means itself."""
    if options.noisy:
        return None
    return options.target


def search_for(problem: Problem) -> type[PhasedSearch]:
    """The default search for a problem without noise; imported on use, for a faster start of searches without
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
    if smooth:
        return DefaultSearch
    from pyswarmopt.default import mixed
    from pyswarmopt.default.grid import is_grid

    if binary:
        return mixed.BinarySearch
    if problem.coding.kinds.orders_only:
        return mixed.OrderSearch
    if is_grid(problem.coding.kinds):
        return mixed.GridSearch
    return mixed.MixedSearch


def recipe_swarm(
    options: Options, problem: Problem, recipe: Recipe, maximize: bool, together: bool
) -> Swarm:
    """A recipe's swarm, with the user's limits; each starting point is a particle, and so are the
    best known points that differ.

    Args:
        options: of the search.
        problem: what is searched.
        recipe: what the particles do.
        maximize: whether larger values are better.
        together: whether particles wait for one another.
    """
    from pyswarmopt.swarm import Swarm

    rules = list(recipe.stop)
    if options.max_iter is not None:  # it replaces the recipe's
        rules = [rule for rule in rules if not isinstance(rule, MaxIter)]
        rules.append(MaxIter(options.max_iter))
    target = _checked_by_search(options)
    if target is not None:
        rules.append(Target(target))
    population = options.population or recipe.population
    positions = _positions(problem, _apart(problem, population, maximize))
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
        asynchronous=not together,
    )


def _positions(problem: Problem, known: Floats) -> Floats | None:
    """The given starting points and known ones, (k, D), for the search; None without any."""
    points = np.concatenate([problem.start, problem.coding.encode(known)])
    if not len(points):
        return None
    return points


def _apart(problem: Problem, population: int, maximize: bool) -> Floats:
    """The best known points, (k, D), at least `APART` of a side from each other; half of them if
    they lie in a plane, which a swarm of them alone would not leave.
    """
    sides = problem.coding.high - problem.coding.low
    free = int(np.count_nonzero(sides))
    sides = np.where(sides > 0, sides, 1.0)
    kept = np.empty((0, problem.dim))
    most = max(population - len(problem.start), 1)
    for x in problem.best_known(MOST_KNOWN, maximize):
        distances = np.abs((kept - x) / sides).max(axis=1, initial=0.0)
        if len(kept) < most and (distances >= APART).all():
            kept = np.vstack([kept, x])
    if len(kept) < 2:
        return kept
    spread = (kept - kept.mean(axis=0)) / sides
    if np.linalg.matrix_rank(spread, APART) < min(free, len(kept) - 1):
        return kept[: len(kept) // 2]
    return kept


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
