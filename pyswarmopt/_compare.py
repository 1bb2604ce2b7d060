"""Compares recipes on one function: the same budget, the same seeds, a paired test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyswarmopt._minimize import minimize
from pyswarmopt.algorithms.registry import as_recipe
from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import as_count
from pyswarmopt.base.words import counted
from pyswarmopt.driver.result import INTERRUPTED, Result
from pyswarmopt.inspect.plot.curves import interval_name, median_interval
from pyswarmopt.parts.bounds import listed

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe

DEFAULT = "default"  # recipe=None of `minimize`


class Paired(NamedTuple):
    """How often one recipe beats another with the same seed.

    Attributes:
        better: number of seeds on which it is better.
        worse: number of seeds on which it is worse; the others are ties.
        p: p-value of the exact two-sided sign test, Holm-corrected (1979) for the number of recipes
            compared with the same one.

    Example:
        >>> Paired(better=6, worse=0, p=0.03125).p
        0.03125
    """

    better: int
    worse: int
    p: float


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Results of several recipes with the same seeds; `str` formats them as a table.

    Attributes:
        results: recipe name -> one `Result` for each seed.
        optimum: the smallest possible value. The table shows distances from it, or values if it is
            None.

    Example:
        >>> import pyswarmopt as pso
        >>> found = pso.compare(pso.functions.sphere, [(-5, 5)] * 2, ["constriction", "fips"], seeds=6, max_evals=400)
        >>> sorted(found.results), len(found.finals("fips"))
        (['constriction', 'fips'], 6)
    """

    results: Mapping[str, tuple[Result, ...]]
    optimum: float | None = None

    def finals(self, recipe: str) -> Floats:
        """The final best value for each seed, (n,), or its distance from `optimum` if that is
        given.
        """
        return np.array([r.fun for r in self.results[recipe]]) - (self.optimum or 0.0)

    def interval(self, recipe: str) -> tuple[float, float]:
        """A 95% interval for the median of `finals`, from order statistics; with fewer than six
        seeds, the range (the table says so).
        """
        low, high = median_interval(self.finals(recipe)[:, None])
        return float(low[0]), float(high[0])

    def paired(self, against: str | None = None) -> dict[str, Paired]:
        """Compare each recipe with the given one (by default the first), seed by seed."""
        base = against or next(iter(self.results))
        # not of distances, whose rounding makes unequal values equal
        values = {name: np.array([r.fun for r in runs]) for name, runs in self.results.items()}
        least = values.pop(base)
        better = [int((each < least).sum()) for each in values.values()]
        worse = [int((each > least).sum()) for each in values.values()]
        p = holm(list(map(sign_test, better, worse)))
        return dict(zip(values, map(Paired, better, worse, p), strict=True))

    def __str__(self) -> str:
        paired = self.paired()
        first, runs = next(iter(self.results.items()))
        rows = [["recipe", "median", interval_name(len(runs)), f"better than {first}", "p"]]
        for name in self.results:
            low, high = self.interval(name)
            row = [name, f"{np.median(self.finals(name)):.3g}", f"{low:.3g} to {high:.3g}", "", ""]
            if name in paired:
                better, worse, p = paired[name]
                row[3:] = f"{better} of {better + worse}", f"{p:.2g}"
            rows.append(row)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        value = "value" if self.optimum is None else "distance to the optimum"
        seeds = counted(len(runs), "seed")
        return "\n".join([*table, f"({value} over {seeds}; p: sign test, Holm-corrected)"])


def compare(
    fun: Callable[..., Any],
    bounds: Any,
    recipes: Mapping[str, str | Recipe | None] | Sequence[str | Recipe | None],
    seeds: int = 15,
    optimum: float | None = None,
    **options: Any,
) -> Comparison:
    """Run recipes on a function with the same budget and the same seeds.

    With the same seed, recipes with the same population and initialisation start from the same
    points, so the comparison is paired.

    Args:
        fun: as in `minimize`.
        bounds: as in `minimize`.
        recipes: a list of names, recipes or None (the default search), or a dict of these,
            whose keys name them in the table. All are compared with the first.
        seeds: number of searches per recipe; their seeds are 0 to seeds - 1.
        optimum: smallest value of `fun`, if known.
        options: further arguments of `minimize`, shared by all, such as `max_evals`.

    Returns:
        The results, with medians, intervals and tests.

    Raises:
        ValueError: there are no recipes, or two have the same name.
        TypeError: `recipes` is not a list.

    Example:
        >>> import pyswarmopt as pso
        >>> mine = pso.compose([pso.inertia(0.6), pso.social(1.7)], name="mine")
        >>> box = [(-5, 5)] * 2
        >>> found = pso.compare(pso.functions.rastrigin, box, ["constriction", mine], seeds=6, max_evals=800)
        >>> list(found.paired()), len(found.finals("mine"))
        (['mine'], 6)
    """
    named = _named(recipes)
    bounds = listed(bounds)
    results: dict[str, tuple[Result, ...]] = {}
    for name, recipe in named.items():
        found = []
        for seed in range(as_count("seeds", seeds, 1)):
            found.append(minimize(fun, bounds, recipe, seed=seed, **options))
            if INTERRUPTED in found[-1].stop:
                raise KeyboardInterrupt  # end the comparison, not only this search
        results[name] = tuple(found)
    return Comparison(results, optimum)


def _named(recipes: Any) -> dict[str, str | Recipe | None]:
    if isinstance(recipes, str):
        raise TypeError(f"recipes={recipes!r}: pass a list of names or recipes")
    if not isinstance(recipes, Mapping):
        names = [DEFAULT if r in (None, DEFAULT) else as_recipe(r).name for r in recipes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two recipes are named {name!r}; pass a dict, {{name: recipe}}")
        recipes = dict(zip(names, recipes, strict=True))
    if not recipes:
        raise ValueError("compare() needs at least one recipe")
    return {name: None if recipe == DEFAULT else recipe for name, recipe in recipes.items()}


def sign_test(better: int, worse: int) -> float:
    """The exact two-sided sign test: the probability of at least as uneven a count if both are
    equally likely.

    Example:
        >>> sign_test(6, 0), sign_test(3, 3)
        (0.03125, 1.0)
    """
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / 2**n)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction (1979, Scand. J. Statist. 6) for several tests.

    Example:
        >>> holm([0.5, 0.25])
        [0.5, 0.5]
    """
    order = np.argsort(p, kind="stable")
    raised = np.array(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.minimum(np.maximum.accumulate(raised), 1.0)
    return corrected[order.argsort()].tolist()
