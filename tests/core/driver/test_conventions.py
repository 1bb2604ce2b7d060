"""What users of other libraries expect: results, limits of time, workers, constraints with SciPy's sign, names."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3


def bowl(x):
    return float(((x - 1) ** 2).sum())


def hangs_at_the_left(x):
    if x[0] < 0:
        time.sleep(60)
    return bowl(x)


# ---- the result ----


def test_a_result_is_a_mapping_of_its_fields():
    r = pso.minimize(bowl, BOX, max_evals=200, seed=0)
    assert isinstance(r, Mapping) and r["fun"] == r.fun and dict(r)["x"] is r.x and {**r}["nfev"] == 200
    assert {"x", "fun", "success", "status", "message", "nfev", "nit", "maxcv"} <= set(r)
    with pytest.raises(KeyError):
        r["population"]


def test_a_result_is_printed_as_scipys_is():
    optimize = pytest.importorskip("scipy.optimize")
    ours = repr(pso.minimize(bowl, BOX, max_evals=200, seed=0)).splitlines()
    theirs = repr(optimize.differential_evolution(bowl, BOX, maxiter=5, seed=0)).splitlines()
    named = {line.partition(":")[0].strip(): line.partition(":")[2] for line in ours}
    shared = [line.partition(":")[0].strip() for line in theirs]
    assert [name for name in shared if name in named] == [n for n in named if n in shared]
    assert len({line.index(":") for line in ours}) == 1  # in one column
    assert named["nfev"] == " 200" and named["x"] == " [1. 1. 1.]"


def test_status_says_why_there_is_no_success():
    assert pso.minimize(bowl, BOX, max_evals=50, seed=0).status == 0
    missed = pso.minimize(bowl, BOX, max_evals=50, seed=0, target=-1.0)
    assert (missed.success, missed.status) == (False, 1)
    stopped = pso.minimize(bowl, BOX, max_evals=50, seed=0, target=-1.0, callback=lambda r: True)
    assert stopped.status == 99
    assert pso.minimize(lambda x: np.nan, BOX, max_evals=50, seed=0).status == 3
    assert pso.minimize(bowl, BOX, max_evals=50, seed=0, constraints=lambda x: 1.0).status == 4


def test_a_budget_that_ends_before_the_recipes_tolerance_is_no_success():
    recipe = pso.recipes.constriction(population=10)
    tight = pso.compose(
        [pso.inertia(0.7), pso.cognitive(1.4), pso.social(1.4)], stop=[pso.stopping.Spread(1e-3)], population=10
    )
    assert pso.minimize(bowl, BOX, recipe, max_evals=100, seed=0).success
    short, long = (pso.minimize(bowl, BOX, tight, max_evals=n, seed=0) for n in (100, 20_000))
    assert (short.success, short.status, "max_evals" in short.stop) == (False, 1, True)
    assert (long.success, long.status, "spread" in long.stop) == (True, 0, True)


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
    assert r.nfev == 25 and list(r.stop) == ["max_time"] and "limit of time" in r.message
    assert r.fun == bowl(r.x)


def test_a_timeout_alone_is_the_only_limit(monkeypatch):
    r = pso.minimize(Clock(monkeypatch), [(-5, 5)], "constriction", seed=0, timeout=1200)
    assert r.nfev == 1200 and list(r.stop) == ["max_time"]


def test_the_timeout_holds_in_an_asynchronous_search(monkeypatch):
    fun = Clock(monkeypatch)
    r = pso.minimize(fun, BOX, max_evals=500, seed=0, timeout=25, asynchronous=True)
    assert r.nfev == 25 and "max_time" in r.stop


def test_a_call_that_takes_too_long_fails():
    limits = {"max_evals": 12, "seed": 0, "evaluation_timeout": 0.3}
    with pytest.raises(TimeoutError, match=r"longer than evaluation_timeout=0\.3"):
        pso.minimize(hangs_at_the_left, BOX, "constriction", **limits)
    r = pso.minimize(hangs_at_the_left, BOX, "constriction", on_error="worst", history="particles", **limits)
    values = {record.x[0] >= 0: np.isfinite(record.value) for record in r.history}
    assert values == {True: True, False: False} and r.x[0] >= 0


@pytest.mark.slow
def test_a_call_that_takes_too_long_fails_in_a_process():
    r = pso.minimize(
        hangs_at_the_left, BOX, "constriction", max_evals=12, seed=0, evaluation_timeout=0.3, on_error="worst",
        workers="processes:2",
    )  # fmt: skip
    assert r.x[0] >= 0 and r.fun == bowl(r.x) and r.nfev == 12


def test_calls_that_cannot_be_interrupted_are_refused():
    with pytest.raises(ValueError, match="workers=1 or 'processes:N'"):
        pso.minimize(bowl, BOX, workers=2, evaluation_timeout=1)
    for name in ("timeout", "evaluation_timeout"):
        with pytest.raises(ValueError, match=f"{name}=0: it must be"):
            pso.minimize(bowl, BOX, **{name: 0})


def test_progress_shows_the_share_and_the_time_left(monkeypatch, capsys):
    fun = Clock(monkeypatch)
    pso.minimize(fun, BOX, "constriction", max_evals=100, seed=0, progress=True)
    lines = [line for line in capsys.readouterr().err.split("\r") if line.strip()]
    for line in lines:
        share = int(re.search(r"(\d+)%", line)[1])
        assert line.count("#") == share // 5 and f"evaluations {share}  best" in line
        assert f"0:{(100 - share) // 60:02}:{(100 - share) % 60:02} left" in line
    assert "100%" in lines[-1]


def test_a_search_writes_to_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="pyswarmopt"):
        r = pso.minimize(bowl, BOX, max_evals=60, seed=0)
    assert caplog.messages == [f"memetic: {r.message}; best {r.fun:.6g} after 60 evaluations"]


# ---- workers ----


def test_all_cores_and_an_executor_give_the_same_result():
    with ThreadPoolExecutor(2) as pool:
        found = [pso.minimize(bowl, BOX, "fips", max_evals=80, seed=0, workers=w) for w in (1, -1, pool)]
        assert pool.submit(abs, -3).result() == 3  # it stays open
    assert len({r.fun for r in found}) == 1


# ---- SciPy's constraints and arguments ----


def test_constraint_dicts_have_scipys_sign():
    optimize = pytest.importorskip("scipy.optimize")

    def cost(x):
        return float((x**2).sum())

    dicts = [
        {"type": "ineq", "fun": lambda x, least: x[0] - least, "args": (2.0,)},  # x0 >= 2
        {"type": "eq", "fun": lambda x: x[0] + x[1] - 3.0},
    ]
    theirs = optimize.minimize(cost, [1.0, 1.0, 1.0], bounds=BOX, constraints=dicts, method="SLSQP")
    ours = pso.minimize(cost, BOX, constraints=dicts, max_evals=20_000, seed=0)
    assert ours.maxcv == 0 and ours.fun == pytest.approx(theirs.fun, abs=0.02)
    for wrong in ({"type": "le", "fun": bowl}, {"type": "eq"}, {"type": "eq", "fun": bowl, "lb": 0}):
        with pytest.raises(ValueError, match="'ineq' or 'eq'"):
            pso.minimize(cost, BOX, constraints=wrong)


def test_more_arguments_reach_the_objective():
    r = pso.minimize(lambda x, a, b: ((x - a) ** 2).sum() + b, BOX, args=(2.0, 7.0), max_evals=200, seed=0)
    assert np.allclose(r.x, 2.0) and r.fun == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [("maxiter", "max_iter"), ("popsize", "population"), ("n_trials", "max_evals"), ("disp", "progress"),
     ("max_eval", "max_evals"), ("n_particles", "population"), ("random_state", "seed")],
)  # fmt: skip
def test_a_name_of_another_library_is_answered_by_ours(foreign, ours):
    for search in (pso.minimize, pso.maximize):
        with pytest.raises(TypeError, match=rf"has no argument {foreign}; here it is {ours}="):
            search(bowl, BOX, **{foreign: 3})
    with pytest.raises(TypeError, match="has no argument qwertz; there is fun, bounds"):
        pso.minimize(bowl, BOX, qwertz=1)
