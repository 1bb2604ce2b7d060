"""What goes to a worker and what comes back, and the handler that answers there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import NoRoomError, NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.searching.scoring.evaluator import Evaluation, Evaluator, Questions, Request


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
    """Something for a worker to do.

    Attributes:
        questions: what to score on.
        request: the candidate.
        last: the final attempt, so smaller batches are accepted.
    """

    questions: Questions
    request: Request
    last: bool = False


@dataclass(frozen=True)
class Ready:
    """A worker has loaded everything.

    Attributes:
        fingerprints: of what it has loaded.
        pid: of its process, on whatever machine.
    """

    fingerprints: Mapping[str, Any]
    pid: int


@dataclass(frozen=True)
class Refused:
    """The user can correct it; another worker would say the same.

    Attributes:
        text: what to do.
        undefined: whether it is an `UndefinedModelError`.
    """

    text: str
    undefined: bool = False


@dataclass(frozen=True)
class Failed:
    """Another worker may succeed.

    Attributes:
        kind: exception, not finite, out of memory, timeout, died or start.
        text: what happened.
    """

    kind: str
    text: str


Reply = Evaluation | Refused | Failed


class Worker(Protocol):
    """A process with the base resident, here or elsewhere.

    Attributes:
        pid: of the process, if it is on this machine and has begun.
    """

    @property
    def pid(self) -> int | None: ...

    def start(self) -> Ready | Refused | Failed:
        """Wait until it has loaded everything; later the same answer at once."""

    def ask(self, order: Order, timeout: float | None) -> Reply:
        """Let it do this, in `timeout` seconds at most."""

    def close(self) -> None:
        """End it at once, whatever it does; from any thread, more than once."""


class Handler:
    """Answers orders where the base is resident.

    Args:
        resident: what is loaded.
    """

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._evaluators: dict[Questions, Evaluator] = {}
        self._batch_tokens = self._room()

    @property
    def ready(self) -> Ready:
        """What it has loaded."""
        return Ready(self._resident.fingerprints, os.getpid())

    def answer(self, order: Order) -> Reply:
        """Do it; whatever is raised becomes a reply."""
        try:
            evaluation = self._find(order)
        except UndefinedModelError as error:
            return Refused(error.text, undefined=True)
        except NotFiniteError as error:
            return Failed("not finite", str(error))
        except UserError as error:
            no_room = isinstance(error, NoRoomError) and not order.last
            return Failed("out of memory", str(error)) if no_room else Refused(error.text)
        except Exception as error:  # a user's function and a library's kernel may raise anything
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Failed("out of memory" if out_of_memory(error) else "exception", text)
        if self._room() < self._batch_tokens and not order.last:
            # The engine went on with smaller batches, whose values may differ in the last bit.
            return Failed(
                "out of memory", f"batches of {self._batch_tokens} tokens do not fit any more"
            )
        return evaluation

    def _find(self, order: Order) -> Evaluation:
        if order.questions not in self._evaluators:
            self._evaluators[order.questions] = self._resident.evaluator(order.questions)
        return self._evaluators[order.questions].evaluate(order.request)

    def _room(self) -> int:
        return int(getattr(self._resident.engine, "batch_tokens", 0))
