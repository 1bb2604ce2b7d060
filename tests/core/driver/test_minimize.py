"""minimize and maximize: budgets, forms of the objective, failures, workers, checkpoints."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import sys
import threading

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.driver.options import Options

BOX = [(-5.0, 5.0)] * 3


def bowl(x):
    return float(np.sum((x - 1.0) ** 2))


class Counting:
    """An objective that counts how many points it was given, and keeps them."""

    def __init__(self, fun):
        self.fun, self.points, self.lock = fun, [], threading.Lock()

    def __call__(self, x):
        with self.lock:
            self.points += [row.copy() for row in np.atleast_2d(x)]
        return self.fun(x)


# the one call gives NaN
@example(max_evals=1, population=None, vectorized=True, retries=0, seed=97)
@example(max_evals=2, population=3, vectorized="auto", retries=2, seed=0)
@given(
    max_evals=st.integers(1, 130),
    population=st.one_of(st.none(), st.integers(1, 50)),
    vectorized=st.sampled_from(["auto", True, False]),
    retries=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_never_more_evaluations_than_allowed(max_evals, population, vectorized, retries, seed):
    def flaky(x):
        value = np.sum(x**2, axis=-1)
        return (
            np.where(value > 40, np.nan, value)
            if np.ndim(value)
            else value
            if value < 40
            else math.nan
        )

    fun = Counting(flaky)
    r = pso.minimize(
        fun,
        BOX,
        max_evals=max_evals,
        population=population,
        vectorized=vectorized,
        on_error=("retry", retries),
        seed=seed,
    )
    assert r.nfev == len(fun.points) <= max_evals
    assert r.nfev == max_evals or vectorized is True
    assert not math.isnan(r.fun) and (not math.isfinite(r.fun) or r.fun == float(flaky(r.x)))


def test_limits_and_their_names():
    assert pso.minimize(bowl, BOX, max_iter=7, seed=0).stop == {"max_iter": 7}
    r = pso.minimize(bowl, BOX, max_evals=10**5, target=0.5, seed=0)
    assert r.stop == {"target": r.fun} and r.fun <= 0.5 and r.success
    missed = pso.minimize(bowl, BOX, max_evals=100, target=-1.0, seed=0)
    assert missed.stop == {"max_evals": 100} and not missed.success
    assert pso.minimize(bowl, [(-5, 5)], seed=0).nfev == 1000
    long = pso.minimize(
        bowl, BOX, recipe=pso.recipes.model_swarms(patience=10**6), max_iter=60, seed=0
    )
    assert long.nit == 60 and long.stop == {"max_iter": 60}
    stagnant = pso.minimize(lambda x: 0.0, BOX, recipe="model_swarms", seed=0)
    assert stagnant.stop == {"patience": 10} and stagnant.nit == 10


def test_callback_sees_the_best_so_far_and_can_stop():
    seen = []

    def watch(result):
        seen.append(result)
        return len(seen) == 4

    r = pso.minimize(bowl, BOX, callback=watch, max_evals=10**4, seed=0)
    assert len(seen) == 4 and r.nit == 3 and "callback" in r.stop
    assert [s.fun for s in seen] == sorted((s.fun for s in seen), reverse=True)
    assert all(s.fun == bowl(s.x) for s in seen)

    def raise_stop(result):
        raise StopIteration

    assert pso.minimize(bowl, BOX, callback=raise_stop, seed=0).nit == 0


# --- forms of the objective ---


def only_batches(x):
    return np.sum((x - 1.0) ** 2, axis=1)


def both(x):
    return np.sum((x - 1.0) ** 2, axis=-1)


@pytest.mark.parametrize("dim", [1, 2, 3, 40])
def test_a_vectorised_objective_is_recognised(dim):
    calls = []

    def fun(x):
        calls.append(np.shape(x))
        return only_batches(x)

    r = pso.minimize(fun, [(-5, 5)] * dim, "constriction", population=40, max_evals=2000, seed=0)
    assert max(len(shape) for shape in calls) == 2 and len(calls) < 60
    assert r.fun == only_batches(r.x[None])[0] and r.nfev <= 2000


def test_fun_of_x_is_the_result_even_if_batches_round_differently():
    def fun(x):  # another last bit when it is one of many
        return np.sum(x**2, axis=-1) * (1 + 1e-15 if np.ndim(x) == 2 else 1)

    r = pso.minimize(fun, BOX, max_evals=500, seed=0, vectorized=True)
    assert r.fun == fun(r.x)


@pytest.mark.parametrize(
    ("fun", "vectorized", "error", "message"),
    [
        (lambda x: x, "auto", ValueError, "must give a number"),
        (lambda x: x, False, ValueError, "number"),
        (lambda x: np.zeros((len(x), 1)), True, ValueError, "for each"),
        (lambda x: "low", "auto", ValueError, "number"),
        (lambda x: None, "auto", ValueError, "number"),
        (lambda x: 1 / 0, "auto", ZeroDivisionError, "division"),
        (3.0, "auto", TypeError, "cannot be called"),
    ],
)
def test_an_objective_of_the_wrong_form_is_refused(fun, vectorized, error, message):
    with pytest.raises(error, match=message):
        pso.minimize(fun, BOX, vectorized=vectorized, max_evals=100, seed=0)


# --- failures ---


def test_an_error_is_raised_or_counts_as_the_worst_or_is_tried_again():
    def fails_left(x):
        if x[0] < 0:
            raise RuntimeError("left")
        return bowl(x)

    with pytest.raises(RuntimeError, match="left"):
        pso.minimize(fails_left, BOX, max_evals=200, seed=0)
    r = pso.minimize(fails_left, BOX, max_evals=2000, seed=0, on_error="worst")
    assert r.fun == bowl(r.x) < 0.01 and r.x[0] >= 0

    tries: dict[bytes, int] = {}

    def fails_twice(x):
        tries[x.tobytes()] = tries.get(x.tobytes(), 0) + 1
        if tries[x.tobytes()] < 3:
            raise OSError("try again")
        return bowl(x)

    steady = pso.minimize(bowl, BOX, max_iter=5, seed=0)
    r = pso.minimize(fails_twice, BOX, max_iter=5, seed=0, on_error=("retry", 2), vectorized=False)
    # the call that looks for noise is the last one
    assert np.array_equal(r.x, steady.x) and r.nfev - 1 == 3 * (steady.nfev - 1)
    tries.clear()
    with pytest.raises(OSError, match="try again"):
        pso.minimize(fails_twice, BOX, max_iter=5, seed=0, on_error=("retry", 1))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failure_of_the_last_call_does_not_cost_the_result(workers, asynchronous):
    calls = itertools.count(1)

    def fails_last(x):
        if next(calls) == 40:
            raise OSError("try again")
        return bowl(x)

    options = {"seed": 0, "max_evals": 40, "workers": workers, "asynchronous": asynchronous}
    r = pso.minimize(fails_last, BOX, **options, on_error=("retry", 2))
    assert r.nfev == 40 and r.success and r.fun == bowl(r.x)
    calls = itertools.count(1)
    with pytest.raises(OSError, match="try again"):
        pso.minimize(fails_last, BOX, **options)


# --- x0, integers, checkpoint ---


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path, vectorized):
    fun = both
    path = tmp_path / "search.npz"
    whole = pso.minimize(fun, BOX, max_evals=1000, seed=7, vectorized=vectorized)

    class KilledError(Exception):
        pass

    for survive in (1, 90, 200, 430, 900):
        left = survive

        def mortal(x):
            nonlocal left
            left -= len(np.atleast_2d(x))
            if left < 0:
                raise KilledError
            return fun(x)

        with pytest.raises(KilledError):
            pso.minimize(
                mortal, BOX, max_evals=1000, seed=7, vectorized=vectorized, checkpoint=path
            )
        r = pso.minimize(fun, BOX, max_evals=1000, seed=7, vectorized=vectorized, checkpoint=path)
        assert np.array_equal(r.x, whole.x) and (r.fun, r.nfev, r.nit) == (
            whole.fun,
            whole.nfev,
            whole.nit,
        )
        assert list(r.history) == list(whole.history)
        done = Counting(fun)
        again = pso.minimize(
            done, BOX, max_evals=1000, seed=7, vectorized=vectorized, checkpoint=path
        )
        # a finished search calls fun for its best point alone: is it the same function, and what is
        # its value by itself
        assert (
            again.fun == whole.fun
            and again.nfev == whole.nfev
            and len(done.points) == 1 + vectorized
        )
        path.unlink()


def test_every_argument_is_passed_on(monkeypatch):
    """The arguments are those of `Options`; one that is left out would be its default, silently."""
    module = sys.modules["pyswarmopt._minimize"]
    monkeypatch.setattr(module, "Options", dict)
    monkeypatch.setattr(module, "_search", lambda options, maximize: (options, maximize))
    names = [field.name for field in dataclasses.fields(Options)]
    for function, maximize in (pso.minimize, False), (pso.maximize, True):
        assert list(inspect.signature(function).parameters) == names
        given = {name: object() for name in names}
        assert function(**given) == (given, maximize)


def test_a_checkpoint_of_another_search_is_refused(tmp_path):
    path = tmp_path / "search.npz"
    pso.minimize(bowl, BOX, max_evals=100, seed=7, checkpoint=path)
    for change in ({"seed": 8}, {"population": 7}, {"bounds": [(-5, 4)] * 3}, {"x0": [0, 0, 0]}):
        with pytest.raises(ValueError, match=next(iter(change))):
            pso.minimize(
                bowl, **{"bounds": BOX, "max_evals": 100, "seed": 7, "checkpoint": path, **change}
            )
    with pytest.raises(ValueError, match="maximize"):
        pso.maximize(bowl, BOX, max_evals=100, seed=7, checkpoint=path)
    with pytest.raises(ValueError, match="other recipe, population"):
        pso.minimize(
            bowl, BOX, "model_swarms", population=5, max_evals=100, seed=7, checkpoint=path
        )
    pso.Swarm(bounds=BOX).save(path)
    with pytest.raises(ValueError, match="not one of minimize"):
        pso.minimize(bowl, BOX, max_evals=100, seed=7, checkpoint=path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bounds": (-5, 5)}, "do not tell the dimension"),
        ({"max_evals": 0}, "max_evals=0"),
        ({"max_iter": -1}, "max_iter=-1"),
        ({"workers": 0}, "workers=0"),
        ({"vectorized": "yes"}, "vectorized='yes'"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"on_error": ("retry", -1)}, "on_error"),
        ({"workers": "proceses:2"}, "workers='proceses:2'"),
        ({"workers": "threads:0"}, "workers='threads:0'"),
        ({"history": "all"}, "history='all'"),
        ({"workers": "processes:2"}, "cannot be sent to processes"),
        ({"categorical": [1, 0]}, "categorical must have shape"),
        ({"categorical": 1, "integrality": 1}, "both in integrality and in categorical"),
        ({"x0": [0.0, 0.0, 9.0]}, r"x0\[0\]\[2\] = 9.0"),
        ({"x0": [0.0, 0.0]}, "dimension is 2"),
        ({"integrality": [1, 0]}, "integrality must have shape"),
        ({"bounds": [(0.2, 0.8)] * 3, "integrality": 1}, "no integer lies"),
    ],
)
def test_bad_arguments_stop_before_the_first_evaluation(arguments, message):
    fun = Counting(bowl)
    with pytest.raises(ValueError, match=message):
        pso.minimize(fun, **{"bounds": BOX, **arguments})
    assert not fun.points


# --- one rule for bounds and masks ---


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(3, 3), (2, 2)], "nothing to search"),
        ((np.ones(3), np.ones(3)), "nothing to search"),
        ([(None, None)] * 2, "finite"),
        ([(-math.inf, 1)] * 2, "finite"),
        ([(0, None)], "finite"),
        ([(-1e308, 1e308)] * 2, "wider than float64 can measure"),
        ([(-1, 1), (-1e200, 1e200)], "coordinate 1 .* wider than float64 can measure"),
        (([0, 1, 2], [1, 2, 3]), "two NumPy arrays"),
        ([], "one pair of finite numbers"),
        (([0, 0], [1, 1]), "may be two pairs"),
    ],
)
def test_bounds_that_bound_nothing_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        pso.minimize(bowl, bounds, max_evals=10)


@pytest.mark.parametrize("name", ["integrality", "categorical"])
@pytest.mark.parametrize(
    "mask", [[0], [1], [True], [2, 0, 0], ["a", "b", "c"], [[1, 0, 0]], [0.5, 0, 0], [None] * 3]
)
def test_a_mask_has_a_truth_value_for_each_coordinate(name, mask):
    with pytest.raises(ValueError, match=name):
        pso.minimize(bowl, BOX, max_evals=10, **{name: mask})
