"""Invariants of a recipe, search by search."""

from __future__ import annotations

import functools
import math
import pickle
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyswarmopt import _minimize
from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.result import Result
from pyswarmopt.testing.watched import Bounds, Fun, Watched, valley

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.parts.velocity import Term


def _with_holes(bad: float, x: Floats) -> float:
    return bad if x[0] < 0.5 else float(valley(x))


def _first_values(points: Any, values: Any) -> dict[tuple[float, ...], float]:
    """Each distinct point once, in order of first evaluation, with its value."""
    found: dict[tuple[float, ...], float] = {}
    for x, value in zip(points, values, strict=True):
        found.setdefault(tuple((np.asarray(x) + 0.0).tolist()), float(value))
    return found


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


def _global_states() -> list[bytes]:
    """The states of the global generators, torch's if imported."""
    states = [repr(random.getstate()).encode(), pickle.dumps(np.random.get_state())]
    torch = sys.modules.get("torch")
    return states if torch is None else [*states, torch.get_rng_state().numpy().tobytes()]
