"""A pool alone, with workers that are not processes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pyswarmopt_llm.common.errors import NotFiniteError, UserError
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Request
from pyswarmopt_llm.servers import workers
from pyswarmopt_llm.servers.workers import TRIES, Failure, Handler, Pool, Reply, Setup

SCORINGS: Mapping[str, Scoring] = {"t": "letter"}


def found(request: Request) -> Row:
    return Row("", 0, 0, "k", (), float(request.position[0]), 1, 0.0, {"t": "1"})


class Scripted(Pool):
    """Threads whose replies a test scripts."""

    def __init__(self, replies: list[Reply]) -> None:
        self.failures: list[str] = []
        super().__init__(3, lambda kind, text: self.failures.append(kind))
        self._replies = replies

    def answer(self, scorings: Mapping[str, Scoring], request: Request) -> Reply:
        return self._replies.pop(0) if self._replies else found(request)


def evaluated(pool: Pool, *values: float) -> list[float]:
    crew = pool.crew(SCORINGS)
    requests = [Request(torch.tensor([float(value)])) for value in values]
    return [row.value for row in crew.each(crew.evaluate, requests)]


def test_a_failure_is_counted_and_the_candidate_evaluated_again_three_times_at_most() -> None:
    full = Failure("out of memory", "full")
    pool = Scripted([full])
    assert evaluated(pool, 3, 1, 2) == [3, 1, 2]
    assert pool.failures == ["out of memory"]
    pool = Scripted([full] * TRIES)
    with pytest.raises(UserError, match=f"{TRIES} workers failed on one candidate.*memory: full"):
        evaluated(pool, 0)
    assert pool.failures == ["out of memory"] * TRIES


class Resident:
    """What a worker has loaded."""

    def __init__(self, error: Exception | None = None, shrinks: int = 0) -> None:
        self.fingerprints, self._error = {"base": "files"}, error
        self.engine, self.batch_tokens, self._shrinks = self, 100, shrinks

    def evaluator(self, split: str, scorings: Mapping[str, Scoring]) -> Resident:
        return self

    def evaluate(self, request: Request) -> Row:
        if self._error is not None:
            raise self._error
        self.batch_tokens -= self._shrinks
        return found(request)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(MemoryError("no more"), "out of memory"), (KeyError("x"), "exception")],
)
def test_after_what_a_worker_raises_it_loads_anew(error: Exception, kind: str) -> None:
    loaded: list[Resident] = []

    def load(config: object) -> Resident:
        loaded.append(Resident(None if loaded else error))
        return loaded[-1]

    request = Request(torch.zeros(1))
    handler = Handler(Setup(load, None, {"base": "files"}))  # type: ignore[arg-type]
    reply = handler.answer(SCORINGS, request)
    assert isinstance(reply, Failure) and reply.kind == kind
    assert isinstance(handler.answer(SCORINGS, request), Row) and len(loaded) == 2
    other = Handler(Setup(load, None, {"base": "other files"}))  # type: ignore[arg-type]
    assert isinstance(other.answer(SCORINGS, request), UserError)


def test_smaller_batches_are_accepted_at_the_last_try_only() -> None:
    """Since last bits may differ in them."""
    asked: list[Request] = []

    class Full(Scripted):
        def answer(self, scorings: Mapping[str, Scoring], request: Request) -> Reply:
            asked.append(request)
            return handler.answer(scorings, request)

    handler = Handler(Setup(lambda config: Resident(shrinks=1), None, {"base": "files"}))  # type: ignore
    pool = Full([])
    assert evaluated(pool, 3) == [3]
    assert pool.failures == ["out of memory"] * (TRIES - 1)
    assert [request.last for request in asked] == [False] * (TRIES - 1) + [True]


def test_a_score_that_is_no_number_stays_that_error() -> None:
    resident = Resident(NotFiniteError("the score is nan"))
    handler = Handler(Setup(lambda config: resident, None, {"base": "files"}))  # type: ignore
    assert type(handler.answer(SCORINGS, Request(torch.zeros(1)))) is NotFiniteError


class Cluster(SimpleNamespace):
    """A Ray of one actor that answers nothing before it is killed."""

    def __init__(self) -> None:
        self.killed = threading.Event()
        answer = SimpleNamespace(remote=lambda *order: self.killed)
        actor: Any = SimpleNamespace(answer=answer, remote=lambda setup: actor)
        super().__init__(
            is_initialized=lambda: True,
            cluster_resources=lambda: {"CPU": 1},
            remote=lambda **room: lambda handler: actor,
            get=self.wait,
            kill=lambda actor: self.killed.set(),
            exceptions=SimpleNamespace(RayError=InterruptedError),
        )

    def wait(self, killed: threading.Event) -> None:
        killed.wait(60)
        raise InterruptedError


def test_actors_and_the_threads_that_wait_for_them_end_with_the_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "optional", lambda *names: Cluster())
    config = SimpleNamespace(workers="ray", threads=None, device="cpu")
    pool = workers.Actors(Setup(None, config, {}), lambda kind, text: None)  # type: ignore
    with ThreadPoolExecutor(2) as asking:
        request = Request(torch.zeros(1))
        waiting = [asking.submit(pool.evaluate, SCORINGS, request) for _ in range(2)]
        pool.close()
        for future in waiting:
            with pytest.raises(CancelledError):
                future.result(60)
