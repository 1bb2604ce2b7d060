"""Tests that a recipe or an optimiser of your own inherits.

A class that inherits one of these is collected by pytest; each method is one promise of this package.

Example:
    >>> class TestMine(RecipeTests):
    ...     recipe = "constriction"
    >>> TestMine().test_the_result_is_the_best_of_the_calls()
"""

from __future__ import annotations

import copy
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
from pyswarmopt.base.arrays import Floats, as_arrays
from pyswarmopt.driver.result import Result

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.base.optimizer import Optimizer

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

    def test_a_coordinate_without_room_stays(self) -> None:
        r = self.search(bounds=[*self.bounds[:-1], (0.5, 0.5)])
        assert r.x[-1] == 0.5

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

    def test_maximising_is_minimising_the_negative(self) -> None:
        up = _minimize.maximize(lambda x: -valley(x), **self._options())
        down = self.search()
        assert np.array_equal(up.x, down.x) and up.fun == -down.fun

    def test_workers_change_nothing(self) -> None:
        options: dict[str, Any] = {"population": 6}
        assert _events(self.search(**options)) == _events(self.search(workers=2, **options))

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

    def test_a_flat_function_is_no_trouble(self) -> None:
        assert self.search(lambda x: 3.0).fun == 3.0

    # ---- kinds of problems ----

    def test_whole_numbers_are_whole(self) -> None:
        fun = Watched(valley)
        r = self.search(fun, integrality=[True] + [False] * (len(self.bounds) - 1))
        assert all(x[0] == round(x[0]) for x in [*fun.points, r.x])

    def test_labels_are_labels(self) -> None:
        fun = Watched(lambda x: float(x[0] == 2.0) + x[1] ** 2)
        self.search(fun, bounds=[(0, 3), self.bounds[1]], categorical=[True, False])
        assert {float(x[0]) for x in fun.points} <= {0.0, 1.0, 2.0, 3.0}

    def test_constraints_hold_at_the_result(self) -> None:
        r = self.search(constraints=lambda x: x[0] - 0.25)
        assert r.feasible and r.maxcv == 0 and r.x[0] <= 0.25 and r.fun == valley(r.x)

    # ---- on the way ----

    def test_the_history_is_complete(self) -> None:
        fun = Watched(valley)
        r = self.search(fun)
        points, values = r.evaluated()
        told = len(values)  # a closing call at the result may come after them
        assert len(fun.points) - 1 <= told <= len(fun.points)
        assert np.array_equal(np.array(points), np.array(fun.points)[:told])
        assert np.array_equal(values, fun.values[:told])


class OptimizerTests:
    """What every `Optimizer` keeps: ask, evaluate, tell, until `stop` gives a reason.

    Attributes:
        bounds: the box.
        rounds: of ask and tell in a test.
    """

    bounds: ClassVar[Bounds] = [(-4.0, 3.0)] * 3
    rounds = 8

    def optimizer(self, seed: int = 0, maximize: bool = False) -> Optimizer:
        """A new one in `bounds`."""
        raise NotImplementedError("return the optimizer that is to be tested")

    def play(self, optimizer: Optimizer, rounds: int | None = None) -> tuple[Floats, Floats]:
        """Ask and tell; all points, (n, D), and values, (n,)."""
        points, values = [np.empty((0, len(self.bounds)))], [np.empty(0)]
        for _ in range(self.rounds if rounds is None else rounds):
            x = optimizer.ask()
            points.append(_copy(x))
            values.append(valley(points[-1]))
            optimizer.tell(x, values[-1])
        return np.concatenate(points), np.concatenate(values)

    def _refuses(self, call: Callable[[], object]) -> None:
        try:
            call()
        except ValueError:
            return
        raise AssertionError("a wrong call was not refused with ValueError")

    def test_ask_gives_points_of_the_box(self) -> None:
        low, high = np.array(self.bounds).T
        x = self.play(self.optimizer())[0]
        assert x.shape[1] == len(self.bounds) and ((x >= low) & (x <= high)).all()

    def test_ask_gives_the_same_until_tell(self) -> None:
        optimizer = self.optimizer()
        first, second = _copy(optimizer.ask()), _copy(optimizer.ask())
        assert np.array_equal(first, second)

    def test_the_best_is_the_best_told(self) -> None:
        for maximize in (False, True):
            optimizer = self.optimizer(maximize=maximize)
            values = self.play(optimizer)[1]
            i = int(values.argmax() if maximize else values.argmin())
            assert optimizer.best.value == values[i] == valley(_copy(optimizer.best.x))

    def test_the_best_is_a_copy(self) -> None:
        optimizer = self.optimizer()
        self.play(optimizer)
        best = _copy(optimizer.best.x)
        optimizer.best.x[:] = 0.0
        assert np.array_equal(best, _copy(optimizer.best.x))

    def test_what_is_no_number_is_never_the_best(self) -> None:
        for maximize in (False, True):
            optimizer, worst = (
                self.optimizer(maximize=maximize),
                -math.inf if maximize else math.inf,
            )
            for bad in (math.nan, math.inf, -math.inf):
                x = optimizer.ask()
                optimizer.tell(x, np.full(len(x), bad))
            assert optimizer.best.value == worst
            values = self.play(optimizer)[1]
            assert optimizer.best.value == (values.max() if maximize else values.min())

    def test_a_refused_call_loses_nothing(self) -> None:
        optimizer, other = self.optimizer(), self.optimizer()
        x = optimizer.ask()
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x) + 1)))
        self._refuses(lambda: optimizer.tell(x + 0.5, np.zeros(len(x))))
        self._refuses(lambda: optimizer.load_state_dict({}))
        assert np.array_equal(self.play(optimizer)[0], self.play(other)[0])
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x))))  # without ask

    def test_the_same_seed_gives_the_same_points(self) -> None:
        assert np.array_equal(self.play(self.optimizer())[0], self.play(self.optimizer())[0])

    def test_a_saved_state_goes_on_bit_for_bit(self) -> None:
        for before in (0, 1, self.rounds):
            first, second = self.optimizer(), self.optimizer(seed=1)
            self.play(first, before)
            second.load_state_dict(first.state_dict())
            assert np.array_equal(self.play(first)[0], self.play(second)[0])

    def test_a_saved_state_is_a_copy(self) -> None:
        optimizer = self.optimizer()
        self.play(optimizer, 2)
        saved = as_arrays(optimizer.state_dict())
        before = copy.deepcopy(saved)
        self.play(optimizer)
        assert saved.keys() == before.keys()
        arrays = [name for name, value in before.items() if isinstance(value, np.ndarray)]
        assert all(saved[name].tobytes() == before[name].tobytes() for name in arrays)

    def test_stop_is_empty_or_has_reasons(self) -> None:
        reasons = self.optimizer().stop()
        assert isinstance(reasons, dict) and all(isinstance(name, str) for name in reasons)


def _global_states() -> list[bytes]:
    """The states of the generators that everybody shares, torch's where it was imported."""
    states = [repr(random.getstate()).encode(), pickle.dumps(np.random.get_state())]
    torch = sys.modules.get("torch")
    return states if torch is None else [*states, torch.get_rng_state().numpy().tobytes()]


def _copy(x: Any) -> Floats:
    """An array or a tensor as an array of its own."""
    return np.asarray(x).astype(np.float64)


__all__ = ["OptimizerTests", "RecipeTests", "Watched", "valley"]
