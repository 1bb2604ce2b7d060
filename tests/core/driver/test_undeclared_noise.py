"""Noise that nobody declared shows in one second call of the best point."""

from __future__ import annotations

import numpy as np
import pytest

import pyswarmopt as pso

BOX = [(-2, 2)] * 3


def counted(noise, calls):
    random = np.random.default_rng(0)

    def fun(x):
        calls.append(x.copy())
        return float(((x - 0.3) ** 2).sum()) + 1.0 + noise * random.standard_normal()

    return fun


@pytest.mark.parametrize(
    "options",
    [{}, {"constraints": lambda x: x[0] - 1}, {"integrality": [1, 0, 0]}],
)  # fmt: skip
def test_the_message_says_it_and_fun_is_the_second_value(options):
    calls = []
    r = pso.minimize(counted(0.3, calls), BOX, max_evals=200, seed=1, **options)
    assert "noisy=True" in r.message and r.success
    assert r.nfev == len(calls) == 200 and np.array_equal(calls[-1], r.x)
    least = min(float(((x - 0.3) ** 2).sum()) for x in calls) + 1.0
    assert r.fun > least - 0.9  # of 200 draws the least is some -2.7 deviations, of one it is not


def test_a_deterministic_function_costs_one_call_and_says_nothing():
    calls = []
    r = pso.minimize(counted(0.0, calls), BOX, max_evals=200, seed=1)
    assert r.success and "noisy" not in r.message and r.nfev == len(calls) == 200
    assert np.array_equal(calls[-1], r.x) and r.fun == pytest.approx(1.0)


def test_a_recipe_by_name_ends_with_whole_iterations():
    calls = []
    r = pso.minimize(counted(0.3, calls), BOX, "constriction", population=20, max_evals=200, seed=1)
    assert r.nfev == len(calls) == 200 and r.nit == 9 and "noisy" not in r.message
