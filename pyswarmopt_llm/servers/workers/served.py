"""A search whose base a server runs: what it cannot score, its examination, and candidates in
flight together.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.mix.kind import Prepared
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.searching.scoring.evaluator import Evaluator, Request
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Crew
from pyswarmopt_llm.servers.attach import (
    CONTINUED,
    PLAIN,
    TEXTS,
    TOLERANCE,
    Examination,
    examine,
)
from pyswarmopt_llm.servers.engine import ServedEngine


def check_served(config: SearchConfig, objectives: Objectives, prepared: Prepared) -> Examination:
    """Refuse tasks that the server cannot score, then examine it on the first dev items.

    Raises:
        UserError: a task, or what the examination found.
    """
    engine = _served(prepared.engine)
    for name in objectives.tasks:
        if not objectives.scorings(name, config.scoring, engine.likelihoods):
            why = (
                f"{engine.server.name} gives no log-probabilities of texts, by which {name} is "
                "scored"
            )
            raise InvalidOption("scoring", None, f"{why}; score by letter or generate, or use vLLM")
    texts = list(islice(_texts(config, objectives, engine), TEXTS))
    return examine(
        engine, prepared.space, prepared.experts, texts or [engine.chat(text) for text in PLAIN]
    )


def still_same(run: Run, now: Examination, notes: Mapping[str, str]) -> Mapping[str, str]:
    """The notes of a resumed run, with one more if its server has ceased to repeat itself.

    Raises:
        UserError: the server runs another base than when the run began.
    """
    before = run.about
    tolerance = TOLERANCE + max(before.noise, now.noise)
    distances = [abs(a - b) for a, b in zip(before.server_scores, now.scores, strict=False)]
    if max(distances, default=0.0) > tolerance * CONTINUED:
        raise UserError(
            f"{run.path}: its server scores the first items otherwise than when the run began "
            f"(by {max(distances):.2g} nats): it runs another base, or quantises it otherwise; "
            "start it as it was, or begin a new run"
        )
    if before.noise or not now.noise:
        return notes
    text = (
        "the server answered bit for bit when this run began, and now differs by up to "
        f"{now.noise:.1g} nats: the result may not be that of a run without interruption"
    )
    return {**notes, "repeats": text}


def _texts(config: SearchConfig, objectives: Objectives, engine: ServedEngine) -> Iterator[str]:
    """What is scored of each task's first dev items, once per item."""
    for name, task in objectives.tasks.items():
        scoring = objectives.scorings(name, config.scoring, engine.likelihoods)[0]
        questions = objectives.metrics[name].build(
            task.dev[:TEXTS], scoring, engine.chat, task.prompt
        )
        first = {item.id: text for item, text, _ in reversed(list(questions.texts()))}
        yield from (first[item.id] for item in task.dev[:TEXTS])


class ServedPool:
    """Evaluates several candidates at a time on one server, each by a thread.

    Args:
        evaluator: of this process.
        engine: its engine.
    """

    def __init__(self, evaluator: Evaluator, engine: Engine) -> None:
        served = _served(engine)
        self._evaluator, count = evaluator, served.server.together
        self._free: queue.SimpleQueue[ServedEngine] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(served.another())
        self.crew = Crew(self._evaluate, ThreadPoolExecutor(count, "candidate"))

    def close(self) -> None:
        """Wait for those that have begun; the others are not evaluated."""
        self.crew.threads.shutdown(cancel_futures=True)

    def _evaluate(self, request: Request) -> Row:
        engine = self._free.get()
        try:
            return self._evaluator.on(engine).evaluate(request)
        finally:
            engine.leave()
            self._free.put(engine)


def _served(engine: Engine) -> ServedEngine:
    if not isinstance(engine, ServedEngine):
        raise TypeError("a search on a server has its engine")
    return engine
