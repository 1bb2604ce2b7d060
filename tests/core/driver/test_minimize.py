"""minimize and maximize: budgets, forms of the objective, failures, workers, checkpoints."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import sys
import threading

import numpy as np
import pytest

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
    for change in (
        {"seed": 8},
        {"population": 7},
        {"bounds": [(-5, 4)] * 3},
        {"x0": [0, 0, 0]},
        {"history": "particles"},
    ):
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
