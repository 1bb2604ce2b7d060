"""A worker: carries out orders where a base is loaded, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import NoRoomError, NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request

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
        self._job: Job | UserError | Failure
        try:
            self._job = load(config)
            self._evaluator = cache(self._job.evaluator)
            self._batch_tokens = _batch_tokens(self._job)
        except UserError as error:
            self._job = UserError(error.text)
        except Exception as error:  # such as lack of memory
            self._job = Failure("start", f"{type(error).__name__}: {error}")

    def answer(self, order: Order) -> Reply:
        """Evaluate a candidate; any exception becomes a reply."""
        if isinstance(self._job, UserError | Failure):
            return self._job
        if order.fingerprints != self._job.fingerprints:
            return UserError(
                "a worker has loaded other files than this search: base, experts or tasks changed"
            )
        try:
            row = self._evaluator(order.questions).evaluate(order.request)
        except UndefinedModelError as error:
            return UndefinedModelError(error.text)
        except NotFiniteError as error:
            return Failure("not finite", str(error))
        except UserError as error:
            if isinstance(error, NoRoomError) and not order.last:
                return Failure("out of memory", str(error))
            return UserError(error.text)
        except Exception as error:  # a user's function or a library's kernel may raise anything
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Failure("out of memory" if out_of_memory(error) else "exception", text)
        if _batch_tokens(self._job) < self._batch_tokens and not order.last:
            # The engine continued with smaller batches, whose values may differ in the last bit.
            text = f"batches of {self._batch_tokens} tokens do not fit any more"
            return Failure("out of memory", text)
        return row


def _batch_tokens(job: Job) -> int:
    """Tokens of a batch, chosen by memory."""
    return int(getattr(job.engine, "batch_tokens", 0))
