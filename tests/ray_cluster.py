"""A Ray cluster on this machine whose nodes may take minutes to start, as they do on a busy one."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from typing import Any

PATIENCE = {
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_worker_register_timeout_seconds": "120",
    "RAY_worker_niceness": "0",  # not 15, with which workers hardly run on a busy machine
}


STORE = 75 * 2**20  # bytes: the least that a node's object store may have


def start_cluster() -> Any:
    """A cluster of one node, with a small object store."""
    from ray.cluster_utils import Cluster

    os.environ.update(PATIENCE)
    cluster = Cluster()
    add_node(cluster, include_dashboard=False, object_store_memory=STORE)
    return cluster


def add_node(cluster: Any, **more: Any) -> Any:
    """Add a node with one processor. Its agents are given ports: a node waits for those that choose
    theirs for 15 seconds, which cannot be changed.
    """
    agents = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    ports = dict(zip((f"{agent}_port" for agent in agents), _free_ports(len(agents)), strict=True))
    return cluster.add_node(num_cpus=1, **ports, **more)


def _free_ports(count: int) -> list[int]:
    """Different ones: each is held until all are found."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
