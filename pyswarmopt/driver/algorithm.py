"""Which algorithm runs, the recipe that was asked for or what suits the problem, and the search
that runs it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, needing_torch
from pyswarmopt.driver.options import Options
from pyswarmopt.driver.problem.constraints import Constraints
from pyswarmopt.driver.problem.encoding import Coding
from pyswarmopt.driver.problem.space import Real, Space
from pyswarmopt.driver.workers.pool import Workers
from pyswarmopt.hybrid.constrained import ConstrainedSearch
from pyswarmopt.hybrid.memetic import MATRIX_DIM, MemeticSearch, Model
from pyswarmopt.hybrid.mixed import MixedSearch
from pyswarmopt.hybrid.search import PhasedSearch
from pyswarmopt.parts.stopping import MaxIter, StopRule, Target

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.swarm import Swarm

UNKNOWN_WORKERS = 40  # particles for as many workers as there may be
# particles: ten converge before they find the thin feasible part of problem G06
TO_A_FEASIBLE_POINT = 20
IDLE_SHARE = 10  # workers that wait during one of this many evaluations, or more, are warned of


@dataclass(frozen=True, eq=False)
class Problem:
    """What is searched.

    Attributes:
        coding: between the user's coordinates, D, and those of the search, M.
        constraints: all of them.
        space: parameters by name, if there are any.
    """

    coding: Coding
    constraints: Constraints
    space: Space | None

    @property
    def dim(self) -> int:
        """D."""
        return len(self.coding.low)

    @property
    def discrete(self) -> bool:
        """Whether some parameters are integers or categories."""
        whole = self.coding.integers | self.coding.categories
        return bool(whole.any()) or (self.space is not None and self.space.discrete)

    @property
    def smooth(self) -> Bools:
        """Mask of the search's coordinates, (M,), that are real numbers for the objective, too."""
        real = ~(self.coding.integers | self.coding.categories)
        if self.space is not None:
            real &= [type(self.space.parameter(name)) is Real for name in self.space.names]
        smooth = np.zeros(self.coding.size, dtype=np.bool_)
        smooth[self.coding.first[real]] = True
        return smooth


def algorithm(options: Options, problem: Problem) -> Recipe | None:
    """The recipe given, or what runs by default; None for the composed search of
    `pyswarmopt.hybrid`.

    That needs a deterministic function; with constraints (`pyswarmopt.hybrid.constrained`) also one
    that may be called where they are broken, some real coordinates, and rounds that all return.
    Where it cannot be used, it is the best swarm that can: `surrogate`, or `covariant` where costs
    are no quadratic; both make matrices of M x M numbers, so beyond `MATRIX_DIM` it is the ring of
    `constriction`. docs/evidence.md says how the defaults were chosen.

    Raises:
        ValueError: an unknown recipe.
    """
    if options.recipe is not None:
        return recipe_given(options)
    constraints = problem.constraints
    in_rounds = not (constraints.strict or options.asynchronous)
    by_amounts = problem.dim <= MATRIX_DIM and in_rounds and problem.smooth.any()
    if not options.noisy and (by_amounts or not constraints):
        return None
    recipes = _recipes()
    if problem.coding.size > MATRIX_DIM:
        return _constriction(options.population, options.max_evals)
    if not (constraints or problem.discrete):
        return recipes.surrogate()
    particles = recipes.covariant().population
    if constraints:
        particles = _affordable(TO_A_FEASIBLE_POINT, options.max_evals)
    return recipes.covariant(population=max(particles, _calls_at_once(options)))


def recipe_given(options: Options) -> Recipe | None:
    """The recipe of the options, by name or not."""
    if isinstance(options.recipe, str):
        return _recipes(f"recipe={options.recipe!r}").get(options.recipe)
    if options.recipe is not None and not hasattr(options.recipe, "population"):
        raise ValueError(f"recipe={options.recipe!r}: use a name, a Recipe or None")
    return options.recipe


def _calls_at_once(options: Options) -> int:
    """Particles without which workers would wait: in an asynchronous search no more calls are under
    way.
    """
    if not options.asynchronous:
        return 1
    workers = Workers(options.workers)
    return UNKNOWN_WORKERS if workers.kind in ("ray", "map") else workers.count


def _recipes(
    what: str = "a search with noise or constraints that allow no descents",
) -> Any:
    """The named recipes: swarms of tensors, so that torch is imported here and not before `what`
    needs one.
    """
    with needing_torch(what):
        from pyswarmopt.algorithms import registry
    return registry


def name_of(recipe: Recipe | None) -> str:
    """The name of an algorithm as `Result.algorithm` has it."""
    return "memetic" if recipe is None else recipe.name


def useful_starts(options: Options) -> int:
    """How many of many starting points a search uses: up to half of its population."""
    population = options.population
    if population is None:
        recipe = recipe_given(options)
        if recipe is None and (options.noisy or options.asynchronous):
            recipe = _constriction(None, options.max_evals)
        population = 40 if recipe is None else recipe.population
    return max(population // 2, 1)


def _constriction(population: int | None, max_evals: int | None) -> Recipe:
    return _recipes().constriction(
        population=_affordable(40, max_evals) if population is None else population
    )


def _affordable(population: int, max_evals: int | None) -> int:
    """A population that is small for a small budget: at least 20 iterations, but 5 particles."""
    return population if max_evals is None else min(population, max(5, max_evals // 20))


# ---- the search ----


def make_optimizer(
    options: Options, problem: Problem, recipe: Recipe | None, start: Floats | None, maximize: bool
) -> Swarm | PhasedSearch:
    """The optimiser that moves the search's coordinates, from the starting points, (n, D)."""
    # A single lucky draw must not count as the target, so a noisy search looks at means itself.
    target = None if options.noisy else options.target
    coding, population = problem.coding, options.population
    bounds, encoded = coding.bounds(), None if start is None else coding.encode(start)
    if recipe is None:
        common: dict[str, Any] = {
            "positions": encoded, "maximize": maximize, "seed": options.seed,
            "max_evals": options.max_evals, "max_iter": options.max_iter, "target": target,
            "population": population,
        }  # fmt: skip
        if problem.constraints:
            kinds = None if problem.smooth.all() else coding.kinds
            return ConstrainedSearch(bounds, smooth=problem.smooth, kinds=kinds, **common)
        if problem.discrete:
            return MixedSearch(bounds, kinds=coding.kinds, **common)
        return MemeticSearch(bounds, **common)
    from pyswarmopt.swarm import Swarm

    if start is not None:  # each of them is a particle
        population = max(recipe.population if population is None else population, len(start))
    return Swarm(
        bounds=bounds,
        population=population,
        positions=encoded,
        recipe=replace(recipe, stop=_stop_rules(recipe, options.max_iter, target)),
        maximize=maximize,
        seed=options.seed,
    )


def _stop_rules(recipe: Recipe, max_iter: int | None, target: float | None) -> tuple[StopRule, ...]:
    """The recipe's rules and the user's, whose limit of iterations takes the place of the
    recipe's.
    """
    rules = [rule for rule in recipe.stop if max_iter is None or not isinstance(rule, MaxIter)]
    if max_iter is not None:
        rules.append(MaxIter(max_iter))
    if target is not None:
        rules.append(Target(target))
    return tuple(rules)


def warn_of_idle_workers(search: PhasedSearch, options: Options, workers: int) -> None:
    """Say that workers wait where points are proposed one at a time for a large share of the
    evaluations.
    """
    model = search.phases.get(Model.name)
    one_by_one = model.points(search) if isinstance(model, Model) and model.due(search) else 0
    waiting = workers > 1 and not options.asynchronous
    if options.population is not None or not waiting or not one_by_one:
        return
    if options.max_evals is None or IDLE_SHARE * one_by_one >= options.max_evals:
        warnings.warn(
            f"{workers} workers, but the first {one_by_one} points are proposed one at a time, so "
            f"{workers - 1} "
            f"wait; population={workers} proposes {workers} at a time, asynchronous=True one for "
            "each free worker, which are other searches",
            stacklevel=6,  # the line that calls minimize
        )
