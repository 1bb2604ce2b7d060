"""What users of other libraries expect: results, limits of time, workers, constraints with
SciPy's sign.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pytest
from executors import Bare, Client
from swarm_runs import bowl
from watched import Watched

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3
STRICT = {"type": "ineq", "fun": lambda x: x[0], "keep_feasible": True}


# ---- the result ----


def test_a_result_is_a_mapping_of_its_fields():
    r = pso.minimize(bowl, BOX, max_evals=200, seed=0)
    assert isinstance(r, Mapping) and r["fun"] == r.fun
    assert dict(r)["x"] is r.x and {**r}["nfev"] == 200
    assert {"x", "fun", "success", "message", "nfev", "nit", "maxcv"} <= set(r)
    with pytest.raises(KeyError):
        r["population"]


# ---- time ----


class Clock:
    """Stands for the clock: a call of the objective takes a second."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def __call__(self, x):
        self.now += 1.0
        return bowl(x)


@pytest.mark.parametrize("recipe", [None, "constriction"])
def test_no_call_begins_after_the_timeout(monkeypatch, recipe):
    fun = Clock(monkeypatch)
    r = pso.minimize(fun, BOX, recipe, max_evals=500, seed=0, timeout=25)
    assert r.nfev == 25 and list(r.stop) == ["timeout"] and "time limit" in r.message
    assert r.fun == bowl(r.x)


def test_progress_is_one_line(capsys):
    pso.minimize(bowl, BOX, "constriction", population=5, max_evals=100, seed=0, progress=True)
    *_, end = lines = capsys.readouterr().err.split("\r")
    assert len(lines) == 22 and end.startswith("evaluations 100, best ") and end[-1] == "\n"


# ---- workers ----


@pytest.mark.parametrize("how", [{}, {"recipe": "fips"}])
def test_asynchronous_searches_take_any_future(how):
    def search(workers):
        options = {"max_evals": 80, "seed": 0, "workers": workers, "asynchronous": True}
        return pso.minimize(bowl, BOX, **options, **how)

    assert search(Client()).nfev == search(Bare()).nfev == 80


def test_particles_that_move_one_by_one_are_not_called_where_that_is_forbidden():
    watched = Watched(bowl)
    pso.minimize(watched, BOX, max_evals=80, seed=0, asynchronous=True, constraints=STRICT)
    assert watched.points and all(x[0] >= 0 for x in watched.points)


# ---- SciPy's constraints and arguments ----


def test_constraint_dicts_have_scipys_sign():
    optimize = pytest.importorskip("scipy.optimize")

    def cost(x):
        return float((x**2).sum())

    dicts = [
        {"type": "ineq", "fun": lambda x: x[0] - 2.0},  # x0 >= 2
        {"type": "eq", "fun": lambda x: x[0] + x[1] - 3.0},
    ]
    theirs = optimize.minimize(cost, [1.0, 1.0, 1.0], bounds=BOX, constraints=dicts, method="SLSQP")
    ours = pso.minimize(cost, BOX, constraints=dicts, max_evals=1000, seed=0)
    assert ours.feasible and ours.maxcv <= 1e-4 and ours.fun == pytest.approx(theirs.fun, abs=0.02)


def two(x):
    return bowl(x), float(x[0])


def test_a_function_of_several_objectives_is_one_for_minimize_multi():
    with pytest.raises(ValueError, match=r"pso\.minimize_multi"):
        pso.minimize(two, BOX)


@pytest.mark.parametrize("recipe", [None, "constriction"])
def test_a_generator_is_a_seed(recipe, tmp_path):
    def search(seed, max_evals=12, **how):
        return pso.minimize(bowl, BOX, recipe, population=4, max_evals=max_evals, seed=seed, **how)

    first, same, other = (search(np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first.x, same.x) and not np.array_equal(first.x, other.x)
    rng = np.random.default_rng(1)
    # it was advanced
    assert np.array_equal(search(rng).x, first.x) and not np.array_equal(search(rng).x, first.x)
    path = tmp_path / "c.npz"
    search(np.random.default_rng(1), checkpoint=path)
    # a generator in the same state goes on
    assert search(np.random.default_rng(1), 24, checkpoint=path).nfev == 24
    with pytest.raises(ValueError, match="seed="):
        search(np.random.default_rng(2), 24, checkpoint=path)


def test_vectorized_is_told_and_not_guessed():
    """A function that takes many and gets one fails with its own error, whose note says what to do."""
    with pytest.raises(IndexError, match=r"(?s)axis 1.*vectorized=True"):
        pso.minimize(lambda x: (x**2).sum(axis=1), BOX, max_evals=9)
    with pytest.raises(ValueError, match=r"got array\(.*vectorized=True"):
        pso.minimize(lambda x: x**2, BOX, max_evals=9)
    with pytest.raises(ValueError, match="vectorized='auto'"):
        pso.minimize(bowl, BOX, vectorized="auto", max_evals=9)
