"""Tests that a recipe of your own inherits.

A class that inherits one of these is collected by pytest; each method is one promise of this package.

Example:
    >>> class TestMine(RecipeTests):
    ...     recipe = "constriction"
    >>> TestMine().test_the_result_is_the_best_of_the_calls()
"""

from __future__ import annotations

import functools
import math
import pickle
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyswarmopt import _minimize
from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.result import Result

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe

Fun = Callable[..., Any]
Bounds = list[tuple[float, float]]


def valley(x: Floats) -> Any:
    """Smooth, coupled, its least value 0 at (1, 1, ...); (..., D) -> (...)."""
    x = np.asarray(x)
    middle = (x - 1.0) ** 2
    return middle.sum(-1) + 0.5 * (x[..., 0] - x[..., -1]) ** 2


def _with_holes(bad: float, x: Floats) -> float:
    return bad if x[0] < 0.5 else float(valley(x))


class Watched:
    """An objective that keeps its points and values, and may raise at the n-th call."""

    def __init__(
        self, fun: Fun, fails_at: int = -1, error: type[BaseException] = RuntimeError
    ) -> None:
        self.fun, self._fails_at, self._error = fun, fails_at, error
        self.points: list[Floats] = []
        self.values: list[float] = []

    def __call__(self, x: Floats) -> float:
        self.points.append(np.array(x))
        if len(self.points) == self._fails_at:
            raise self._error("the objective failed")
        self.values.append(float(self.fun(x)))
        return self.values[-1]


def _events(result: Result) -> list[tuple[Any, ...]]:
    """What a search did, in a form that can be compared; NaN equals NaN."""
    return [(r.iteration, r.particle, repr(r.value), r.x.tobytes()) for r in result.history]


class RecipeTests:
    """What every recipe keeps when `minimize` runs it.

    Attributes:
        recipe: a name, a `Recipe`, or None for the default search.
        bounds: the box; it holds (1, 1, ...), and D is at least 2.
        max_evals: calls of a search, enough for a few iterations.
        uses_chance: whether another seed is another search.
    """

    recipe: str | Recipe | None = None
    bounds: ClassVar[Bounds] = [(-4.0, 3.0)] * 3
    max_evals = 130
    uses_chance = True

    def search(self, fun: Fun = valley, **options: Any) -> Result:
        """A search with the recipe; `options` are those of `minimize`."""
        return _minimize.minimize(fun, **(self._options() | options))

    def _options(self) -> dict[str, Any]:
        return {
            "bounds": self.bounds, "recipe": self.recipe, "max_evals": self.max_evals, "seed": 0,
            "history": "particles", "vectorized": False,
        }  # fmt: skip

    # ---- what comes back ----

    def test_the_result_is_the_best_of_the_calls(self) -> None:
        fun = Watched(valley)
        r = self.search(fun)
        assert r.fun == min(fun.values) == float(valley(r.x)) < fun.values[0]
        assert r.nfev == len(fun.points)

    def test_the_budget_is_never_exceeded(self) -> None:
        for budget in (1, 7, self.max_evals):
            fun = Watched(valley)
            self.search(fun, max_evals=budget)
            assert 1 <= len(fun.points) <= budget

    def test_every_point_lies_within_the_bounds(self) -> None:
        for bounds in (self.bounds, [(1e-6, 2e-6), (-1e9, -1e8)]):
            fun = Watched(lambda x: float(np.sum(x)))  # the optimum is in a corner
            self.search(fun, bounds=bounds)
            low, high = np.array(bounds).T
            x = np.array(fun.points)
            assert ((x >= low) & (x <= high)).all()

    def test_one_coordinate_is_enough(self) -> None:
        r = self.search(bounds=self.bounds[:1])
        assert r.x.shape == (1,) and math.isfinite(r.fun)

    def test_a_start_is_evaluated(self) -> None:
        fun, start = Watched(valley), np.array([(low + 3 * high) / 4 for low, high in self.bounds])
        r = self.search(fun, x0=start)
        assert any(np.array_equal(x, start) for x in fun.points) and r.fun <= valley(start)

    # ---- again ----

    def test_the_same_seed_gives_the_same_search(self) -> None:
        assert _events(self.search()) == _events(self.search())

    def test_another_seed_gives_another_search(self) -> None:
        same = _events(self.search()) == _events(self.search(seed=1))
        assert not (self.uses_chance and same)

    def test_global_generators_are_left_alone(self) -> None:
        before = _global_states()
        self.search()
        assert _global_states() == before

    def test_resumed_is_uninterrupted(self) -> None:
        whole = self.search(max_iter=9)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c.npz"
            self.search(max_iter=3, checkpoint=path)
            resumed = self.search(max_iter=9, checkpoint=path)
        assert _events(resumed) == _events(whole)
        assert resumed.fun == whole.fun and np.array_equal(resumed.x, whole.x)

    # ---- what goes wrong ----

    def test_what_is_no_number_is_never_the_best(self) -> None:
        for bad in (math.nan, math.inf, -math.inf):
            fun = Watched(functools.partial(_with_holes, bad))
            r = self.search(fun)
            finite = [v for v in fun.values if math.isfinite(v)]
            assert r.fun == min(finite) if finite else not r.success

    def test_the_history_is_complete(self) -> None:
        fun = Watched(valley)
        r = self.search(fun)
        points, values = r.evaluated()
        told = len(values)  # a closing call at the result may come after them
        assert len(fun.points) - 1 <= told <= len(fun.points)
        assert np.array_equal(np.array(points), np.array(fun.points)[:told])
        assert np.array_equal(values, fun.values[:told])


def _global_states() -> list[bytes]:
    """The states of the generators that everybody shares, torch's where it was imported."""
    states = [repr(random.getstate()).encode(), pickle.dumps(np.random.get_state())]
    torch = sys.modules.get("torch")
    return states if torch is None else [*states, torch.get_rng_state().numpy().tobytes()]


__all__ = ["RecipeTests", "Watched", "valley"]
