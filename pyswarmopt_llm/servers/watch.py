"""Notices that a server which failed came back as another one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.servers.server import CandidateServer, loaded, log_likelihoods

_REMEDY = "start it as it was, and resume the run or repeat the command"


class Watch:
    """What a server runs and how it scores, looked at again after a request that failed.

    A server that is restarted may have another base, none of the adapters, or them in another
    order; nothing in its answers says so.

    Args:
        server: as it was examined.
        patches: to score with: none for the base, and a candidate that the server applies.
        pairs: to score.
        tolerance: nats per token between two scores of the same.
    """

    def __init__(
        self,
        server: CandidateServer,
        patches: Sequence[Patch],
        pairs: Sequence[TokenPair],
        tolerance: float,
    ) -> None:
        self._server, self._pairs, self._tolerance = server, pairs, tolerance
        self._patches, self._lock = patches, threading.Lock()
        self._seen = server.failures
        self._running, self._scores = server.running(), self._scored()

    def look(self, lost: bool) -> None:
        """Compare, if a request has failed or a candidate was lost since the last look.

        Raises:
            UserError: the server is another one.
        """
        with self._lock:
            failures = self._server.failures
            if failures == self._seen and not lost:
                return
            name, running = self._server.name, self._server.running()
            if running != self._running:
                raise UserError(
                    f"{name}: came back with {running}, and had {self._running}; {_REMEDY}"
                )
            difference = per_token(
                self._scored(), self._scores, [*self._pairs] * len(self._patches)
            )
            if difference > self._tolerance:
                raise UserError(
                    f"{name}: came back as another model or without its adapters, a text differs "
                    f"by {difference:.2g} nats per token; {_REMEDY}"
                )
            self._seen = failures

    def _scored(self) -> list[float]:
        scores = []
        for patch in self._patches:
            with loaded(self._server, partial(self._server.load, patch)) as candidate:
                scores += log_likelihoods(self._server, candidate, self._pairs)
        return scores


def per_token(a: Sequence[float], b: Sequence[float], pairs: Sequence[TokenPair]) -> float:
    """The largest difference of two scores, by the length of the continuation, in nats."""
    return max(abs(x - y) / len(tail) for x, y, (_, tail) in zip(a, b, pairs, strict=True))
