"""Workers that die or answer something else; values at the end of float64."""

from __future__ import annotations

import math
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from executors import Bare

import pyswarmopt as pso
from pyswarmopt.driver.workers import Workers

BOX = [(-2.0, 2.0)] * 2


def bowl(x):
    return float(x @ x)


def gives_a_lock(x):
    return threading.Lock() if x[0] > 0.5 else bowl(x)


STARTS = np.array([[-1.0, 0.0], [1.0, 0.0], [-1.0, 1.0], [0.9, 0.4], [-0.5, 0.5]])


@pytest.mark.slow
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_answer_that_cannot_be_pickled_counts_as_failed(asynchronous):
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        how = {"asynchronous": True} if asynchronous else {"recipe": "constriction"}
        arguments = {"population": 5, "x0": STARTS, "seed": 0, "max_evals": 10, "workers": pool}
        arguments |= how
        r = pso.minimize(gives_a_lock, BOX, on_error="worst", history="particles", **arguments)
        values = {r.x.tobytes(): r.value for r in r.history}
        assert [values[x.tobytes()] for x in STARTS[::2]] == [bowl(x) for x in STARTS[::2]]
        assert r.nfev == 10 and all(math.isnan(values[x.tobytes()]) for x in STARTS[1::2])
        with pytest.raises(TypeError, match="pickle") as error:
            pso.minimize(gives_a_lock, BOX, **arguments)
        assert error.value.result.status == "exception"


def test_an_executor_that_gives_no_answer_is_told_so():
    class NoAnswer(Bare):
        def submit(self, function, item):
            return super().submit(lambda x: 3.0, item)

    for asynchronous in (False, True):
        with pytest.raises(ValueError, match="executor returned float"):
            pso.minimize(bowl, BOX, max_evals=20, workers=NoAnswer(), asynchronous=asynchronous)
    for size in (-3, 0, math.nan, math.inf, [2], True, "4"):
        NoAnswer._max_workers = size
        assert Workers(NoAnswer(), bowl).count == (os.cpu_count() or 1)


@pytest.mark.parametrize("options", [{}, {"integrality": [1, 0]}, {"constraints": lambda x: x[1] - 1},
                                     {"asynchronous": True, "workers": 2}])  # fmt: skip
@pytest.mark.parametrize("seed", range(4))
def test_values_at_the_end_of_float64_do_no_harm(options, seed, recwarn):
    def fun(x):
        return 1.7e308 if x[0] > 0 else -1.7e308 * float(np.clip(-x[0], 0.5, 1))

    r = pso.minimize(fun, BOX, max_evals=60, seed=seed, **options)
    assert r.success and r.fun == fun(r.x) and r.x[0] <= 0
    assert not [w for w in recwarn if "overflow" in str(w.message)]
