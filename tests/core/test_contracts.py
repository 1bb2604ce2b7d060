"""Everything of ours passes the tests that others inherit (`pyswarmopt.testing`), and what breaks a
promise does not.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt import testing
from pyswarmopt.base.arrays import as_arrays
from pyswarmopt.testing import RecipeTests

RECIPES = [None, *pso.recipes.RECIPES]


@pytest.fixture(params=RECIPES, ids=str)
def recipe(request, monkeypatch):
    monkeypatch.setattr(request.cls, "recipe", request.param)


@pytest.mark.usefixtures("recipe")
class TestRecipes(RecipeTests):
    """The promises to a recipe's author, and those of `minimize`, whatever recipe it runs."""

    max_evals = 90

    def test_whole_numbers_are_whole(self):
        fun = testing.Watched(testing.valley)
        r = self.search(fun, integrality=[True] + [False] * (len(self.bounds) - 1))
        assert all(x[0] == round(x[0]) for x in [*fun.points, r.x])

    def test_labels_are_labels(self):
        fun = testing.Watched(lambda x: float(x[0] == 2.0) + x[1] ** 2)
        self.search(fun, bounds=[(0, 3), self.bounds[1]], categorical=[True, False])
        assert {float(x[0]) for x in fun.points} <= {0.0, 1.0, 2.0, 3.0}

    def test_constraints_hold_at_the_result(self):
        r = self.search(constraints=lambda x: x[0] - 0.25)
        assert r.feasible and r.maxcv == 0 and r.x[0] <= 0.25 and r.fun == testing.valley(r.x)

    def test_a_flat_function_is_no_trouble(self):
        assert self.search(lambda x: 3.0).fun == 3.0

    def test_maximising_is_minimising_the_negative(self):
        up = pso.maximize(lambda x: -testing.valley(x), **self._options())
        down = self.search()
        assert np.array_equal(up.x, down.x) and up.fun == -down.fun

    def test_workers_change_nothing(self):
        options: dict[str, Any] = {"population": 6}
        assert testing._events(self.search(**options)) == testing._events(
            self.search(workers=2, **options)
        )

    def test_a_coordinate_without_room_stays(self):
        r = self.search(bounds=[*self.bounds[:-1], (0.5, 0.5)])
        assert r.x[-1] == 0.5

    def test_calls_on_many_points_change_nothing(self):
        many, one = self.search(vectorized=True), self.search()
        points = [r.x.tobytes() for r in one.history]
        together = [r.x.tobytes() for r in many.history]
        shared = min(len(points), len(together))
        assert shared and points[:shared] == together[:shared]

    def test_an_objective_that_writes_into_its_argument_changes_nothing(self):
        def vandal(x: np.ndarray) -> float:
            value = float(testing.valley(x))
            x[:] = math.nan
            return value

        assert testing._events(self.search(vandal)) == testing._events(self.search())

    def test_an_exception_keeps_what_was_found(self):
        fun = testing.Watched(testing.valley, fails_at=self.max_evals // 2)
        try:
            self.search(fun)
        except RuntimeError as error:
            result: Any = vars(error)["result"]
            assert result.fun == min(fun.values) and result.nfev == len(fun.points)
            assert not result.success
        else:
            raise AssertionError("the exception of the objective was swallowed")

    def test_ctrl_c_returns_the_result_so_far(self):
        r = self.search(testing.Watched(testing.valley, self.max_evals * 2 // 3, KeyboardInterrupt))
        assert not r.success and "interrupted" in r.message and r.fun == testing.valley(r.x)

    def test_a_failure_that_is_forgiven_ends_nothing(self):
        fun = testing.Watched(testing.valley, fails_at=5)
        r = self.search(fun, on_error="worst")
        assert len(fun.points) > 5 and r.fun == min(fun.values)

    def test_without_any_finite_value_it_says_so(self):
        r = self.search(lambda x: math.nan, max_evals=20)
        assert not r.success and "no finite value" in r.message

    def test_what_must_not_be_called_is_not_called(self):
        fun = testing.Watched(testing.valley)
        never = {"type": "ineq", "fun": lambda x: 0.25 - x[0], "keep_feasible": True}
        r = self.search(fun, constraints=never)
        calls = [x for x in fun.points if x[0] > 0.25]
        assert not calls if r.feasible else len(calls) <= 1

    def test_without_a_feasible_point_it_says_so(self):
        r = self.search(constraints=lambda x: 1.0 + x[0] ** 2)
        assert not r.success and not r.feasible and r.maxcv >= 1 and "no feasible" in r.message

    def test_parameters_by_name_come_back_in_their_ranges(self):
        space = {"rate": (0.5, 2.0), "kind": ["a", "b"], "size": 7}
        r = self.search(
            lambda rate, kind, size: rate + (kind == "b") + size, bounds=None, space=space,
            max_evals=40,
        )  # fmt: skip
        assert r.params is not None and 0.5 <= r.params["rate"] <= 2.0
        assert r.params["kind"] in ("a", "b") and r.params["size"] == 7

    def test_a_callback_stops_it(self):
        seen: list[pso.Result] = []

        def second(so_far: pso.Result):
            seen.append(so_far)
            return len(seen) == 2

        r = self.search(callback=second)
        assert len(seen) == 2 and "callback" in r.stop

    def test_the_best_never_gets_worse(self):
        best: list[float] = []

        def keep(so_far: pso.Result):
            best.append(so_far.fun)

        self.search(callback=keep)
        assert best == sorted(best, reverse=True)

    def test_a_target_ends_it(self):
        first = testing.Watched(testing.valley)
        self.search(first)
        target = sorted(first.values)[len(first.values) // 2]
        r = self.search(target=target)
        assert r.success and r.fun <= target and "target" in r.stop

    def test_a_limit_of_iterations_is_kept(self):
        r = self.search(max_iter=2)
        assert r.nit <= 2


def _copy(x: Any) -> np.ndarray:
    """An array or a tensor as an array of its own."""
    return np.asarray(x).astype(np.float64)


class OptimizerTests:
    """What every `Optimizer` keeps: ask, evaluate, tell, until `stop` gives a reason.

    Attributes:
        bounds: the box.
        rounds: of ask and tell in a test.
    """

    bounds: ClassVar[list[tuple[float, float]]] = [(-4.0, 3.0)] * 3
    rounds = 8

    def optimizer(self, seed: int = 0, maximize: bool = False) -> pso.Optimizer:
        """A new one in `bounds`."""
        raise NotImplementedError("return the optimizer that is to be tested")

    def play(
        self, optimizer: pso.Optimizer, rounds: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ask and tell; all points, (n, D), and values, (n,)."""
        points, values = [np.empty((0, len(self.bounds)))], [np.empty(0)]
        for _ in range(self.rounds if rounds is None else rounds):
            x = optimizer.ask()
            points.append(_copy(x))
            values.append(testing.valley(points[-1]))
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
            assert optimizer.best.value == values[i] == testing.valley(_copy(optimizer.best.x))

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


@pytest.fixture(params=["memetic", *pso.recipes.RECIPES])
def made(request):
    def make(seed, maximize):
        bounds = OptimizerTests.bounds
        if request.param == "memetic":
            return pso.MemeticSwarm(bounds, seed=seed, maximize=maximize)
        return pso.Swarm(
            bounds=bounds, population=5, recipe=request.param, seed=seed, maximize=maximize
        )

    request.instance.make = make


@pytest.mark.usefixtures("made")
class TestOptimizers(OptimizerTests):
    def optimizer(self, seed=0, maximize=False):
        return self.make(seed, maximize)


# ---- the page ----


def on_the_page():
    """The tests that the classes of the page inherit, by name."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "write-your-own.md"
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        exec(block, names)
    kinds = [v for name, v in names.items() if name.startswith("Test")]
    return [(kind, name) for kind in kinds for name in dir(kind) if name.startswith("test_")]


@pytest.mark.parametrize(("kind", "name"), on_the_page())
def test_what_the_page_shows_passes(kind, name):
    getattr(kind(), name)()


# ---- what breaks a promise ----


class Forgetful(pso.MemeticSwarm):
    """Its best point is the latest, and it resumes from nothing."""

    @property
    def best(self):
        return pso.Point(self.ask()[0], 0.0)

    def load_state_dict(self, saved):
        pass


class Unsteady(RecipeTests):
    def search(self, fun=testing.valley, **options):
        import torch

        def global_noise(s, move, generator):
            return torch.randn(s.x.shape, dtype=s.x.dtype)

        self.recipe = pso.compose(velocity=global_noise, population=10)
        return super().search(fun, **options)


class Wrong(OptimizerTests):
    def optimizer(self, seed=0, maximize=False):
        return Forgetful(self.bounds, seed=seed, maximize=maximize)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Wrong, "test_the_best_is_the_best_told"),
        (Wrong, "test_a_saved_state_goes_on_bit_for_bit"),
        (Wrong, "test_a_refused_call_loses_nothing"),
        (Unsteady, "test_the_same_seed_gives_the_same_search"),
        (Unsteady, "test_global_generators_are_left_alone"),
        (Unsteady, "test_resumed_is_uninterrupted"),
    ],
)
def test_a_broken_promise_is_seen(kind, name):
    with pytest.raises(AssertionError):
        getattr(kind(), name)()
