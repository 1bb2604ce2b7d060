"""Seeded schedules of the pool: answers that come in another order, workers that fail. The result
is the same as alone, or an error of one line.
"""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal, position_key
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request, Scorer
from pyswarmopt_llm.servers.workers.pool import TRIES, Pool
from pyswarmopt_llm.servers.workers.worker import Failure, Order, Reply

SCHEDULES = range(250)


class Worker:
    """Has an order, and replies when it is its turn, or when it is ended."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._there = turns, threading.Event()
        self.order: Order
        self._reply: Reply
        self.closed = False

    def ask(self, order: Order) -> Reply:
        self.order = order
        if not self._turns.wait(self):
            return Failure("died", "x")  # as of a socket that is shut
        self._there.wait()
        self._there.clear()
        return self._reply

    def answer(self, fault: str) -> None:
        self._reply = Failure(fault, "x") if fault else row_of(self.order.request)
        self._there.set()

    def close(self) -> None:
        if self._turns.leave(self):
            self.answer("died")


class Turns:
    """Workers that are at work at the same time; one of them, at random, answers or fails."""

    memory = 0

    def __init__(self, seed: int, candidates: int) -> None:
        self._rng, self._left = random.Random(seed), candidates
        self._changed, self._asked = threading.Condition(), list[Worker]()
        self.failures = 0
        threading.Thread(target=self._run, daemon=True).start()

    def size(self) -> int:
        return 3

    def start(self, slot: int) -> Worker:
        return Worker(self)

    def wait(self, worker: Worker) -> bool:
        """Whether the worker has a turn: one that was hired and then ended has none."""
        with self._changed:
            if not worker.closed:
                self._asked.append(worker)
            self._changed.notify()
            return not worker.closed

    def leave(self, worker: Worker) -> bool:
        """Whether it was asked and has not answered: the pool is closed, and no turn comes."""
        with self._changed:
            worker.closed = True
            asked = worker in self._asked
            if asked:
                self._asked.remove(worker)
                self._left = 0
            self._changed.notify()
        return asked

    def close(self) -> None:
        """No turn comes any more, whoever was to be asked."""
        with self._changed:
            self._left = 0
            self._changed.notify()

    def _run(self) -> None:
        while self._left:
            with self._changed:
                # until all are at work that can be
                self._changed.wait_for(lambda: len(self._asked) >= min(self.size(), self._left))
                if not self._left:  # closed
                    return
                worker = self._asked.pop(self._rng.randrange(len(self._asked)))
                fault = self._rng.choice(["", "", "", "died", "timeout"])
                self.failures += bool(fault)
                self._left -= not fault or worker.order.last
            worker.answer(fault)


def row_of(request: Request) -> Row:
    value = float(request.position[0])
    return Row("", 0, 0, position_key(request.position), (value,), value, 1, 0.0, {"t": "1"})


def history(journal: Journal, pool: Pool | None = None) -> list[Row]:
    """The history of a round of candidates."""
    crew = None if pool is None else pool.crew(Questions("dev", (("t", "letter"),)))
    evaluator: Any = SimpleNamespace(evaluate=row_of, utilities={"t": None})
    positions = [torch.tensor([float(value)]) for value in CANDIDATES]
    Scorer(journal, evaluator, crew=crew).score(positions, 0)
    return journal.rows


CANDIDATES = (5, 3, 4, 1, 2, 7)


def test_a_pool_gives_the_history_of_one_process() -> None:
    alone, given_up = history(Journal()), 0
    for seed in SCHEDULES:
        journal, host = Journal(), Turns(seed, len(CANDIDATES))
        pool = Pool(host, {}, journal.note_failure)
        try:
            assert history(journal, pool) == alone
            assert sum(journal.failures.values()) == host.failures
        except UserError as error:
            given_up += 1
            text = f"{TRIES} workers failed at one candidate, the last one so: "
            assert str(error).startswith(text) and "\n" not in error.text
        finally:
            pool.close()
        resumed = Journal()
        resumed.store = journal.store
        assert history(resumed) == alone
    assert 25 < given_up < 225
