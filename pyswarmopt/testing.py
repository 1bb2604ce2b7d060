"""Tests for your own recipe, optimiser, space or objective to inherit.

pytest collects a class that inherits one of these; each method is one promise of this package.

Example:
    >>> class TestMine(RecipeTests):
    ...     recipe = "constriction"
    >>> TestMine().test_fun_is_the_value_at_x()
"""

from __future__ import annotations

import copy
import functools
import math
import pickle
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyswarmopt import _minimize
from pyswarmopt.base.arrays import Floats, as_arrays
from pyswarmopt.driver.problem.space import Fixed, Space
from pyswarmopt.driver.result import Result

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.base.optimizer import Optimizer
    from pyswarmopt.parts.velocity import Term

Fun = Callable[..., Any]
Bounds = list[tuple[float, float]]


def valley(x: Floats) -> Any:
    """Smooth and coupled, with least value 0 at (1, 1, ...); (..., D) -> (...)."""
    x = np.asarray(x)
    middle = (x - 1.0) ** 2
    return middle.sum(-1) + 0.5 * (x[..., 0] - x[..., -1]) ** 2


def _with_holes(bad: float, x: Floats) -> float:
    return bad if x[0] < 0.5 else float(valley(x))


def _first_values(points: Any, values: Any) -> dict[tuple[float, ...], float]:
    """Each distinct point once, in order of first evaluation, with its value."""
    found: dict[tuple[float, ...], float] = {}
    for x, value in zip(points, values, strict=True):
        found.setdefault(tuple((np.asarray(x) + 0.0).tolist()), float(value))
    return found


class Watched:
    """An objective that records its points and values, and may raise at the n-th call."""

    def __init__(
        self, fun: Fun, fails_at: int = -1, error: type[BaseException] = RuntimeError
    ) -> None:
        self.fun = fun
        self._fails_at = fails_at
        self._error = error
        self.points: list[Floats] = []
        self.values: list[float] = []

    def __call__(self, x: Floats) -> float:
        self.points.append(np.array(x))
        if len(self.points) == self._fails_at:
            raise self._error("the objective failed")
        self.values.append(float(self.fun(x)))
        return self.values[-1]


def _events(result: Result) -> list[tuple[Any, ...]]:
    """A search's course in comparable form; NaN equals NaN."""
    return [(r.iteration, r.particle, repr(r.value), r.x.tobytes()) for r in result.history]


def _assert_same(found: Result, expected: Result, sentence: str) -> None:
    """Assert that two searches are the same; else report the sentence and the first differing move."""
    ours = _events(found)
    theirs = _events(expected)
    if ours == theirs:
        return
    pairs = zip(ours, theirs, strict=False)
    first = next((one[0] for one, other in pairs if one != other), None)
    where = f" after {min(len(ours), len(theirs))} calls" if first is None else f" at move {first}"
    raise AssertionError(sentence.format(where))


def _terms(recipe: str | Recipe | None) -> Sequence[Term]:
    """The terms of a recipe's velocity, if it is a sum of terms."""
    if recipe is None:
        return ()
    from pyswarmopt.algorithms.registry import as_recipe  # imported on use, as in a search

    return getattr(as_recipe(recipe).velocity, "terms", ())


def _assert_scope(term: Term) -> None:
    """Assert that a direction, computed for part of a swarm, is that part of the swarm's direction."""
    from pyswarmopt.parts.velocity import Snapshot  # likewise

    if term.looks_at == "all":
        return
    random = np.random.default_rng(0)
    x, v, p, g = random.random((4, 6, 5))
    w = random.random((1, 5))
    fx, fp = random.random((2, 6))
    links = random.integers(0, 6, (6, 2))
    rows = slice(0, 3) if term.looks_at == "element" else slice(None)
    columns = slice(1, 3)
    at = rows, columns
    swarm = Snapshot(x, v, p, g, w, fx, fp, links=links)
    part = Snapshot(
        x[at], v[at], p[at], g[at], w[:, columns], fx[rows], fp[rows], links=links[rows]
    )
    expected = np.broadcast_to(term.direction(swarm), x.shape)[at]
    found = np.broadcast_to(term.direction(part), expected.shape)
    assert np.allclose(found, expected), (
        f"term {term.name!r} says looks_at={term.looks_at!r}, but depends on other coordinates or "
        "particles: in large swarms it would be wrong. Say looks_at='all'."
    )


def _first(points: Sequence[Floats] | Floats) -> str:
    """The first point, if any, for a message."""
    return f"x = {np.asarray(points[0]).tolist()}" if len(points) else "no point"


class RecipeTests:
    """Invariants of a recipe that `minimize` runs.

    Attributes:
        recipe: a name, a `Recipe`, or None for the default search.
        bounds: box that contains (1, 1, ...), with D of at least 2.
        max_evals: calls of a search, enough for a few iterations.
        uses_chance: whether another seed gives another search.
    """

    recipe: str | Recipe | None = None
    bounds: ClassVar[Bounds] = [(-4.0, 3.0)] * 3
    max_evals = 130
    uses_chance = True

    def search(self, fun: Fun = valley, **options: Any) -> Result:
        """A search with the recipe; `options` are passed to `minimize`."""
        return _minimize.minimize(fun, **(self._options() | options))

    def _options(self) -> dict[str, Any]:
        return {
            "bounds": self.bounds, "recipe": self.recipe, "max_evals": self.max_evals, "seed": 0,
            "history": "particles", "vectorized": False,
        }  # fmt: skip

    def test_a_term_looks_at_no_more_than_it_says(self) -> None:
        for term in _terms(self.recipe):
            _assert_scope(term)

    # ---- what comes back ----

    def test_fun_is_the_value_at_x(self) -> None:
        r = self.search()
        assert r.fun == float(valley(r.x)), (
            f"result.fun is {r.fun}, but fun(result.x) {valley(r.x)}"
        )

    def test_fun_is_the_best_value_seen(self) -> None:
        fun = Watched(valley)
        best = self.search(fun).fun
        assert best == min(fun.values), (
            f"result.fun is {best}, the best value seen {min(fun.values)}"
        )

    def test_nfev_counts_the_calls(self) -> None:
        fun = Watched(valley)
        told = self.search(fun).nfev
        assert told == len(fun.points), f"nfev is {told} after {len(fun.points)} calls"

    def test_the_budget_is_never_exceeded(self) -> None:
        for budget in (1, 7, self.max_evals):
            fun = Watched(valley)
            self.search(fun, max_evals=budget)
            calls = len(fun.points)
            assert 1 <= calls <= budget, f"max_evals={budget}, but fun was called {calls} times"

    def test_every_point_lies_within_the_bounds(self) -> None:
        fun = Watched(lambda x: float(np.sum(x)))  # the optimum is in a corner
        self.search(fun)
        low, high = np.array(self.bounds).T
        x = np.array(fun.points)
        outside = ((x < low) | (x > high)).any(axis=1)
        assert not outside.any(), (
            f"{_first(x[outside])} is outside the bounds: let the recipe's boundary act on every "
            "position"
        )

    def test_sides_of_very_different_lengths_are_kept(self) -> None:
        fun = Watched(lambda x: float(x[0] * 1e6 - x[1] * 1e-9))
        self.search(fun, bounds=[(1e-6, 2e-6), (-1e9, -1e8)])
        x = np.array(fun.points)
        outside = ((x < (1e-6, -1e9)) | (x > (2e-6, -1e8))).any(axis=1)
        assert not outside.any(), f"{_first(x[outside])} is outside bounds of unlike lengths"

    def test_a_coordinate_without_room_stays(self) -> None:
        r = self.search(bounds=[*self.bounds[:-1], (0.5, 0.5)])
        assert r.x[-1] == 0.5, f"a coordinate with bounds (0.5, 0.5) became {r.x[-1]}"

    def test_one_coordinate_is_enough(self) -> None:
        r = self.search(bounds=self.bounds[:1])
        assert r.x.shape == (1,), f"with one coordinate x has shape {r.x.shape}"
        assert math.isfinite(r.fun), f"with one coordinate the best value is {r.fun}"

    def test_a_start_is_evaluated(self) -> None:
        fun = Watched(valley)
        start = np.array([(low + 3 * high) / 4 for low, high in self.bounds])
        r = self.search(fun, x0=start)
        tried = any(np.array_equal(x, start) for x in fun.points)
        assert tried, f"x0 = {start} was never evaluated: keep the starting points you are given"
        assert r.fun <= valley(start), f"x0 has the value {valley(start)}, the result {r.fun}"

    def test_it_finds_better_points_than_its_first_one(self) -> None:
        fun = Watched(valley)
        best = self.search(fun).fun
        assert best < fun.values[0], f"no value below that of the first point, {fun.values[0]}"

    # ---- again ----

    def test_the_same_seed_gives_the_same_search(self) -> None:
        _assert_same(
            self.search(), self.search(),
            "seed 0 twice gave different points{}: draw from the generator that the rule is given",
        )  # fmt: skip

    def test_another_seed_gives_another_search(self) -> None:
        same = _events(self.search()) == _events(self.search(seed=1))
        assert not (self.uses_chance and same), (
            "seeds 0 and 1 gave the same points: draw from the generator that the rule is given, or "
            "say uses_chance = False"
        )

    def test_global_generators_are_left_alone(self) -> None:
        before = _global_states()
        self.search()
        assert _global_states() == before, (
            "a global random generator was used: draw from the one that the rule is given"
        )

    def test_maximising_is_minimising_the_negative(self) -> None:
        up = _minimize.maximize(lambda x: -valley(x), **self._options())
        down = self.search()
        assert np.array_equal(up.x, down.x) and up.fun == -down.fun, (
            f"maximize(-f) found {-up.fun} at {up.x}, minimize(f) {down.fun} at {down.x}: look at "
            "costs, where lower is better, not at the user's values"
        )

    def test_workers_change_nothing(self) -> None:
        options: dict[str, Any] = {"population": 6}
        _assert_same(
            self.search(**options), self.search(workers=2, **options),
            "two workers gave other points than one{}",
        )  # fmt: skip

    def test_calls_on_many_points_change_nothing(self) -> None:
        many = self.search(vectorized=True)
        one = self.search()
        points = [r.x.tobytes() for r in one.history]
        together = [r.x.tobytes() for r in many.history]
        shared = min(len(points), len(together))
        assert shared, "a search kept no history"
        first = next((i for i in range(shared) if points[i] != together[i]), None)
        assert first is None, f"vectorized=True gave another point at evaluation {first}"

    def test_an_objective_that_writes_into_its_argument_changes_nothing(self) -> None:
        def vandal(x: Floats) -> float:
            value = float(valley(x))
            x[:] = math.nan
            return value

        _assert_same(
            self.search(vandal), self.search(),
            "a function that writes into its argument changed the search{}: give it copies",
        )  # fmt: skip

    def test_resumed_is_uninterrupted(self) -> None:
        whole = self.search(max_iter=9)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c.npz"
            self.search(max_iter=9, checkpoint=path, callback=lambda so_far: so_far.nit >= 3)
            resumed = self.search(max_iter=9, checkpoint=path)
        _assert_same(
            resumed, whole,
            "stopped after 3 moves and resumed, the search went elsewhere{}: keep what the rule "
            "remembers in state.memory",
        )  # fmt: skip
        assert resumed.fun == whole.fun and np.array_equal(resumed.x, whole.x), (
            f"resumed, the search ended with {resumed.fun}, without a stop with {whole.fun}"
        )

    # ---- what goes wrong ----

    def test_an_exception_keeps_what_was_found(self) -> None:
        fun = Watched(valley, fails_at=self.max_evals // 2)
        try:
            self.search(fun)
        except RuntimeError as error:
            result: Any = vars(error)["result"]
            assert result.fun == min(fun.values), "the exception lost the best value"
            assert result.nfev == len(fun.points), "the exception lost calls"
            assert not result.success, "a search that an exception ended is no success"
        else:
            raise AssertionError("the exception of the objective was swallowed")

    def test_ctrl_c_returns_the_result_so_far(self) -> None:
        r = self.search(Watched(valley, self.max_evals * 2 // 3, KeyboardInterrupt))
        assert not r.success and "interrupted" in r.message, f"after Ctrl-C it says {r.message!r}"
        assert r.fun == valley(r.x), "after Ctrl-C fun is not the value at x"

    def test_a_failure_that_is_forgiven_ends_nothing(self) -> None:
        fun = Watched(valley, fails_at=5)
        r = self.search(fun, on_error="worst")
        assert len(fun.points) > 5, "a failed call with on_error='worst' ended the search"
        assert r.fun == min(fun.values), f"result.fun is {r.fun}, the best value {min(fun.values)}"

    def test_what_is_no_number_is_never_the_best(self) -> None:
        for bad in (math.nan, math.inf, -math.inf):
            fun = Watched(functools.partial(_with_holes, bad))
            r = self.search(fun)
            finite = [v for v in fun.values if math.isfinite(v)]
            assert r.fun == min(finite) if finite else not r.success, (
                f"where some values are {bad}, result.fun is {r.fun}"
            )

    def test_without_any_finite_value_it_says_so(self) -> None:
        r = self.search(lambda x: math.nan, max_evals=20)
        assert not r.success and "no finite value" in r.message, (
            f"where every value is NaN the search says success={r.success}, {r.message!r}"
        )

    def test_a_flat_function_is_no_trouble(self) -> None:
        best = self.search(lambda x: 3.0).fun
        assert best == 3.0, (
            f"of a function that is 3 everywhere the least value is said to be {best}"
        )

    # ---- kinds of problems ----

    def test_whole_numbers_are_whole(self) -> None:
        fun = Watched(valley)
        r = self.search(fun, integrality=[True] + [False] * (len(self.bounds) - 1))
        broken = [x for x in [*fun.points, r.x] if x[0] != round(x[0])]
        assert not broken, f"{_first(broken)}: the first coordinate is to be a whole number"

    def test_labels_are_labels(self) -> None:
        fun = Watched(lambda x: float(x[0] == 2.0) + x[1] ** 2)
        self.search(fun, bounds=[(0, 3), self.bounds[1]], categorical=[True, False])
        labels = {float(x[0]) for x in fun.points}
        assert labels <= {0.0, 1.0, 2.0, 3.0}, f"labels 0 to 3 became {sorted(labels)}"

    def test_constraints_hold_at_the_result(self) -> None:
        r = self.search(constraints=lambda x: x[0] - 0.25)
        assert r.feasible and r.maxcv == 0 and r.x[0] <= 0.25, f"x = {r.x} breaks x[0] <= 0.25"
        assert r.fun == valley(r.x), "with a constraint fun is not the value at x"

    def test_what_must_not_be_called_is_not_called(self) -> None:
        fun = Watched(valley)
        never = {"type": "ineq", "fun": lambda x: 0.25 - x[0], "keep_feasible": True}
        r = self.search(fun, constraints=never)
        calls = [x for x in fun.points if x[0] > 0.25]
        assert not calls if r.feasible else len(calls) <= 1, (
            f"fun was called at {_first(calls)}, where keep_feasible forbids it"
        )

    def test_without_a_feasible_point_it_says_so(self) -> None:
        r = self.search(constraints=lambda x: 1.0 + x[0] ** 2)
        assert not r.success and not r.feasible and r.maxcv >= 1, "no point was feasible: say so"
        assert "no feasible" in r.message, f"no point was feasible, but it says {r.message!r}"

    def test_parameters_by_name_come_back_in_their_ranges(self) -> None:
        space = {"rate": (0.5, 2.0), "kind": ["a", "b"], "size": 7}
        r = self.search(
            lambda rate, kind, size: rate + (kind == "b") + size, bounds=None, space=space,
            max_evals=40,
        )  # fmt: skip
        params = r.params or {}
        assert 0.5 <= params.get("rate", math.nan) <= 2.0, f"rate in (0.5, 2) became {params}"
        assert params["kind"] in ("a", "b") and params["size"] == 7, f"other parameters: {params}"

    # ---- on the way ----

    def test_the_history_is_complete(self) -> None:
        fun = Watched(valley)
        r = self.search(fun)
        points, values = r.evaluated()
        told = _first_values(points, values)  # a known point is not called again
        called = _first_values(fun.points, fun.values)
        assert len(told) == len(called), f"the history has {len(told)} of {len(called)} points"
        assert list(told) == list(called), "the history has other points than fun was called at"
        assert told == called, "the history has other values than fun gave"

    def test_a_callback_stops_it(self) -> None:
        seen: list[Result] = []

        def second(so_far: Result) -> bool:
            seen.append(so_far)
            return len(seen) == 2

        r = self.search(callback=second)
        assert len(seen) == 2 and "callback" in r.stop, (
            f"a callback that returned True at its second call was called {len(seen)} times, and "
            f"the search stopped for {r.stop}"
        )

    def test_the_best_never_gets_worse(self) -> None:
        best: list[float] = []

        def keep(so_far: Result) -> None:
            best.append(so_far.fun)

        self.search(callback=keep)
        assert best == sorted(best, reverse=True), f"the best value got worse: {best}"

    def test_a_target_ends_it(self) -> None:
        first = Watched(valley)
        self.search(first)
        target = sorted(first.values)[len(first.values) // 2]
        r = self.search(target=target)
        assert r.success and r.fun <= target and "target" in r.stop, (
            f"target={target} ended with {r.fun} and {r.stop}"
        )

    def test_a_limit_of_iterations_is_kept(self) -> None:
        r = self.search(max_iter=2)
        assert r.nit <= 2, f"max_iter=2, but there were {r.nit} moves"


class OptimizerTests:
    """Invariants of an `Optimizer`: ask, evaluate, tell, until `stop` gives a reason.

    Attributes:
        bounds: box.
        rounds: number of rounds of ask and tell in a test.
    """

    bounds: ClassVar[Bounds] = [(-4.0, 3.0)] * 3
    rounds = 8

    def optimizer(self, seed: int = 0, maximize: bool = False) -> Optimizer:
        """A new optimizer in `bounds`."""
        raise NotImplementedError("return the optimizer that is to be tested")

    def play(self, optimizer: Optimizer, rounds: int | None = None) -> tuple[Floats, Floats]:
        """Ask and tell; return all points, (n, D), and values, (n,)."""
        points = [np.empty((0, len(self.bounds)))]
        values = [np.empty(0)]
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
        first = _copy(optimizer.ask())
        second = _copy(optimizer.ask())
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
            optimizer = self.optimizer(maximize=maximize)
            worst = -math.inf if maximize else math.inf
            for bad in (math.nan, math.inf, -math.inf):
                x = optimizer.ask()
                optimizer.tell(x, np.full(len(x), bad))
            assert optimizer.best.value == worst
            values = self.play(optimizer)[1]
            assert optimizer.best.value == (values.max() if maximize else values.min())

    def test_tell_needs_ask(self) -> None:
        optimizer = self.optimizer()
        x = optimizer.ask()
        optimizer.tell(x, np.zeros(len(x)))
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x))))

    def test_tell_needs_the_points_that_were_asked(self) -> None:
        optimizer = self.optimizer()
        x = optimizer.ask()
        self._refuses(lambda: optimizer.tell(x + 0.5, np.zeros(len(x))))

    def test_tell_needs_a_value_for_each_point(self) -> None:
        optimizer = self.optimizer()
        x = optimizer.ask()
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x) + 1)))

    def test_a_refused_call_loses_nothing(self) -> None:
        optimizer = self.optimizer()
        other = self.optimizer()
        x = optimizer.ask()
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x) + 1)))
        self._refuses(lambda: optimizer.load_state_dict({}))
        assert np.array_equal(self.play(optimizer)[0], self.play(other)[0])

    def test_the_same_seed_gives_the_same_points(self) -> None:
        assert np.array_equal(self.play(self.optimizer())[0], self.play(self.optimizer())[0])

    def test_a_saved_state_goes_on_bit_for_bit(self) -> None:
        for before in (0, 1, self.rounds):
            first = self.optimizer()
            second = self.optimizer(seed=1)
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
        assert all(saved[name].tobytes() == before[name].tobytes() for name in _arrays(before))

    def test_stop_is_empty_or_has_reasons(self) -> None:
        reasons = self.optimizer().stop()
        assert isinstance(reasons, dict) and all(isinstance(name, str) for name in reasons)


class SpaceTests:
    """Invariants of a space: its parameters have allowed values at every point."""

    def space(self) -> Mapping[str, Any]:
        """Parameters by name, as for `minimize(space=...)`."""
        raise NotImplementedError("return the space that is to be tested")

    def _points(self) -> tuple[Space, Floats]:
        """The space, and points of its box: corners and others."""
        space = Space(self.space())
        x = _points_of(space.bounds, 40)
        whole = np.array(space.integrality) | np.array(space.categorical)
        return space, np.where(whole, np.rint(x), x)

    def test_bounds_are_finite_and_in_order(self) -> None:
        low, high = np.array(Space(self.space()).bounds).T
        assert np.isfinite([low, high]).all() and (low <= high).all()

    def test_every_coordinate_has_a_name_and_one_kind(self) -> None:
        space = Space(self.space())
        count = len(space.bounds)
        assert len(set(space.names)) == len(space.integrality) == len(space.categorical) == count
        assert not any(i and c for i, c in zip(space.integrality, space.categorical, strict=True))

    def test_every_point_has_allowed_parameters(self) -> None:
        space, x = self._points()
        for params in map(space.decode, x):
            wrong = [
                name for name, value in params.items() if not space.parameter(name).allows(value)
            ]
            assert not wrong

    def test_the_same_point_has_the_same_parameters(self) -> None:
        space, x = self._points()
        assert [space.decode(point) for point in x] == [space.decode(point) for point in x]

    def test_parameters_lead_back_to_themselves(self) -> None:
        space, x = self._points()
        for params in map(space.decode, x):
            again = space.decode(space.encode(params))
            assert again.keys() == params.keys()
            for name, value in params.items():
                close = isinstance(value, float) and math.isclose(
                    value, again[name], rel_tol=1e-9, abs_tol=1e-12
                )
                assert close or value == again[name]

    def test_fixed_parameters_are_always_there(self) -> None:
        space, x = self._points()
        given = {name: p.value for name, p in self.space().items() if isinstance(p, Fixed)}
        assert all(given.items() <= space.decode(point).items() for point in x)

    def test_a_search_returns_parameters_of_the_space(self) -> None:
        r = _minimize.minimize(
            lambda params: float(len(params)), space=self.space(), max_evals=20, seed=0
        )
        assert r.params is not None
        assert all(Space(self.space()).parameter(name).allows(v) for name, v in r.params.items())


class ObjectiveTests:
    """Invariants of an objective, or of a wrapper around one.

    Attributes:
        bounds: domain of the objective.
        deterministic: whether a point always has the same value.
    """

    bounds: ClassVar[Bounds] = [(-4.0, 3.0)] * 3
    deterministic = True

    def objective(self) -> Fun:
        """A new objective, ``(D,) -> float``."""
        raise NotImplementedError("return the objective that is to be tested")

    def points(self) -> Floats:
        """Points of the box, (n, D), corners included."""
        return _points_of(self.bounds, 8)

    def _values(self, points: Floats) -> list[float]:
        fun = self.objective()
        return [float(fun(x.copy())) for x in points]

    def test_a_point_has_one_number(self) -> None:
        fun = self.objective()
        assert all(np.size(fun(x.copy())) == 1 for x in self.points())

    def test_values_are_finite_in_the_whole_box(self) -> None:
        assert np.isfinite(self._values(self.points())).all()

    def test_the_argument_is_left_alone(self) -> None:
        fun = self.objective()
        points = self.points()
        before = points.copy()
        for x in points:
            fun(x)
        assert np.array_equal(points, before)

    def test_a_point_has_one_value(self) -> None:
        fun = self.objective()
        first, second = ([float(fun(x.copy())) for x in self.points()] for _ in range(2))
        assert first == second or not self.deterministic

    def test_the_order_of_calls_does_not_matter(self) -> None:
        points = self.points()
        same = self._values(points) == self._values(points[::-1])[::-1]
        assert same or not self.deterministic

    def test_threads_do_not_matter(self) -> None:
        fun = self.objective()
        points = self.points()
        with ThreadPoolExecutor(4) as pool:
            values = list(pool.map(lambda x: float(fun(x.copy())), points))
        assert values == self._values(points) or not self.deterministic

    def test_processes_can_be_sent_it(self) -> None:
        fun = self.objective()
        x = self.points()[0]
        sent = pickle.loads(pickle.dumps(fun))
        assert float(sent(x.copy())) == float(fun(x.copy())) or not self.deterministic

    def test_a_search_finds_what_it_says(self) -> None:
        r = _minimize.minimize(
            self.objective(), self.bounds, max_evals=40, seed=0, noisy=not self.deterministic
        )
        assert not self.deterministic or r.fun == float(self.objective()(r.x.copy()))


def _points_of(bounds: Bounds, count: int) -> Floats:
    """Points of a box, (count, D), two opposite corners first."""
    low, high = np.array(bounds).T
    share = np.random.default_rng(0).random((count, len(low)))
    share[:2] = [[0.0], [1.0]]
    return low + share * (high - low)


def _global_states() -> list[bytes]:
    """The states of the global generators, torch's if imported."""
    states = [repr(random.getstate()).encode(), pickle.dumps(np.random.get_state())]
    torch = sys.modules.get("torch")
    return states if torch is None else [*states, torch.get_rng_state().numpy().tobytes()]


def _arrays(saved: Mapping[str, Any]) -> list[str]:
    return [name for name, value in saved.items() if isinstance(value, np.ndarray)]


def _copy(x: Any) -> Floats:
    """A copy of an array or tensor, as an array."""
    return np.asarray(x).astype(np.float64)


__all__ = ["ObjectiveTests", "OptimizerTests", "RecipeTests", "SpaceTests", "Watched", "valley"]
