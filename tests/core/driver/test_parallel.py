"""Workers: the same search whoever calls the objective; objectives that compute with torch."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from executors import Bare, Client
from swarm_runs import bowl, same_result

import pyswarmopt as pso
from pyswarmopt.driver.workers import Workers

CORES = os.cpu_count()

BOX = [(-5.0, 5.0)] * 3


def torch_bowl(x):
    return torch.sum(torch.square(torch.from_numpy(x) - 1.0))


@pytest.mark.parametrize("workers", [3, -1, Bare(), Client()])
def test_workers_make_the_same_search(workers):
    serial = pso.minimize(bowl, BOX, max_evals=300, seed=5)
    assert same_result(pso.minimize(bowl, BOX, max_evals=300, seed=5, workers=workers), serial)


@pytest.mark.parametrize(
    ("spec", "count"), [(1, 1), (2, 2), (-1, CORES), (ThreadPoolExecutor(3), 3), (Client(), CORES)]
)
def test_the_number_of_workers(spec, count):
    assert Workers(spec, bowl).count == count


@pytest.mark.slow
def test_processes_make_the_same_search():
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        given = pso.minimize(torch_bowl, BOX, max_evals=200, seed=5, workers=pool)
    assert same_result(given, pso.minimize(torch_bowl, BOX, max_evals=200, seed=5))


def test_threads_do_work_at_the_same_time():
    together = threading.Barrier(3)

    def fun(x):
        together.wait(timeout=60)  # passes only if three calls are under way at once
        return bowl(x)

    found = pso.minimize(fun, BOX, "constriction", population=6, max_evals=6, seed=0, workers=3)
    assert found.nfev == 6


def test_the_pool_ends_with_the_search_and_after_an_error():
    before = {*threading.enumerate()}  # some of which may end meanwhile
    pso.minimize(bowl, BOX, max_evals=100, seed=0, workers=4)
    assert {*threading.enumerate()} <= before

    def fails(x):
        if x[0] < 0:
            raise RuntimeError("left")
        return bowl(x)

    with pytest.raises(RuntimeError, match="left"):
        pso.minimize(fails, BOX, seed=0, workers=4)
    assert {*threading.enumerate()} <= before


# --- torch ---


def torch_batches(x):
    return torch.sum(torch.square(torch.from_numpy(x) - 1.0), dim=1)


@pytest.mark.parametrize(("fun", "vectorized"), [(torch_bowl, False), (torch_batches, True)])
def test_values_may_be_tensors(fun, vectorized):
    r = pso.minimize(fun, BOX, max_evals=500, seed=1, vectorized=vectorized)
    assert r.nfev == 500 and r.fun < 0.1
    assert r.fun == float(fun(r.x[None] if vectorized is True else r.x))


# --- several objectives ---
