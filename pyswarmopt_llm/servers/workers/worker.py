"""A worker: what answers orders where the base is resident, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import NoRoomError, NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.searching.scoring.evaluator import Evaluator, Questions, Request
from pyswarmopt_llm.searching.scoring.record import Row


class Resident(Protocol):
    """What a worker has loaded.

    Attributes:
        fingerprints: of base, experts and tasks.
        engine: runs the models.
    """

    @property
    def fingerprints(self) -> Mapping[str, Any]: ...

    @property
    def engine(self) -> Any: ...

    def evaluator(self, questions: Questions) -> Evaluator:
        """What scores candidates on these questions."""


Load = Callable[[SearchConfig], Resident]  # goes to workers by its name


@dataclass(frozen=True)
class Order:
    """A candidate to evaluate.

    Attributes:
        questions: what to score on.
        request: the candidate.
        fingerprints: of what the search has loaded.
        last: the final attempt, so smaller batches are accepted.
    """

    questions: Questions
    request: Request
    fingerprints: Mapping[str, Any]
    last: bool = False


class WorkerFailedError(Exception):
    """A worker failed; another one may succeed.

    Args:
        kind: exception, not finite, out of memory, timeout, died or start.
        text: what happened.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text


Reply = Row | UserError | WorkerFailedError  # an error that goes from process to process


class Worker(Protocol):
    """A process with the base resident."""

    def ask(self, order: Order) -> Reply:
        """Let it evaluate a candidate; the first time wait until it has loaded everything."""

    def close(self) -> None:
        """End it at once, whatever it does; from any thread, more than once."""


class Host(Protocol):
    """Where workers run.

    Attributes:
        memory: bytes that those on this machine take.
    """

    @property
    def memory(self) -> int: ...

    def size(self) -> int:
        """How many workers there may be now."""

    def start(self, slot: int) -> Worker:
        """Begin to start the worker with this number."""

    def close(self) -> None:
        """End everything, once the workers are closed."""


class Handler:
    """Answers orders, in the worker's process.

    Args:
        load: what it loads.
        config: the search's.
    """

    def __init__(self, load: Load, config: SearchConfig) -> None:
        self._loaded: Resident | UserError | WorkerFailedError
        try:
            self._loaded = load(config)
            self._evaluator = cache(self._loaded.evaluator)
            self._batch_tokens = _batch_tokens(self._loaded)
        except UserError as error:
            self._loaded = UserError(error.text)
        except Exception as error:  # such as too little memory
            self._loaded = WorkerFailedError("start", f"{type(error).__name__}: {error}")

    def answer(self, order: Order) -> Reply:
        """Evaluate a candidate; whatever is raised becomes a reply."""
        if isinstance(self._loaded, UserError | WorkerFailedError):
            return self._loaded
        if order.fingerprints != self._loaded.fingerprints:
            return UserError(
                "a worker has loaded other files than this search: base, experts or tasks changed"
            )
        try:
            row = self._evaluator(order.questions).evaluate(order.request)
        except UndefinedModelError as error:
            return UndefinedModelError(error.text)
        except NotFiniteError as error:
            return WorkerFailedError("not finite", str(error))
        except UserError as error:
            if isinstance(error, NoRoomError) and not order.last:
                return WorkerFailedError("out of memory", str(error))
            return UserError(error.text)
        except Exception as error:  # a user's function and a library's kernel may raise anything
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return WorkerFailedError("out of memory" if out_of_memory(error) else "exception", text)
        if _batch_tokens(self._loaded) < self._batch_tokens and not order.last:
            # The engine went on with smaller batches, whose values may differ in the last bit.
            text = f"batches of {self._batch_tokens} tokens do not fit any more"
            return WorkerFailedError("out of memory", text)
        return row


def _batch_tokens(resident: Resident) -> int:
    """Tokens of a batch that fits in memory."""
    return int(getattr(resident.engine, "batch_tokens", 0))
