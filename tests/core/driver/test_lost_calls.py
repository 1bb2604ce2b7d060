"""Workers that die, hang, or answer something else; values at the end of float64."""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from executors import Bare

import pyswarmopt as pso
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.workers.pool import Workers
from pyswarmopt.driver.workers.processes import open_pool

BOX = [(-2.0, 2.0)] * 2


def bowl(x):
    return float(x @ x)


def dies(x):
    if x[0] > 0.5:
        os._exit(3)
    return bowl(x)


def gives_a_lock(x):
    return threading.Lock() if x[0] > 0.5 else bowl(x)


class Unreadable(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def raises_what_cannot_be_read(x):
    if x[0] > 0.5:
        raise Unreadable("a", "b")
    return bowl(x)


STARTS = np.array([[-1.0, 0.0], [1.0, 0.0], [-1.0, 1.0], [0.9, 0.4], [-0.5, 0.5]])


@pytest.mark.slow
@pytest.mark.parametrize("fun", [dies, gives_a_lock, raises_what_cannot_be_read])
def test_a_call_that_costs_its_process_counts_as_failed(fun):
    arguments = {"recipe": "constriction", "population": 5, "x0": STARTS, "seed": 0, "max_evals": 10,
                 "workers": "processes:2", "history": "particles"}  # fmt: skip
    r = pso.minimize(fun, BOX, on_error="worst", **arguments)
    first = list(r.history)[:5]
    assert r.nfev == 10 and [math.isnan(record.value) for record in first] == [
        False, True, False, True, False,
    ]  # fmt: skip
    assert [record.value for record in first][::2] == [bowl(x) for x in STARTS[::2]]
    with pytest.raises(Exception) as error:
        pso.minimize(fun, BOX, on_error=("retry", 1), **arguments)
    assert error.value.result.fun == bowl(STARTS[4])
    told = any("__main__" in note for note in error.value.__notes__)
    assert told or fun is gives_a_lock  # which costs no process


@pytest.mark.slow
def test_an_asynchronous_search_outlives_a_process_that_dies():
    r = pso.minimize(
        dies, BOX, "constriction", population=4, x0=[[-1.0, 0.0]], seed=0, max_evals=12,
        workers="processes:2", on_error="worst", asynchronous=True, history="particles",
    )  # fmt: skip
    for record in r.history:
        assert math.isnan(record.value) == (record.x[0] > 0.5)
    assert r.nfev == 12


def tells_its_process_and_waits(x):
    if multiprocessing.parent_process() is not None:
        print(os.getpid(), flush=True)
        time.sleep(600)
    return bowl(x)


def _is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


WAITS = """
import pyswarmopt as pso
from test_lost_calls import tells_its_process_and_waits
if __name__ == "__main__":
    pso.minimize(tells_its_process_and_waits, [(-2.0, 2.0)] * 2, workers="processes:2")
"""


@pytest.mark.slow
def test_processes_end_with_the_one_that_began_them(tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    command = [sys.executable, str(tmp_path / "waits.py")]
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as search:
        process = int(search.stdout.readline())
        search.kill()
    while _is_there(process):  # a test that hangs is ended by pytest
        time.sleep(0.05)


@pytest.mark.slow
def test_all_processes_of_a_pool_start_at_its_first_call():
    before = set(multiprocessing.active_children())
    with open_pool(3) as pool:
        assert pool.submit(abs, -2).result() == 2
        assert len(set(multiprocessing.active_children()) - before) == 3


def test_an_executor_that_gives_no_future_or_no_answer_is_told_so():
    class NoFuture:
        def submit(self, function, item):
            return 3.0

    class NoAnswer(Bare):
        def submit(self, function, item):
            return super().submit(lambda x: 3.0, item)

    with pytest.raises(ValueError, match="gave float"):
        pso.minimize(bowl, BOX, max_evals=20, workers=NoFuture())
    for asynchronous in (False, True):
        with pytest.raises(ValueError, match="workers= gave float"):
            pso.minimize(bowl, BOX, max_evals=20, workers=NoAnswer(), asynchronous=asynchronous)
    with pytest.raises(ValueError, match="workers= gave float"):
        pso.minimize(bowl, BOX, max_evals=20, workers=lambda f, items: [3.0 for _ in items])
    for size in (-3, 0, math.nan, math.inf, [2], True, "4"):
        NoFuture._max_workers = size
        assert Workers(NoFuture(), bowl).count == (os.cpu_count() or 1)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_thread_that_hangs_is_left_behind(asynchronous):
    enough = threading.Event()

    def fun(x):
        if x[0] > 0:
            enough.wait(60)
        return bowl(x)

    options = {"recipe": "constriction", "population": 4, "max_evals": 12, "seed": 1, "workers": 2,
               "evaluation_timeout": 0.3, "history": "particles", "asynchronous": asynchronous,
               "x0": [[1.0, 0.0], [1.0, 1.0]]}  # fmt: skip
    try:
        with pytest.raises(TimeoutError):
            pso.minimize(fun, BOX, **options)
        with pytest.warns(UserWarning, match="hangs in its thread"):
            r = pso.minimize(fun, BOX, on_error="worst", **options)
        # another call may be late, too, on a busy machine; test_schedules has a clock of its own
        hung = [math.isnan(record.value) for record in r.history if record.x[0] > 0]
        assert r.nfev == 12 and not enough.is_set() and len(hung) >= 2 and all(hung)
        assert r.x[0] <= 0 and r.fun == bowl(r.x)
    finally:
        enough.set()


@pytest.mark.parametrize("options", [{}, {"integrality": [1, 0]}, {"constraints": lambda x: x[1] - 1},
                                     {"asynchronous": True, "workers": 2}])  # fmt: skip
@pytest.mark.parametrize("seed", range(4))
def test_values_at_the_end_of_float64_do_no_harm(options, seed, recwarn):
    def fun(x):
        return 1.7e308 if x[0] > 0 else -1.7e308 * float(np.clip(-x[0], 0.5, 1))

    r = pso.minimize(fun, BOX, max_evals=60, seed=seed, **options)
    assert r.success and r.fun == fun(r.x) and r.x[0] <= 0
    assert not [w for w in recwarn if "overflow" in str(w.message)]


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_point_is_called_again_until_a_call_succeeds(failures):
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) <= failures:
            raise ValueError("not yet")
        return float(len(calls))

    evaluator = Evaluator(fun, False, on_error=("retry", 2))
    assert evaluator.again(np.zeros(2)) == len(calls) == failures + 1
