"""A pool alone, with workers that are not processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import torch

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.scoring.evaluator import Evaluation, Questions, Request
from pyswarmopt_llm.servers.workers.local import ForkServer
from pyswarmopt_llm.servers.workers.messages import Failed, Order, Ready, Refused, Reply
from pyswarmopt_llm.servers.workers.pool import TRIES, Pool, QuestionPool


class Fake:
    """A worker whose replies a test scripts: order -> reply."""

    def __init__(self, reply: Callable[[Order], Reply], prints: str = "files") -> None:
        self._reply, self._prints, self.closed = reply, prints, threading.Event()

    pid = None

    def start(self) -> Ready:
        return Ready({"base": self._prints}, os.getpid())

    def ask(self, order: Order, timeout: float | None) -> Reply:
        return self._reply(order)

    def close(self) -> None:
        self.closed.set()


def order(number: int) -> Order:
    return Order(Questions("dev", ()), Request(torch.tensor([float(number)])))


def found(order: Order) -> Evaluation:
    return Evaluation(float(order.request.position[0]), 1, {}, 0.0)


def test_orders_that_fail_go_to_another_worker_and_the_failed_one_is_ended() -> None:
    started: list[Fake] = []
    failures: list[Failed] = []

    def start_worker(slot: int) -> Fake:
        broken = len(started) % 2 == 0
        started.append(Fake((lambda order: Failed("died", "x")) if broken else found))
        return started[-1]

    with Pool(start_worker, lambda: 1, {"base": "files"}, on_failure=failures.append) as pool:
        values = [future.result(5).value for future in [pool.submit(order(k)) for k in range(6)]]
    assert values == [0, 1, 2, 3, 4, 5]
    assert len(failures) == 1 and started[0].closed.is_set() and len(started) == 2


def test_the_last_try_is_told_so_and_after_it_the_order_is_given_up() -> None:
    lasts: list[bool] = []

    def fail(order: Order) -> Reply:
        lasts.append(order.last)
        return Failed("out of memory", "full")

    given_up = pytest.raises(
        UserError, match=f"{TRIES} workers failed at one candidate.*out of memory: full"
    )
    with Pool(lambda slot: Fake(fail), lambda: 2, {"base": "files"}) as pool, given_up:
        pool.submit(order(0)).result(5)
    assert lasts == [False, False, True]


def test_what_the_user_can_correct_is_said_at_once_and_other_files_are_refused() -> None:
    for worker, message in (
        (Fake(lambda order: Refused("correct it")), "correct it"),
        (Fake(found, "others"), "a worker has loaded other files than this search"),
    ):
        refused = pytest.raises(UserError, match=f"^{message}")
        with (
            Pool(lambda slot, worker=worker: worker, lambda: 1, {"base": "files"}) as pool,
            refused,
        ):
            pool.submit(order(0)).result(5)


def test_a_crew_grows_and_shrinks_with_what_there_is() -> None:
    there = [1]
    busy, peak, lock = [0], [0], threading.Lock()

    def slow(order: Order) -> Reply:
        with lock:
            busy[0] += 1
            peak[0] = max(peak[0], busy[0])
        time.sleep(0.05)
        with lock:
            busy[0] -= 1
        return Failed("died", "node") if order.request.position[0] == 99 else found(order)

    with Pool(lambda slot: Fake(slow), lambda: there[0], {"base": "files"}) as pool:
        assert pool.size == 1
        there[0] = 4
        pool._looked = -10.0  # as if a second had passed
        futures = [pool.submit(order(k)) for k in range(12)]
        assert sorted(future.result(5).value for future in futures) == list(range(12))
        assert peak[0] == 4 and pool.size == 4
        there[0] = 1
        # until one of those that are too many has died, and its slot is taken away
        for _ in range(100):
            with pytest.raises(UserError):
                pool.submit(order(99)).result(5)
            if pool.size < 4:
                break
        assert pool.size < 4
        assert pool.submit(order(5)).result(5).value == 5


def test_a_crew_that_nobody_joins_and_a_failure_that_cannot_be_written_down_are_errors_not_hangs() -> (
    None
):
    def start_worker(slot: int) -> Fake:
        raise ConnectionError("the cluster is gone")

    gone = pytest.raises(UserError, match="start: ConnectionError: the cluster is gone")
    with Pool(start_worker, lambda: 2, {"base": "files"}) as pool, gone:
        pool.submit(order(0)).result(5)

    def full(failed: Failed) -> None:
        raise OSError(28, "No space left on device")

    broken = Fake(lambda order: Failed("died", "x"))
    with (
        Pool(lambda slot: broken, lambda: 1, {"base": "files"}, on_failure=full) as pool,
        pytest.raises(OSError),
    ):
        pool.submit(order(0)).result(5)


def test_candidates_are_evaluated_in_their_order_on_the_questions_of_the_pool() -> None:
    done: list[Order] = []
    gate = threading.Event()

    def note(order: Order) -> Reply:
        gate.wait(5)
        done.append(order)
        return found(order)

    questions = Questions("dev", (("t", "letter"),))
    requests = [Request(torch.tensor([float(number)])) for number in (3, 1, 2)]
    with Pool(lambda slot: Fake(note), lambda: 1, {"base": "files"}) as pool:
        futures = QuestionPool(pool, questions).submit(requests)
        gate.set()
        assert [future.result(5).value for future in futures] == [3, 1, 2]
    assert [order.request for order in done] == requests
    assert {order.questions for order in done} == {questions}


def test_closing_a_crew_leaves_nobody_waiting() -> None:
    begun = threading.Event()
    worker: list[Fake] = []

    def stuck(order: Order) -> Reply:
        begun.set()
        worker[0].closed.wait(5)
        return Failed("died", "closed")

    def start_worker(slot: int) -> Fake:
        worker.append(Fake(stuck))
        return worker[-1]

    pool = Pool(start_worker, lambda: 1, {"base": "files"})
    futures = [pool.submit(order(k)) for k in range(3)]
    assert begun.wait(5)
    pool.close()
    assert all(future.cancelled() for future in futures)


def test_closing_a_fork_server_ends_its_process() -> None:
    server = ForkServer(
        SearchConfig("base", (), (), "run"), lambda *_: pytest.fail("nothing is loaded")
    )
    server.close()  # before there is a process
    server = ForkServer(
        SearchConfig("base", (), (), "run"), lambda *_: pytest.fail("nothing is loaded")
    )
    server._process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    server._line, far_end = socket.socketpair()
    with far_end:
        server.close()
        assert server._process.returncode is not None and far_end.recv(1) == b""
    server._process.communicate()
