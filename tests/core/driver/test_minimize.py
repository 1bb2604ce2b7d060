"""minimize and maximize: budgets, forms of the objective, failures, workers, checkpoints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from swarm_runs import bowl, same_result

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3


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


@pytest.mark.parametrize("options", [{}, {"recipe": "constriction"}, {"asynchronous": True}])
def test_a_callback_that_changes_its_result_changes_no_search(options):
    def change(result):
        result.x[:] = 50

    plain = pso.minimize(bowl, BOX, max_evals=40, seed=0, **options)
    watched = pso.minimize(bowl, BOX, max_evals=40, seed=0, callback=change, **options)
    assert watched.x.tolist() == plain.x.tolist() and watched.fun == plain.fun == bowl(plain.x)


# --- forms of the objective ---


# --- failures ---


# --- x0, integers, checkpoint ---


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path, vectorized):
    calls = 0

    def search(dies_after=10**9, **checkpoint):
        nonlocal calls
        calls = 0

        def mortal(x):
            nonlocal calls
            calls += len(np.atleast_2d(x))
            if calls > dies_after:
                raise InterruptedError
            return np.sum((x - 1.0) ** 2, axis=-1)

        options = {"max_evals": 1000, "seed": 7, "vectorized": vectorized}
        return pso.minimize(mortal, BOX, **options, **checkpoint)

    whole = search()
    for survive in (1, 200, 900):
        path = tmp_path / f"{survive}.npz"
        with pytest.raises(InterruptedError):
            search(survive, checkpoint=path)
        assert same_result(search(checkpoint=path), whole)
        # a finished search calls fun at its best point once: is it the same function? Its final
        # stage, the value there by itself, is in the checkpoint
        assert same_result(search(checkpoint=path), whole) and calls == 1


def test_a_checkpoint_of_another_search_is_refused(tmp_path):
    path = tmp_path / "search.npz"
    search = {"fun": bowl, "bounds": BOX, "max_evals": 100, "seed": 7, "checkpoint": path}
    pso.minimize(**search)
    for change in (
        {"seed": 8}, {"population": 7}, {"bounds": [(-5, 4)] * 3}, {"x0": [0, 0, 0]},
        {"history": "particles"}, {"asynchronous": True}, {"noisy": True},
        {"recipe": "model_swarms", "population": 5},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=".*, ".join(change)):
            pso.minimize(**search | change)
    with pytest.raises(ValueError, match="maximize"):
        pso.maximize(**search)
    pso.Swarm(bounds=BOX).save(path)
    with pytest.raises(ValueError, match="no entry 'problem'"):
        pso.minimize(**search)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failure_of_the_last_call_does_not_cost_the_result(workers, asynchronous):
    calls = itertools.count(1)

    def fails_last(x):
        if next(calls) == 40:
            raise OSError("try again")
        return bowl(x)

    options = {"seed": 0, "max_evals": 40, "workers": workers, "asynchronous": asynchronous}
    r = pso.minimize(fails_last, BOX, **options, on_error="worst")
    assert r.nfev == 40 and r.success and r.fun == bowl(r.x)
