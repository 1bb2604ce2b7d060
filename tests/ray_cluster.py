"""A Ray cluster on this machine whose nodes may take minutes to start, as they do on a busy one."""

from __future__ import annotations

import os
import socket
from typing import Any

PATIENCE = {
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_worker_register_timeout_seconds": "120",
}


def start_cluster() -> Any:
    """A cluster of one node."""
    from ray.cluster_utils import Cluster

    os.environ.update(PATIENCE)
    cluster = Cluster()
    add_node(cluster, include_dashboard=False)
    return cluster


def add_node(cluster: Any, **more: Any) -> Any:
    """Add a node with one processor. Its agents are given ports: a node waits for those that choose
    theirs for 15 seconds, which cannot be changed.
    """
    agents = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    ports = {f"{agent}_port": _free_port() for agent in agents}
    return cluster.add_node(num_cpus=1, **ports, **more)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
