"""A model server as a search needs it, and how a candidate gets into one that reads LoRA files.

Token ids travel instead of texts, so that a server tokenises nothing: its tokenizer and chat
template cannot differ from those that the search was given.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from pyswarmopt_llm.common.errors import NotFiniteError, UserError
from pyswarmopt_llm.common.files.http import Refusal
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.experts.adapter import ADAPTER_FILES, AdapterInfo
from pyswarmopt_llm.experts.write import write_adapter

_LEAST = -1e6  # vLLM has -9999 for what is less
_ROUNDING = 1e-3  # of a probability of 1
_SHOWN = 40  # characters of what is no number


class CandidateServer(Protocol):
    """A server that runs one base with candidates on it; called by several threads.

    A candidate is whatever `load` returns: the name of an adapter, or its scales; None is the base.

    Attributes:
        name: what it is and which version, for messages.
        base: what it calls the base; "" if it does not say.
        likelihoods: whether it gives log-probabilities of given texts, not only of the next token.
        window: its context window; None if it does not say.
        remark: what to know of it; "" for nothing.
        together: how many candidates it can score in one batch.
    """

    name: str
    base: str
    likelihoods: bool
    window: int | None
    remark: str
    together: int

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text without special tokens, by the server's tokenizer."""

    def chat_tokens(self, user: str) -> list[int] | None:
        """Token ids of a user turn in the server's chat template, up to the start of the reply;
        None where it has none, or does not say.
        """

    def load(self, patch: Patch) -> Any:
        """Make a candidate ready.

        Raises:
            UserError: the server cannot run it.
        """

    def from_file(self, info: AdapterInfo) -> Any:
        """An expert from its own file, without our arithmetic; None where the server has it
        already.
        """

    def unload(self, candidate: Any) -> None:
        """Forget a candidate."""

    @property
    def failures(self) -> int:
        """Requests so far that did not succeed at once."""

    def running(self) -> object:
        """What the server says that it runs: base, and adapters that it was started with."""

    def score(self, candidate: Any, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """Natural log of P(token | those before it) of each token of each continuation, as the
        server gives it; `log_likelihoods` checks it.

        Raises:
            UserError: the server refuses, or does not answer.
        """

    def generate(
        self, candidate: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int
    ) -> list[str]:
        """Greedy continuations, without special tokens."""


class LoraFiles(ABC):
    """Candidates as LoRA folders that the server reads from a folder which both see.

    Args:
        folder: that folder; None: a temporary one, for a server of the same user on this machine.
        dtype: of the stored factors.
    """

    remark = ""

    def __init__(self, folder: Path | None, dtype: torch.dtype) -> None:
        if folder is not None and not folder.is_dir():
            raise UserError(
                f"`server_folder` {folder}: no such directory; create it where the server sees "
                "it, too"
            )
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="swarm-llm-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._dtype = dtype
        self._numbers = itertools.count(1)
        # an earlier run may have left a candidate of the same number
        self._run = uuid.uuid4().hex[:8]

    @abstractmethod
    def add(self, name: str, path: str) -> None:
        """Load an adapter into the server."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Unload it."""

    def load(self, patch: Patch) -> str | None:
        """See `CandidateServer.load`."""
        if not patch.low_rank:
            return None
        changes = {name.removesuffix(".weight"): change for name, change in patch.low_rank.items()}
        # Servers give all modules the rank and scale of the file's config, so all get the largest
        # rank.
        rank = max(change.a.shape[0] for change in changes.values())
        factors = {module: self._padded(change, rank) for module, change in changes.items()}
        targets = {module.rpartition(".")[2] for module in changes}

        def write(path: Path) -> None:
            write_adapter(path, factors, base_model_name="", target_modules=targets)

        return self._added(write)

    def from_file(self, info: AdapterInfo) -> str:
        """See `CandidateServer.from_file`."""

        def copy(path: Path) -> None:
            path.mkdir()
            for name in ADAPTER_FILES[:2]:
                shutil.copyfile(info.path / name, path / name)

        return self._added(copy)

    def unload(self, candidate: str | None) -> None:
        """See `CandidateServer.unload`."""
        if candidate is not None:
            shutil.rmtree(self._folder / candidate, ignore_errors=True)
            self.remove(candidate)

    def _padded(self, change: LowRank, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        missing = rank - change.a.shape[0]
        b = torch.nn.functional.pad(change.b, (0, missing))
        a = torch.nn.functional.pad(change.a, (0, 0, 0, missing))
        return b.to(self._dtype), a.to(self._dtype)

    def _added(self, write: Callable[[Path], None]) -> str:
        name = f"candidate-{self._run}-{next(self._numbers)}"
        path = self._folder / name
        try:
            write(path)
            self.add(name, str(path.resolve()))
        except BaseException as error:
            shutil.rmtree(path, ignore_errors=True)
            if isinstance(error, Refusal):
                doubts = (
                    f"does it see {self._folder} (`server_folder`), and take adapters of this rank?"
                )
                raise UserError(f"{error.text}; {doubts}") from error
            raise
        return name


@contextmanager
def loaded(server: CandidateServer, load: Callable[[], Any]) -> Iterator[Any]:
    """The candidate that `load` makes, for as long as it is needed."""
    candidate = load()
    try:
        yield candidate
    finally:
        server.unload(candidate)


def log_likelihoods(
    server: CandidateServer, candidate: Any, pairs: Sequence[TokenPair]
) -> list[float]:
    """Natural log of P(continuation | context), summed over tokens.

    Raises:
        NotFiniteError: the server gives anything but finite numbers of at most 0.
        UserError: it refuses, or does not answer.
    """
    return [
        sum(_logprob(server.name, value) for value in values)
        for values in server.score(candidate, pairs)
    ]


def _logprob(name: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and _LEAST < value <= _ROUNDING:
        return float(value)
    why = "its weights are damaged, or overflow in its dtype"
    raise NotFiniteError(f"{name} gives {str(value)[:_SHOWN]} for a log-probability; {why}")


def by_context(
    pairs: Sequence[TokenPair], among: Sequence[int] | None = None
) -> dict[tuple[int, ...], list[int]]:
    """Context -> the places of its pairs, in order, all of them or among some.

    Example:
        >>> by_context([((1,), (7,)), ((2,), (7,)), ((1,), (8,))])
        {(1,): [0, 2], (2,): [1]}
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for place in range(len(pairs)) if among is None else among:
        places.setdefault(pairs[place][0], []).append(place)
    return places


@contextmanager
def reading(name: str) -> Iterator[None]:
    """A block that reads a server's answer; what is missing there becomes an error of one line.

    Raises:
        UserError: the answer has not what the block reads, or something of another type.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        text = (
            f"{name} answers otherwise than documented ({type(error).__name__}: {error}); is "
            "its version supported?"
        )
        raise UserError(text) from error
