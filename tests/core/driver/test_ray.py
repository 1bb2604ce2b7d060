"""Ray for real: a cluster of two nodes on this machine, one of which is killed in mid-search."""

from __future__ import annotations

import threading

import pytest
from ray_cluster import add_node, start_cluster
from swarm_runs import same_result

import pyswarmopt as pso

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'pyswarmopt[ray]'")
pytestmark = pytest.mark.slow

BOX = [(-5.0, 5.0)] * 3


@pytest.fixture(scope="module")
def cluster():
    cluster = start_cluster()
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def make_bowl(delay=0.0):
    """A function that Ray sends as it is: its workers cannot import the tests."""

    def bowl(x):
        import time

        time.sleep(delay)
        return float(((x - 1.0) ** 2).sum())

    return bowl


class Cluster:
    """The executor of docs/how-to/scaling.md."""

    _max_workers = 4

    def submit(self, function, x):
        return ray.remote(lambda: function(x)).remote().future()


def test_ray_makes_the_same_search(cluster):
    bowl = make_bowl()
    serial = pso.minimize(bowl, BOX, max_evals=100, seed=5)
    assert same_result(pso.minimize(bowl, BOX, max_evals=100, seed=5, workers=Cluster()), serial)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_node_comes_and_is_killed_in_mid_search(cluster, asynchronous):
    node = add_node(cluster)
    cluster.wait_for_nodes()
    options = {"max_evals": 120, "population": 6, "seed": 5}
    bowl, killer = make_bowl(delay=0.02), []

    def kill(so_far):
        if so_far.nit == 5:
            killer.append(threading.Thread(target=cluster.remove_node, args=(node,)))
            killer[0].start()

    r = pso.minimize(
        bowl, BOX, workers=Cluster(), callback=kill, asynchronous=asynchronous, **options
    )
    killer[0].join()
    assert r.nfev == 120 and r.fun == bowl(r.x) < 0.1
    assert asynchronous or same_result(r, pso.minimize(bowl, BOX, **options))
