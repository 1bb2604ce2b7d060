"""A pool alone, with workers that are not processes."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import torch

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request
from pyswarmopt_llm.servers.workers import local
from pyswarmopt_llm.servers.workers.pool import TRIES, Pool
from pyswarmopt_llm.servers.workers.worker import Failure, Handler, Order, Reply

QUESTIONS = Questions("dev", (("t", "letter"),))


class Fake:
    """A worker whose replies a test scripts: order -> reply."""

    def __init__(self, ask: Callable[[Order], Reply]) -> None:
        self.ask, self.closed = ask, threading.Event()

    def close(self) -> None:
        self.closed.set()


class Hosting:
    """Where fake workers run: replies by the number of the worker that was started."""

    memory = 7

    def __init__(self, reply: Callable[[int, Order], Reply], size: int = 1) -> None:
        self._reply, self.there = reply, size
        self.started: list[Fake] = []
        self.closed = False

    def size(self) -> int:
        return self.there

    def start(self, slot: int) -> Fake:
        number = len(self.started)
        self.started.append(Fake(lambda order: self._reply(number, order)))
        return self.started[-1]

    def close(self) -> None:
        self.closed = True


def found(number: int, order: Order) -> Row:
    value = float(order.request.position[0])
    return Row("", 0, 0, "k", (), value, 1, 0.0, {"t": "1"})


def submitted(pool: Pool, *values: float) -> list[Future[Row]]:
    crew = pool.crew(QUESTIONS)
    requests = [Request(torch.tensor([float(value)])) for value in values]
    return [crew.threads.submit(crew.evaluate, request) for request in requests]


def test_a_candidate_that_fails_goes_to_another_worker_and_the_failed_one_is_ended() -> None:
    failures: list[tuple[str, str]] = []
    host = Hosting(lambda n, order: found(n, order) if n else Failure("died", "x"))
    pool = Pool(host, {}, lambda kind, text: failures.append((kind, text)))
    assert [future.result(60).value for future in submitted(pool, 3, 1, 2)] == [3, 1, 2]
    pool.close()
    assert failures == [("died", "x")] and len(host.started) == 2
    assert all(worker.closed.is_set() for worker in host.started) and host.closed


def test_the_last_try_is_told_so_and_after_it_the_candidate_is_given_up() -> None:
    orders: list[Order] = []
    full = Failure("out of memory", "full")
    pool = Pool(Hosting(lambda n, order: orders.append(order) or full, 2), {"base": "files"})  # type: ignore[func-returns-value]
    with pytest.raises(UserError, match=f"{TRIES} workers failed at one candidate.*memory: full"):
        submitted(pool, 0)[0].result(60)
    assert [order.last for order in orders] == [False] * (TRIES - 1) + [True]
    assert all(order.questions == QUESTIONS for order in orders)
    pool.close()


@pytest.mark.parametrize("error", [UserError("correct it"), UndefinedModelError("no numbers")])
def test_what_the_user_can_correct_is_said_at_once(error: UserError) -> None:
    host = Hosting(lambda n, order: error)
    pool = Pool(host, {})
    with pytest.raises(type(error), match=str(error)):
        submitted(pool, 0)[0].result(60)
    pool.close()
    assert len(host.started) == 1


def test_it_grows_and_shrinks_with_what_there_is() -> None:
    together, at_work, begun = threading.Barrier(4), list[int](), list[Order]()
    peak, lock = [0], threading.Lock()

    def reply(number: int, order: Order) -> Reply:
        with lock:
            at_work.append(number)
            peak[0] = max(peak[0], len(at_work))
            begun.append(order)
            waits = host.there == 4 or 13 < len(begun) <= 17  # those that fail below, once
        if waits:
            together.wait(60)  # passes only if four are at work at once
        with lock:
            at_work.remove(number)
        failed = order.request.position[0] == 99 and not order.last
        return Failure("died", "node") if failed else found(number, order)

    host = Hosting(reply)
    pool = Pool(host, {})
    assert submitted(pool, 0)[0].result(60).value == 0 and peak == [1]
    host.there = 4
    assert sorted(f.result(60).value for f in submitted(pool, *range(12))) == list(range(12))
    assert peak == [4] and len(host.started) == 4
    host.there = 1
    for future in submitted(pool, 99, 99, 99, 99):  # workers that are too many are not replaced
        future.result(60)
    peak[0] = 0
    for future in submitted(pool, *range(4)):
        future.result(60)
    assert peak == [1] and sum(not worker.closed.is_set() for worker in host.started) == 1
    pool.close()


def test_a_failure_that_cannot_be_written_down_is_an_error_and_no_hang() -> None:
    def full(kind: str, text: str) -> None:
        raise OSError(28, "No space left on device")

    pool = Pool(Hosting(lambda n, order: Failure("died", "x")), {}, full)
    with pytest.raises(OSError):
        submitted(pool, 0)[0].result(60)
    pool.close()


def test_closing_leaves_nobody_waiting() -> None:
    begun, ended = threading.Event(), list[bool]()

    def stuck(number: int, order: Order) -> Reply:
        begun.set()
        ended.append(host.started[number].closed.wait(60))
        return Failure("died", "closed")

    host = Hosting(stuck)
    pool = Pool(host, {})
    futures = submitted(pool, 0, 1, 2)
    assert begun.wait(60)
    pool.close()
    assert ended == [True] and all(f.exception(0) is not None for f in futures)
    assert len(host.started) == 1


def test_no_worker_starts_while_those_of_a_pool_that_closes_are_counted() -> None:
    class Counted(Hosting):
        @property
        def memory(self) -> int:  # type: ignore[override]
            submitted(pool, 0)
            time.sleep(0.2)  # enough for it to start, if it could
            return 7

    host = Counted(found)
    pool = Pool(host, {})
    assert pool.close() == 7 and host.started == []


def test_a_fork_server_that_could_not_be_started_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Process:
        """In place of the fork server: it keeps its end of the line."""

        def __init__(self, words: list[str], pass_fds: list[int], **more: object) -> None:
            if not tries:
                tries.append("refused")
                raise BlockingIOError(11, "Resource temporarily unavailable")
            self.stdin, self.line = io.BytesIO(), socket.socket(fileno=os.dup(pass_fds[0]))
            tries.append(self)

    tries: list[Any] = []
    monkeypatch.setattr(local.subprocess, "Popen", Process)
    load: Any = print  # it goes by name
    config: Any = None
    worker = local.ForkServer(config, load, 1).start(3)
    _, started = tries
    slot, sockets, _, _ = socket.recv_fds(started.line, 4, 1)
    assert int.from_bytes(slot, "big") == 3 and len(sockets) == 1
    os.close(sockets[0])
    assert worker.ask(Order(QUESTIONS, Request(torch.zeros(1)), {})).kind == "died"  # type: ignore[union-attr]


class Resident:
    """What a worker has loaded, with one engine that shrinks its batches."""

    def __init__(self, error: Exception | None = None, shrinks: bool = False) -> None:
        self.fingerprints, self.engine = {"base": "files"}, self
        self.batch_tokens, self._error, self._shrinks = 100, error, shrinks

    def evaluator(self, questions: Questions) -> Resident:
        return self

    def evaluate(self, request: Request) -> Row:
        if self._error is not None:
            raise self._error
        self.batch_tokens -= self._shrinks
        return found(0, Order(QUESTIONS, request, {}))


@pytest.mark.parametrize(
    ("resident", "kind"),
    [
        (Resident(MemoryError("no more")), "out of memory"),
        (Resident(KeyError("x")), "exception"),
        (Resident(shrinks=True), "out of memory"),
    ],
)
def test_what_a_worker_raises_or_rounds_otherwise_is_a_failure(
    resident: Resident, kind: str
) -> None:
    order = Order(QUESTIONS, Request(torch.zeros(1)), {"base": "files"})
    reply = Handler(lambda config: resident, None).answer(order)  # type: ignore[arg-type, return-value]
    assert isinstance(reply, Failure) and reply.kind == kind


def test_a_worker_that_cannot_load_or_has_other_files_says_so() -> None:
    def missing(config: object) -> Resident:
        raise UserError("base: not there")

    order = Order(QUESTIONS, Request(torch.zeros(1)), {"base": "others"})
    for load, said in ((missing, "base: not there"), (lambda _: Resident(), "loaded other files")):
        reply = Handler(load, None).answer(order)  # type: ignore[arg-type]
        assert isinstance(reply, UserError) and said in str(reply)
