"""Workers that are actors on a Ray cluster: each loads what a search needs once and then receives
coefficients only.
"""

from __future__ import annotations

import logging
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.searching.plan import RAY
from pyswarmopt_llm.servers.workers.worker import Failure, Handler, Load, Order, Reply


class RayCluster:
    """Starts actors, as many as the cluster has room for: one for each GPU, else one for each so
    many cores.

    Base, experts and tasks are read on every node from the paths that the search was given; an
    actor that finds other files there is refused.

    Args:
        address: ``ray`` (the cluster that this process is connected to, the one that runs on this
            machine, or a new one here) or ``ray://HOST[:PORT]``.
        config: the search's.
        load: what a worker loads for a configuration, a function of a module.

    Raises:
        UserError: Ray is not installed, or the cluster does not answer.

    Attributes:
        memory: 0: the actors may be anywhere.
    """

    memory = 0

    def __init__(self, address: str, config: SearchConfig, load: Load) -> None:
        ray = optional("ray", f"`workers` {address}")
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(
                    address=None if address == RAY else address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                reason = str(error).strip().partition("\n")[0]
                raise InvalidOption(
                    "workers", address, f"the cluster does not answer ({reason}); check it"
                ) from error
        self._config, self._load = config, load
        self._cores = config.threads or 1
        self._on_gpus = config.device != "cpu" and self._total("GPU") > 0

    def size(self) -> int:
        """Number of actors that the cluster has room for now; nodes may join and leave."""
        return max(
            int(self._total("GPU") if self._on_gpus else self._total("CPU") // self._cores), 1
        )

    def start(self, slot: int) -> RayWorker:
        """Begin to start an actor, wherever there is room."""
        options = {"num_cpus": self._cores, "num_gpus": int(self._on_gpus), "max_restarts": 0}
        actor = self._ray.remote(**options)(Handler).remote(self._load, self._config)
        return RayWorker(self._ray, actor)

    def close(self) -> None:
        """Leave the cluster, if it was joined here."""
        if self._ours:
            self._ray.shutdown()

    def _total(self, resource: str) -> float:
        return float(self._ray.cluster_resources().get(resource, 0.0))


class RayWorker:
    """An actor that carries out orders.

    Args:
        ray: the module.
        actor: a remote `Handler`.
    """

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def ask(self, order: Order) -> Reply:
        """Wait until there is room for it, and let it evaluate a candidate."""
        try:
            reply: Reply = self._ray.get(self._actor.answer.remote(order))
        except self._ray.exceptions.RayError as error:
            return Failure("died", str(error).strip().partition("\n")[0])
        return reply

    def close(self) -> None:
        """End the actor."""
        self._ray.kill(self._actor)
