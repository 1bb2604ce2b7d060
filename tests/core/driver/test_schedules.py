"""Hundreds of seeded schedules of an executor: answers that come late, in another order, twice or
never. Nobody sleeps.
"""

from __future__ import annotations

import random
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from swarm_runs import bowl, events
from watched import Watched

import pyswarmopt as pso
from pyswarmopt.driver import workers

SCHEDULES = range(100)
BOX = [(-5.0, 5.0)] * 3


class Executor:
    """Calls that begin when they are waited for, in a random order; some are lost, or answered
    twice.

    Args:
        seed: of the schedule.
        faults: may happen to a call.
        share: of the calls that have a fault.
    """

    _max_workers = 4

    def __init__(self, seed: int, faults: tuple[str, ...] = (), share: float = 0.2) -> None:
        self.rng, self.faults, self.share = random.Random(seed), faults or ("",), share
        self.waiting = list[Any]()
        self.happened = list[str]()

    def submit(self, function, item):
        future = Answer()
        self.waiting.append((future, function, item))
        return future

    def turn(self) -> int:
        """Which of the calls that wait is next."""
        return self.rng.randrange(len(self.waiting))

    def step(self) -> None:
        """Answer one of the calls that wait, or lose it."""
        future, function, item = self.waiting.pop(self.turn())
        if future.cancelled():
            return
        fault = self.rng.choice(self.faults) if self.rng.random() < self.share else ""
        self.happened.append(fault)
        if fault == "lost":
            future.set_exception(ConnectionError("lost"))
        else:
            future.set_result(function(item))
        if fault == "twice":
            future._invoke_callbacks()


class ByPoint(Executor):
    """Whose turn it is, and what happens, follow from seed and points alone: a resumed search that
    has the same calls under way sees them end in the same order.
    """

    def __init__(self, seed: int, faults: tuple[str, ...] = ()) -> None:
        super().__init__(seed, faults)
        self.seed = seed

    def turn(self) -> int:
        draws = [self.drawn(item) for _, _, item in self.waiting]
        next_one = min(range(len(draws)), key=lambda number: draws[number].random())
        self.rng = draws[next_one]
        return next_one

    def drawn(self, item) -> random.Random:
        return random.Random(f"{self.seed} {np.asarray(item).tobytes().hex()}")


class Answer(Future):
    """Is asked for its result only when it has one."""

    def result(self, timeout=None):
        return super().result(0)


class Answered:
    """The queue of answers: it lets the schedule go on."""

    def __init__(self, executor: Executor) -> None:
        self.executor, self.there = executor, SimpleQueue()

    def put(self, future) -> None:
        self.there.put(future)

    def get(self, timeout=None):
        while self.there.empty() and self.executor.waiting:
            self.executor.step()
        assert not self.there.empty(), "waits for ever"
        return self.there.get_nowait()


@pytest.fixture
def simulated(monkeypatch):
    def simulate(executor: Executor) -> Executor:
        monkeypatch.setattr(workers, "SimpleQueue", lambda: Answered(executor))
        return executor

    return simulate


def search(fun=bowl, **options):
    return pso.minimize(fun, BOX, "constriction", 6, seed=3, **options)


@pytest.mark.parametrize("faults", [(), ("twice",)])
def test_a_search_is_that_of_one_process(simulated, faults):
    alone = search(max_iter=4)
    for seed in SCHEDULES:
        executor = simulated(Executor(seed, faults))
        r = search(workers=executor, max_iter=4)
        assert np.array_equal(r.x, alone.x) and r.fun == alone.fun, executor.happened
        assert [h.best for h in r.history] == [h.best for h in alone.history]
        assert r.nfev == alone.nfev


@pytest.mark.parametrize("faults", [(), ("twice",), ("lost", "twice")])
def test_an_asynchronous_search_counts_each_answer_once(simulated, faults):
    for seed in SCHEDULES[:40]:
        executor, fun = simulated(Executor(seed, faults)), Watched(bowl)
        r = pso.minimize(
            fun, BOX, population=6, workers=executor, max_evals=40, seed=3, asynchronous=True,
            on_error="worst", history="particles",
        )  # fmt: skip
        seen = [(value, *x) for value, x in zip(fun.values, fun.points, strict=True)]
        told = [(h.value, *h.x) for h in r.history if np.isfinite(h.value)]
        assert r.nfev == len(r.history) == 40, executor.happened
        assert sorted(told) == sorted(seen) and (r.fun, *r.x) == min(seen)


class Death(BaseException):
    """Ends the search at once."""


@pytest.mark.parametrize("recipe", [None, "constriction"])
def test_a_search_that_dies_under_a_schedule_goes_on_to_the_bit(simulated, tmp_path, recipe):
    """Each call that was under way when the checkpoint was written is made again."""
    options = {"asynchronous": True, "max_evals": 40, "seed": 3, "history": "particles"}
    if recipe is not None:
        options |= {"recipe": recipe, "population": 6}

    def run(fun, seed, **more):
        executor = simulated(ByPoint(seed, ("lost", "twice")))
        return pso.minimize(fun, BOX, workers=executor, on_error="worst", **options, **more)

    for seed in range(6):
        path = tmp_path / f"{seed}.npz"
        fatal = Watched(bowl, random.Random(seed).randrange(8, 28), Death)
        with pytest.raises(Death):
            run(fatal, seed, checkpoint=path)
        never, resumed = run(bowl, seed), run(bowl, seed, checkpoint=path)
        assert events(never) == events(resumed), seed
        assert resumed.nfev == never.nfev == 40
