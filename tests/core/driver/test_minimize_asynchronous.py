"""`minimize(asynchronous=True)` of a swarm: budgets, bests, failures, slow workers, resume."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3


def bowl(x):
    return float(np.sum((x - 1.0) ** 2))


class Watched:
    """An objective that notes its points and values; the wait at a point follows from the point."""

    def __init__(self, fun=bowl, delay=0.0):
        self.fun, self.delay, self.seen, self.lock = fun, delay, [], threading.Lock()

    def __call__(self, x):
        if self.delay:
            time.sleep(self.delay * (abs(x[0] * 1e6) % 1))
        value = self.fun(x)
        with self.lock:
            self.seen.append((value, x.copy()))
        return value


def search(fun=bowl, **options):
    swarm = {"recipe": "surrogate", "seed": 3, "population": 6}
    return pso.minimize(fun, BOX, asynchronous=True, **swarm | options)


@pytest.mark.parametrize("workers", [1, 4, "threads:9"])
@pytest.mark.parametrize("max_evals", [1, 5, 6, 7, 100])
def test_the_budget_is_kept_and_the_best_is_the_best_seen(workers, max_evals):
    fun = Watched(delay=0.002)
    r = search(fun, workers=workers, max_evals=max_evals)
    assert len(fun.seen) == r.nfev == max_evals and r.stop == {"max_evals": max_evals}
    value, x = min(fun.seen, key=lambda pair: pair[0])
    assert r.fun == value == bowl(r.x) and np.array_equal(r.x, x)
    assert [h.iteration for h in r.history] == list(range(math.ceil(max_evals / 6)))
    assert r.history[-1].best == value and r.history[-1].evaluations == max_evals


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


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [8, 30, 47])
def test_a_killed_search_goes_on_to_the_bit(tmp_path, at):
    def fatal(x):
        if len(fun.seen) == at:
            raise Killed
        return bowl(x)

    fun, path = Watched(fatal), tmp_path / "c.npz"
    with pytest.raises(Killed):
        search(fun, max_evals=80, checkpoint=path)
    rest = Watched()
    resumed, whole = search(rest, max_evals=80, checkpoint=path), search(max_evals=80)
    assert np.array_equal(resumed.x, whole.x) and list(resumed.history) == list(whole.history)
    # the best once more, to compare
    assert resumed.nfev == whole.nfev == 80 and len(rest.seen) == 80 - at // 6 * 6 + 1


def test_what_was_in_flight_is_evaluated_again(tmp_path):
    """Three calls begin, one of them hangs over several iterations; then the program dies."""
    path, release, hung, done = tmp_path / "c.npz", threading.Event(), [], []

    def fun(x):
        if len(done) == 7 and not hung:
            hung.append(x.copy())
            release.wait(timeout=60)
            raise Killed
        if len(done) >= 25:
            release.set()
        done.append(x.copy())
        return bowl(x)

    with pytest.raises(Killed):
        search(fun, workers=2, max_evals=60, checkpoint=path)
    rest = Watched()
    r = search(rest, workers=2, max_evals=60, checkpoint=path)
    assert any(np.array_equal(x, hung[0]) for _, x in rest.seen)
    # The checkpoint is that of the last whole iteration, of 6 evaluations: nothing before it is
    # evaluated again but the best, which must have the value that it had. How far the other thread
    # gets until the first one is heard is the machine's business.
    kept = 60 + 1 - len(rest.seen)
    assert kept % 6 == 0 and 24 <= kept <= len(done)
    assert r.nfev == 60 and r.stop == {"max_evals": 60}
    with pytest.raises(ValueError, match=r"other .*asynchronous"):
        pso.minimize(bowl, BOX, "surrogate", 6, max_evals=60, seed=3, checkpoint=path)
