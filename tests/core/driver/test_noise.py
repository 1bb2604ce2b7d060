"""Noisy objectives: allocation against the theorem, samples against NumPy, searches against the
truth.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from swarm_runs import bowl
from watched import Watched

import pyswarmopt as pso
from pyswarmopt.driver.resampling import Sample, allocate

BOX = [(-5.0, 5.0)] * 3


def with_noise(seed, sigma=1.0):
    """A bowl and a normal error, from a generator of its own."""
    random = np.random.default_rng(seed)
    return Watched(lambda x: bowl(x) + sigma * random.normal())


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_a_sample_is_its_mean_and_standard_error(values):
    sample = Sample(np.zeros(1))
    for value in values:
        sample = sample.add(value)
    assert sample.n == len(values) and sample.add(math.nan).add(1.0).mean == math.inf
    assert math.isclose(sample.mean, np.mean(values), rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(
        sample.stderr, np.std(values, ddof=1) / math.sqrt(len(values)), rel_tol=1e-6, abs_tol=1e-6
    )


def test_allocation_is_that_of_the_theorem():
    # Means 0, 1, 2, 4 with equal noise: N_2 : N_3 : N_4 = 16 : 4 : 1 and N_1 = sqrt(16^2 + 4^2 + 1)
    # = 16.523
    ones = np.ones(4, dtype=np.int64)
    more = allocate(np.array([0.0, 1.0, 2.0, 4.0]), np.full(4, 1e-6), ones, budget=37523 - 4)
    assert np.allclose(more + 1, [16523, 16000, 4000, 1000], atol=1)
    # Deviations 2, 1, 3: N_2 : N_3 = 1 / 1 : 9 / 4 and N_1 = 2 sqrt(1 / 1 + (9 / 4)^2 / 9) = 2.5
    more = allocate(np.array([0.0, 1.0, 2.0]), np.array([4.0, 1.0, 9.0]), ones[:3], budget=5750 - 3)
    assert np.allclose(more + 1, [2500, 1000, 2250], atol=1)


def test_a_lucky_draw_does_not_stay_the_best():
    plain, honest, careful = [], [], []
    for seed in range(4):
        fun = with_noise(seed)
        r = pso.minimize(fun, BOX, max_evals=2000, seed=seed)
        # the point was chosen for its luck; what is reported is another draw there, the last call
        assert r.fun == fun.values[-1] and np.array_equal(fun.points[-1], r.x)
        assert r.history[-1].best == min(fun.values[:-1]) and "noisy=True" in r.message
        plain.append(r.history[-1].best - bowl(r.x))
        honest.append(r.fun - bowl(r.x))
        fun = with_noise(seed)
        r = pso.minimize(fun, BOX, max_evals=2000, seed=seed, noisy=True)
        assert r.nfev == len(fun.values) <= 2000 and r.n_best == 100
        # the draws at the end, none of which had a say in the choice
        assert all(np.array_equal(x, r.x) for x in fun.points[-100:])
        assert r.fun == pytest.approx(np.mean(fun.values[-100:]))
        assert r.fun_stderr == pytest.approx(np.std(fun.values[-100:], ddof=1) / 10)
        careful.append((r.fun - bowl(r.x)) / r.fun_stderr)
    assert max(plain) < -2  # the luckiest of 2000 draws
    assert abs(np.mean(honest)) < 3 / math.sqrt(4)  # one draw of standard deviation 1 each
    # unbiased and of the size that the standard error says
    assert abs(np.mean(careful)) < 3 / math.sqrt(4) and max(map(abs, careful)) < 4


def test_the_target_means_the_mean():
    fun = with_noise(2, sigma=3.0)
    r = pso.minimize(fun, BOX, max_evals=10_000, target=-1.0, seed=2, noisy=True)
    assert min(fun.values) < -1 and "target" not in r.stop and not r.success
    fun = with_noise(2, sigma=0.1)
    reached = pso.minimize(fun, BOX, max_evals=10_000, target=1.0, seed=2, noisy=True)
    assert "target" in reached.stop and bowl(reached.x) < 1.2 and reached.nfev < 10_000


def test_failures_and_constraints():
    random = np.random.default_rng(0)

    def holes(x):
        return math.nan if x[0] < 1 else bowl(x) + 0.1 * random.normal()

    r = pso.minimize(holes, BOX, constraints=lambda x: x[1], max_evals=3000, seed=0, noisy=True)
    assert r.success and r.x[0] >= 1 and r.x[1] <= 0 and abs(r.fun - bowl(r.x)) < 4 * r.fun_stderr
    total = SimpleNamespace(A=[[1, 1, 1]], lb=6, ub=6)
    options = {"integrality": True, "constraints": total, "noisy": True}
    r = pso.minimize(with_noise(0, 0.1), BOX, max_evals=200, seed=0, **options)
    assert r.success and r.x.sum() == 6


# --- noise that nobody declared shows in one second call of the best point ---


def test_a_deterministic_function_costs_one_call_and_says_nothing():
    fun = Watched(bowl)
    r = pso.minimize(fun, BOX, max_evals=200, seed=1)
    assert r.success and "noisy" not in r.message and r.nfev == len(fun.points) == 200
    assert np.array_equal(fun.points[-1], r.x) and r.fun < 1e-6


@pytest.mark.parametrize("least", [0.5, 2.0])
def test_a_point_that_breaks_a_constraint_is_called_once_however_little_it_does(least):
    fun = with_noise(0)
    constraint = lambda x: least + x[0] ** 2  # noqa: E731
    r = pso.minimize(fun, BOX, constraints=constraint, max_evals=300, seed=0, noisy=True)
    assert not r.success and r.maxcv == pytest.approx(least, abs=0.1)
    assert r.nfev == len(fun.points) == 1 and r.fun == fun.values[0] and r.n_best == 1


@pytest.mark.parametrize(("timeout", "final"), [(100, 10), (1500, 100)])
def test_time_is_left_for_the_final_draws(monkeypatch, timeout, final):
    """A call takes a second. A fifth of the time, at most, is for the draws that choose the result
    and report it, half each.
    """
    fun = with_noise(0)
    monkeypatch.setattr("time.monotonic", lambda: float(len(fun.values)))
    r = pso.minimize(fun, BOX, timeout=timeout, noisy=True, seed=0, recipe="constriction")
    fresh = [np.array_equal(x, r.x) for x in fun.points[::-1]].index(False)
    assert timeout * 0.95 <= r.nfev <= timeout
    assert fresh >= final - 2
    # the last draw that chose the point may be one of them
    means = [np.mean(fun.values[-n:]) for n in range(final - 3, fresh + 1)]
    assert np.isclose(means, r.fun).any()
