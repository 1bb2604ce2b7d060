"""`minimize(asynchronous=True)` of a swarm: budgets, bests, failures, slow workers, resume."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
from swarm_runs import bowl

import pyswarmopt as pso
from pyswarmopt.testing import Watched

BOX = [(-5.0, 5.0)] * 3


def slow(x):
    """The wait at a point follows from the point."""
    time.sleep(0.002 * (abs(x[0] * 1e6) % 1))
    return bowl(x)


def search(fun=bowl, **options):
    swarm = {"recipe": "surrogate", "seed": 3, "population": 6}
    return pso.minimize(fun, BOX, asynchronous=True, **swarm | options)


@pytest.mark.parametrize("workers", [1, 4, "threads:9"])
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


def test_what_was_in_flight_is_evaluated_again(tmp_path):
    """Three calls begin, one of them hangs over several iterations; then the program dies."""
    path, release, hung, done = tmp_path / "c.npz", threading.Event(), [], []

    def fun(x):
        if len(done) == 7 and not hung:
            hung.append(x.copy())
            release.wait(timeout=60)
            raise InterruptedError
        if len(done) >= 25:
            release.set()
        done.append(x.copy())
        return bowl(x)

    with pytest.raises(InterruptedError):
        search(fun, workers=2, max_evals=60, checkpoint=path)
    rest = Watched(bowl)
    r = search(rest, workers=2, max_evals=60, checkpoint=path)
    assert any(np.array_equal(x, hung[0]) for x in rest.points)
    # The checkpoint is that of the last whole iteration, of 6 evaluations: nothing before it is
    # evaluated again but the best, which must have the value that it had. How far the other thread
    # gets until the first one is heard is the machine's business.
    kept = 60 + 1 - len(rest.points)
    assert kept % 6 == 0 and 24 <= kept <= len(done)
    assert r.nfev == 60 and r.stop == {"max_evals": 60}
