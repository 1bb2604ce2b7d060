"""`minimize(asynchronous=True)` of a swarm: budgets, bests, failures, slow workers, resume."""

from __future__ import annotations

import math
import threading
import time

import pytest
from swarm_runs import bowl
from watched import Watched

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3


def slow(x):
    """The wait at a point follows from the point."""
    time.sleep(0.002 * (abs(x[0] * 1e6) % 1))
    return bowl(x)


def search(fun=bowl, **options):
    swarm = {"recipe": "covariant", "seed": 3, "population": 6}
    return pso.minimize(fun, BOX, asynchronous=True, **swarm | options)


@pytest.mark.parametrize("workers", [1, 4, 9])
@pytest.mark.parametrize("max_evals", [1, 5, 6, 7, 100])
def test_the_budget_is_kept_and_the_best_is_the_best_seen(workers, max_evals):
    fun = Watched(slow)
    r = search(fun, workers=workers, max_evals=max_evals)
    assert len(fun.points) == r.nfev == max_evals and r.stop == {"max_evals": max_evals}
    assert r.fun == min(fun.values) == bowl(r.x)
    assert [h.iteration for h in r.history] == list(range(math.ceil(max_evals / 6)))
    assert r.history[-1].best == r.fun and r.history[-1].evaluations == max_evals


def test_what_is_under_way_when_the_search_ends_counts():
    """The target is reached while another one is under way, which is better still."""
    reached, begun = threading.Event(), threading.Event()
    values = iter([9.0, 9.0, 0.5, 0.25, 9.0])
    lock = threading.Lock()

    def fun(x):
        with lock:
            value = next(values)
        if value == 0.25:
            begun.set()
            reached.wait(timeout=60)
            time.sleep(0.05)
        if value == 0.5:
            begun.wait(timeout=60)
            reached.set()
        return value

    r = search(fun, seed=0, population=5, workers=2, target=0.5, max_evals=5)
    assert r.fun == 0.25 and r.success and "target" in r.stop and r.nfev >= 4


# --- resume ---
