"""Seeded schedules of the pool, and of the client of a server: answers that come late,
in another order, twice or never, workers that hang, servers that restart, with other models too.
The result is the same as alone, or an error of one line. Clocks are simulated, nobody sleeps.
"""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files import http
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal, position_key
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request, Scorer
from pyswarmopt_llm.servers import vllm
from pyswarmopt_llm.servers.engine import ServedEngine, Watch, connection
from pyswarmopt_llm.servers.vllm import Vllm
from pyswarmopt_llm.servers.workers.pool import TRIES, Pool
from pyswarmopt_llm.servers.workers.worker import Failure, Order, Reply

SCHEDULES = range(250)


# The pool


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


# The client of a server


class Server:
    """vLLM as the client sees it, without a network: numbers that follow from base and adapter.

    Args:
        seed: of its faults.
        faults: the share of requests at which one happens.
    """

    def __init__(self, seed: int, faults: float) -> None:
        self._rng, self.faults = random.Random(seed), faults
        self.now, self.base, self.examined = 0.0, 1.0, False
        self._loaded: dict[str, float] = {}
        self.written: dict[str, float] = {}
        self.happened: list[str] = []

    def write(self, path: Path, factors: Any, **more: Any) -> None:
        """In place of `write_adapter`: what an adapter adds."""
        (b, a), *_ = factors.values()
        self.written[path.name] = float((b @ a).sum())

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def handle(self, request: httpx.Request) -> httpx.Response:
        fault = self._rng.choice(FAULTS) if self._rng.random() < self.faults else ""
        self.happened.append(fault)
        if "restart" in fault:
            self._loaded.clear()
            self.base *= 1.1 if self.examined and fault == "restart with another base" else 1.0
            raise httpx.ConnectError("refused")
        if fault == "lost before":
            raise httpx.ConnectError("refused")
        if fault == "busy":
            return httpx.Response(503, json={"error": "busy"})
        status, content = self._answer(request.url.path, json.loads(request.content or "{}"))
        if fault == "lost after":
            raise httpx.ReadError("lost")
        if fault == "late":
            self.now += 600.0
            raise httpx.ReadTimeout("late")
        if fault == "cut off":
            return httpx.Response(status, content=json.dumps(content)[:-3])
        if "choices" in content:
            self._rng.shuffle(content["choices"])
            if fault == "doubled":  # in place of another, or beside all
                one, *others = content["choices"]
                content["choices"] = [one, one, *others[self._rng.randrange(2) :]]
        return httpx.Response(status, json=content)

    def _answer(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/v1/models":
            return 200, {"data": [{"id": "base"}]}
        name = body.get("lora_name", body.get("model"))
        if path == "/v1/load_lora_adapter":
            if name in self._loaded:
                return 400, {"message": f"The lora adapter '{name}' has already been loaded."}
            self._loaded[name] = self.written[name]
            return 200, "Success"
        if path == "/v1/unload_lora_adapter":
            return (200, "Success") if self._loaded.pop(name, None) else (404, {"message": "none"})
        if name != "base" and name not in self._loaded:
            return 404, {"message": f"The model {name} does not exist."}
        model = self.base + self._loaded.get(name, 0.0)
        return 200, {
            "choices": [
                {"index": index, "prompt_logprobs": [None, *logprobs(model, ids)]}
                for index, ids in enumerate(body["prompt"])
            ]
        }


FAULTS = (
    *("lost before", "lost after", "busy", "late", "cut off", "doubled"),
    *("restart", "restart with another base"),
)


def logprobs(model: float, ids: list[int]) -> list[Any]:
    return [
        {str(ids[i]): {"logprob": -1.0 - math.sin(model * (i + sum(ids[: i + 1])))}}
        for i in range(1, len(ids))
    ]


CLIENT = httpx.Client
PAIRS = [((1, 2, 3), (4, 5)), ((1, 2), (6, 7)), ((9, 8), (7, 6, 5))]


class Tokenizer:
    """Reads no text: the pairs are tokens. It has no special ones."""

    chat_template = "x"

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [1]}


def adapter(scale: float) -> Patch:
    return Patch(low_rank={"m.weight": LowRank(torch.ones(2, 1), torch.full((1, 2), scale))})


@pytest.fixture
def served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Server], list[list[float]]]]:
    def scores(server: Server) -> list[list[float]]:
        """Those of four candidates of two engines, and of the base between them."""
        client = CLIENT(transport=httpx.MockTransport(server.handle))
        monkeypatch.setattr(httpx, "Client", lambda **options: client)
        monkeypatch.setattr(http, "time", server)
        monkeypatch.setattr(vllm, "write_adapter", server.write)
        candidates = Vllm(connection("http://127.0.0.1:1"), "0.30", tmp_path, torch.float32, 2)
        engine = ServedEngine(candidates, Tokenizer(), None, torch.float32)
        engine.watch = Watch(candidates, adapter(0.7), PAIRS[:2], 1e-9)
        server.examined = True
        other, found = engine.another(), list[list[float]]()
        for number, scale in enumerate((0.1, 0.2, 0.0, 0.3)):
            one = (engine, other)[number % 2]
            one.load(adapter(scale) if scale else Patch())
            found.append(one.score(PAIRS))
        return found

    yield scores


def test_a_server_gives_the_scores_of_one_without_faults(
    served: Callable[[Server], list[list[float]]], tmp_path: Path
) -> None:
    alone, ends = served(Server(0, 0.0)), {"same": 0, "error": 0}
    for seed in SCHEDULES:
        server = Server(seed, random.Random(seed).choice([0.02, 0.1, 0.3]))
        try:
            found = served(server)
        except UserError as error:
            ends["error"] += 1
            assert "\n" not in error.text and any(server.happened)
            continue
        ends["same"] += 1
        assert found == alone, (seed, server.happened)
    assert min(ends.values()) > 25, ends
