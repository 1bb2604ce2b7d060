"""A worker: carries out orders where a base is loaded, here or elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import NoRoomError, NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Questions, Request

Load = Callable[[SearchConfig], Job]  # sent to workers by name


@dataclass(frozen=True)
class Order:
    """A candidate to evaluate.

    Attributes:
        questions: questions to score.
        request: candidate.
        fingerprints: fingerprints of the files that the search loaded.
        last: whether this is the last attempt; smaller batches are then accepted.
    """

    questions: Questions
    request: Request
    fingerprints: Mapping[str, Any]
    last: bool = False


@dataclass(frozen=True)
class Failure:
    """A worker's failure; another worker may succeed.

    Attributes:
        kind: exception, not finite, out of memory, timeout, died or start.
        text: what happened.
    """

    kind: str
    text: str


Reply = Row | UserError | Failure


class Handler:
    """Carries out orders in the worker's process.

    Args:
        load: loads a configuration.
        config: configuration of the search.
    """

    def __init__(self, load: Load, config: SearchConfig) -> None:
        self._load = load
        self._config = config
        self._job: Job | None = None
        self._evaluators: dict[Questions, Evaluator] = {}
        self._batch_tokens = 0

    def answer(self, order: Order) -> Reply:
        """Evaluate a candidate; any exception becomes a reply. After a failure everything is loaded
        anew, so that no candidate runs in an unknown state.
        """
        try:
            reply = self._evaluated(self._loaded(), order)
        except UndefinedModelError as error:
            return UndefinedModelError(error.text)
        except NotFiniteError as error:
            reply = Failure("not finite", str(error))
        except UserError as error:
            if not isinstance(error, NoRoomError) or order.last:
                return UserError(error.text)
            reply = Failure("out of memory", str(error))
        except Exception as error:  # a user's function or a library's kernel may raise anything
            text = " ".join(f"{type(error).__name__}: {error}".split())
            reply = Failure("out of memory" if out_of_memory(error) else "exception", text)
        if isinstance(reply, Failure):
            self._job = None
        return reply

    def _loaded(self) -> Job:
        if self._job is None:
            self._job = self._load(self._config)
            self._evaluators = {}
            self._batch_tokens = _batch_tokens(self._job)
        return self._job

    def _evaluated(self, job: Job, order: Order) -> Reply:
        if order.fingerprints != job.fingerprints:
            return UserError(
                "a worker has loaded other files than this search: base, experts or tasks changed"
            )
        if order.questions not in self._evaluators:
            self._evaluators[order.questions] = job.evaluator(order.questions)
        row = self._evaluators[order.questions].evaluate(order.request)
        if _batch_tokens(job) < self._batch_tokens and not order.last:
            # The engine continued with smaller batches, whose values may differ in the last bit.
            text = f"batches of {self._batch_tokens} tokens do not fit any more"
            return Failure("out of memory", text)
        return row


def _batch_tokens(job: Job) -> int:
    """Tokens of a batch, chosen by memory."""
    return int(getattr(job.engine, "batch_tokens", 0))


_HERE: list[Handler] = []  # the handler of this process


def begin(load: Load, config: SearchConfig, slots: Any) -> None:
    """Make this process a worker: it ends with the search's process, and prints nothing.

    Args:
        load: loads a configuration.
        config: configuration of the search.
        slots: shared counter of the processes; several GPUs are used in turn.
    """
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the search ends its workers
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    threading.Thread(target=_end_with_search, daemon=True).start()
    with slots.get_lock():
        slot = slots.value
        slots.value += 1
    gpus = torch.cuda.device_count()
    if config.device in ("auto", "cuda") and gpus > 1:
        config = replace(config, device=f"cuda:{slot % gpus}")
    _HERE.append(Handler(load, config))


def carry_out(order: Order) -> Reply:
    """Carry out an order in this process."""
    return _HERE[0].answer(order)


def _end_with_search() -> None:
    """End this process when the search's process ends, even if it is killed."""
    search = parent_process()
    if search is not None:
        search.join()
        os._exit(1)
