"""A pool alone, with workers that are not processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from typing import Any

import pytest
import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request
from pyswarmopt_llm.servers.workers import TRIES, Failure, Handler, Order, Pool, Reply

QUESTIONS = Questions("dev", (("t", "letter"),))


class Workers(ThreadPoolExecutor):
    """Threads whose replies a test scripts: order -> reply."""

    memory = 7
    size = 3

    def __init__(self, reply: Callable[[Order], Reply]) -> None:
        super().__init__(self.size)
        self._reply = reply
        self.ended = False

    def order(self, order: Order) -> Future[Reply]:
        return self.submit(self._reply, order)

    def end(self) -> None:
        self.ended = True
        self.shutdown(wait=False, cancel_futures=True)


def found(order: Order) -> Row:
    value = float(order.request.position[0])
    return Row("", 0, 0, "k", (), value, 1, 0.0, {"t": "1"})


def opened(reply: Callable[[Order], Reply], *more: Any) -> tuple[Any, list[Workers]]:
    started: list[Workers] = []

    def start() -> Any:
        started.append(Workers(reply))
        return started[-1]

    return Pool(start, *more), started


def submitted(pool: Pool, *values: float) -> list[Future[Row]]:
    crew = pool.crew(QUESTIONS)
    requests = [Request(torch.tensor([float(value)])) for value in values]
    return [crew.threads.submit(crew.evaluate, request) for request in requests]


def test_workers_that_break_are_replaced_and_count_as_one_failure() -> None:
    failures: list[tuple[str, str]] = []
    together, broken = threading.Barrier(3), threading.Event()

    def reply(order: Order) -> Reply:
        if not broken.is_set():
            together.wait(60)
            broken.set()
            raise BrokenExecutor
        return found(order)

    pool, started = opened(reply, {}, lambda kind, text: failures.append((kind, text)))
    assert [future.result(60).value for future in submitted(pool, 3, 1, 2)] == [3, 1, 2]
    assert pool.close() == 7
    assert len(started) == 2 and all(workers.ended for workers in started)
    assert [kind for kind, _ in failures] == ["died"]


def test_the_last_try_is_told_so_and_after_it_the_candidate_is_given_up() -> None:
    orders: list[Order] = []

    def reply(order: Order) -> Reply:
        orders.append(order)
        return Failure("out of memory", "full")

    pool, _ = opened(reply, {"base": "files"})
    with pytest.raises(UserError, match=f"{TRIES} workers failed at one candidate.*memory: full"):
        submitted(pool, 0)[0].result(60)
    assert [order.last for order in orders] == [False] * (TRIES - 1) + [True]
    assert all(order.questions == QUESTIONS for order in orders)
    pool.close()


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
        return found(Order(QUESTIONS, request, {}))


@pytest.mark.parametrize(
    ("resident", "kind"),
    [
        (Resident(MemoryError("no more")), "out of memory"),
        (Resident(KeyError("x")), "exception"),
        (Resident(shrinks=True), "out of memory"),
    ],
)
def test_after_what_a_worker_raises_or_rounds_otherwise_it_loads_anew(
    resident: Resident, kind: str
) -> None:
    loaded: list[Resident] = []

    def load(config: object) -> Resident:
        loaded.append(Resident() if loaded else resident)
        return loaded[-1]

    order = Order(QUESTIONS, Request(torch.zeros(1)), {"base": "files"})
    handler = Handler(load, None)  # type: ignore[arg-type]
    reply = handler.answer(order)
    assert isinstance(reply, Failure) and reply.kind == kind
    assert isinstance(handler.answer(order), Row) and len(loaded) == 2
