"""A model server as a search needs it.

Token ids travel instead of texts, so that a server tokenises nothing: its tokenizer and chat
template cannot differ from those that the search was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from pyswarmopt_llm.common.errors import NotFiniteError
from pyswarmopt_llm.common.files.http import Json
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.experts.adapter import AdapterInfo

KEY = "SWARM_LLM_SERVER_KEY"  # the variable with the bearer token
_WHEN_DOWN = (
    "start the server again at this address and resume the run, whose journal holds what was "
    "scored, or repeat the command"
)
_LEAST = -1e6  # vLLM has -9999 for what is less
_ROUNDING = 1e-3  # of a probability of 1
_SHOWN = 40  # characters of what is no number


def connection(url: str) -> Json:
    """A connection to a server, at a URL with or without /v1."""
    return Json(url.rstrip("/").removesuffix("/v1"), KEY, "the server", _WHEN_DOWN)


class CandidateServer(Protocol):
    """A server that runs one base with candidates on it; called by several threads.

    A candidate is whatever `load` returns: the name of an adapter, or its scales; None is the base.

    Attributes:
        http: the connection.
        name: what it is and which version, for messages.
        base: what it calls the base; "" if it does not say.
        likelihoods: whether it gives log-probabilities of given texts, not only of the next token.
        window: its context window; None if it does not say.
        remark: what to know of it; "" for nothing.
        together: how many candidates it can score in one batch.
    """

    http: Json
    name: str
    base: str
    likelihoods: bool
    window: int | None
    remark: str
    together: int

    def running(self) -> object:
        """What the server says that it runs: base, and adapters that it was started with."""

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


def in_order(rows: Sequence[Any]) -> list[Any]:
    """The answers to the prompts of one request, which a server may give in any order."""
    return sorted(rows, key=lambda row: row["index"])
