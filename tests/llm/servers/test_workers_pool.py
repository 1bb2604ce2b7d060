"""A pool alone, with workers that are not processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

import pytest
import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request
from pyswarmopt_llm.servers.workers import TRIES, Failure, Handler, Pool, Reply

QUESTIONS = Questions("dev", (("t", "letter"),))


class Workers:
    """Workers whose replies a test scripts: request -> reply."""

    memory = 7
    size = 3

    def __init__(self, reply: Callable[[Request], Reply]) -> None:
        self._reply = reply
        self.ended = False

    def answer(self, questions: Questions, request: Request) -> Reply:
        assert questions == QUESTIONS
        return self._reply(request)

    def end(self) -> None:
        self.ended = True


def found(request: Request) -> Row:
    return Row("", 0, 0, "k", (), float(request.position[0]), 1, 0.0, {"t": "1"})


def opened(reply: Callable[[Request], Reply]) -> tuple[Pool, list[Workers], list[str]]:
    started: list[Workers] = []
    failures: list[str] = []

    def start() -> Any:
        started.append(Workers(reply))
        return started[-1]

    return Pool(start, lambda kind, text: failures.append(kind)), started, failures


def submitted(pool: Pool, *values: float) -> list[Future[Row]]:
    crew = pool.crew(QUESTIONS)
    requests = [Request(torch.tensor([float(value)])) for value in values]
    return [crew.threads.submit(crew.evaluate, request) for request in requests]


def test_workers_that_break_are_replaced_and_count_as_one_failure() -> None:
    together, broken = threading.Barrier(3), threading.Event()

    def reply(request: Request) -> Reply:
        if not broken.is_set():
            together.wait(60)
            broken.set()
            raise BrokenExecutor
        return found(request)

    pool, started, failures = opened(reply)
    assert [future.result(60).value for future in submitted(pool, 3, 1, 2)] == [3, 1, 2]
    assert pool.close() == 7
    assert len(started) == 2 and all(workers.ended for workers in started)
    assert failures == ["died"]


def test_after_the_last_try_the_candidate_is_given_up() -> None:
    pool, _, failures = opened(lambda request: Failure("out of memory", "full"))
    with pytest.raises(UserError, match=f"{TRIES} workers failed at one candidate.*memory: full"):
        submitted(pool, 0)[0].result(60)
    assert failures == ["out of memory"] * TRIES
    pool.close()


class Resident:
    """What a worker has loaded."""

    def __init__(self, error: Exception | None = None) -> None:
        self.fingerprints, self._error = {"base": "files"}, error

    def evaluator(self, questions: Questions) -> Resident:
        return self

    def evaluate(self, request: Request) -> Row:
        if self._error is not None:
            raise self._error
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
    handler = Handler(load, None, {"base": "files"})  # type: ignore[arg-type]
    reply = handler.answer(QUESTIONS, request)
    assert isinstance(reply, Failure) and reply.kind == kind
    assert isinstance(handler.answer(QUESTIONS, request), Row) and len(loaded) == 2
    other = Handler(load, None, {"base": "other files"})  # type: ignore[arg-type]
    assert isinstance(other.answer(QUESTIONS, request), UserError)
