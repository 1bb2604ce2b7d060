"""Executors of Dask and joblib make the same search as one thread; each is skipped where it is not
installed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from swarm_runs import bowl, same_result

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A Dask client of one worker with two threads."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    workers = {"n_workers": 1, "threads_per_worker": 2, "processes": False}
    with (
        distributed.LocalCluster(**workers, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_dask_makes_the_same_search(client: Any) -> None:
    alone = pso.minimize(bowl, BOX, max_evals=60, seed=5)
    for workers in (client, client.get_executor(pure=False)):
        found = pso.minimize(bowl, BOX, max_evals=60, seed=5, workers=workers)
        assert same_result(found, alone)


def test_dask_calls_a_noisy_objective_again_only_if_it_is_told(client: Any) -> None:
    def draw(x: Any) -> float:
        return random.random()

    again = client.get_executor(pure=False)
    assert client.submit(draw, 1).result() == client.submit(draw, 1).result()
    assert again.submit(draw, 1).result() != again.submit(draw, 1).result()


def test_joblibs_processes_make_the_same_search_of_a_lambda() -> None:
    """Which processes of the standard library cannot receive."""
    loky = pytest.importorskip("joblib.externals.loky", reason="joblib is not installed")
    goal = 1.0
    pool = loky.get_reusable_executor(2)
    try:
        found, alone = (
            pso.minimize(
                lambda x: float(((x - goal) ** 2).sum()), BOX, max_evals=60, seed=5, workers=workers
            )
            for workers in (pool, 1)
        )
    finally:
        pool.shutdown(wait=True)
    assert same_result(found, alone)
