"""A model server as a search needs it.

Token ids travel instead of texts, so that a server tokenises nothing: its tokenizer and chat
template cannot differ from those that the search was given.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import torch

from pyswarmopt_llm.common.errors import InvalidOption, NotFiniteError, UserError
from pyswarmopt_llm.common.files.http import Json, Refusal, documented
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.engine.batching import TokenPair, encode_pair
from pyswarmopt_llm.engine.chat import PromptTokenizer

KEY = "SWARM_LLM_SERVER_KEY"  # the variable with the bearer token
_WHEN_DOWN = (
    "start the server again at this address and resume the run, whose journal holds what was "
    "scored, or repeat the command"
)
_LEAST = -1e6  # vLLM has -9999 for what is less
_ROUNDING = 1e-3  # of a probability of 1
_SHOWN = 40  # characters of what is no number
T = TypeVar("T")
ROWS = 64  # prompts of one request
_ENCODED = 20_000  # tokenised pairs to keep
_REMEDY = "start it as it was, and resume the run or repeat the command"


def connection(url: str) -> Json:
    """A connection to a server, at a URL with or without /v1."""
    return Json(url.rstrip("/").removesuffix("/v1"), KEY, "the server", _WHEN_DOWN)


class CandidateServer(ABC):
    """A server that runs one base with candidates on it; called by several threads.

    A candidate is whatever `load` returns: the name of an adapter, or its scales; None is the base.

    Attributes:
        http: the connection.
        name: what it is and which version, for messages.
        base: what it calls the base; "" if it does not say.
        likelihoods: whether it gives log-probabilities of given texts, not only of the next token.
        window: its context window; None if it does not say.
        together: how many candidates it can score in one batch.
        written: the field of an answer that has its text.
    """

    http: Json
    name: str
    base: str
    likelihoods: bool
    window: int | None
    together: int
    written: str

    @abstractmethod
    def running(self) -> object:
        """The base that the server says it runs, and the adapters that it was started with."""

    def started_with(self, name: str) -> Any:
        """The candidate that the server has under this name already; None: none."""
        return None

    @abstractmethod
    def load(self, patch: Patch) -> Any:
        """Make a candidate ready.

        Raises:
            UserError: the server cannot run it.
        """

    @abstractmethod
    def unload(self, candidate: Any) -> None:
        """Forget a candidate."""

    @abstractmethod
    def score(self, candidate: Any, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """Natural log of P(token | those before it) of each token of each continuation, as the
        server gives it; `log_likelihoods` checks it.

        Raises:
            UserError: the server refuses, or does not answer.
        """

    @abstractmethod
    def complete(
        self, candidate: Any, prompts: Sequence[Sequence[int]], new: int, **options: Any
    ) -> list[Any]:
        """The server's answers to prompts, greedy, as it gives them."""

    @abstractmethod
    def to_cut(self, text: str) -> dict[str, Any]:
        """The body of a request for the token ids of a text, without special tokens."""

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text without special tokens, by the server's tokenizer."""
        answer = self.http.post("/tokenize", self.to_cut(text))
        with documented(self.name):
            return list(answer["tokens"])

    def generate(
        self, candidate: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int
    ) -> list[str]:
        """Greedy continuations, without special tokens."""
        answers = self.complete(candidate, prompts, max_new_tokens)
        with documented(self.name):
            return [str(answer[self.written]) for answer in answers]


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
    """The answers to the prompts of one request, which a server may give in any order.

    Raises:
        ValueError: one is missing, or there twice.
    """
    ordered = sorted(rows, key=lambda row: row["index"])
    if [row["index"] for row in ordered] != list(range(len(ordered))):
        raise ValueError("its answers are not one for each prompt")
    return ordered


class ServedEngine(PromptTokenizer, Engine):
    """A candidate on a server; implements `interfaces.Engine`.

    Args:
        server: runs the base.
        tokenizer: the base's, read here.
        window: context window; None if unknown.
        dtype: dtype of the candidates that it is sent.

    Attributes:
        server, dtype: as given.
        watch: looks again at a server that failed; None before the examination.
    """

    def __init__(
        self, server: CandidateServer, tokenizer: Any, window: int | None, dtype: torch.dtype
    ) -> None:
        super().__init__(tokenizer, window)
        self.server = server
        self.dtype = dtype
        self.watch: Watch | None = None
        self.likelihoods = server.likelihoods
        self._patch = Patch()
        # shared with the finalizer, which must not hold the engine
        self._loaded: list[Any] = [None]
        self._encoded = lru_cache(_ENCODED)(partial(encode_pair, self.encode))
        weakref.finalize(self, _leave, server, self._loaded)

    def another(self) -> ServedEngine:
        """An engine on the same server, for another candidate at the same time."""
        other = ServedEngine(self.server, self.tokenizer, self.window, self.dtype)
        other.watch = self.watch
        other.system = self.system
        other.thinking = self.thinking
        other._encoded = self._encoded
        return other

    def load(self, patch: Patch) -> None:
        """Replace the previous candidate.

        Raises:
            UserError: the patch is more than low-rank changes of weights, or the server refuses it.
        """
        if patch.dense or patch.full_rank or patch.mixture or patch.graph:
            raise InvalidOption(
                "engine", self.server.name, "takes candidates of space delta only, as they are"
            )
        self.leave()
        self._patch = patch
        self._loaded[0] = self.server.load(patch)

    def leave(self) -> None:
        """Unload the candidate: the base is left."""
        self._patch = Patch()
        _leave(self.server, self._loaded)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's
        tokens.
        """
        encoded = [self._encoded(context, continuation) for context, continuation in pairs]
        for (context, _), (head, tail) in zip(pairs, encoded, strict=True):
            # servers generate at least one token
            self.check_length(len(head) + len(tail) + 1, context)
        return self.score(encoded)

    def score(self, pairs: Sequence[TokenPair]) -> list[float]:
        """`loglikelihood` of token ids."""
        return self._by_rows(pairs, partial(log_likelihoods, self.server))

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations, without special tokens."""
        max_new_tokens += self.thinking
        encoded = self.encode_prompts(prompts, max_new_tokens)
        return self._by_rows(
            encoded, lambda candidate, part: self.server.generate(candidate, part, max_new_tokens)
        )

    def _by_rows(
        self, rows: Sequence[Any], value: Callable[[Any, Sequence[Any]], list[T]]
    ) -> list[T]:
        values: list[T] = []
        for start in range(0, len(rows), ROWS):
            values += self._answered(value, rows[start : start + ROWS])
            self.tell(len(values), len(rows))
        return values

    def _answered(
        self, value: Callable[[Any, Sequence[Any]], list[T]], part: Sequence[Any]
    ) -> list[T]:
        """One request; a server that was restarted has lost the candidate, which is loaded once
        more then, and may be another one.
        """
        lost = False
        try:
            answer = value(self._loaded[0], part)
        except Refusal:
            if self._loaded[0] is None:
                raise
            lost = True
        if lost:
            self.load(self._patch)
            answer = value(self._loaded[0], part)
        if self.watch is not None:
            self.watch.look(lost)
        return answer


def _leave(server: CandidateServer, loaded: list[Any]) -> None:
    """Unload the candidate of an engine."""
    candidate, loaded[0] = loaded[0], None
    server.unload(candidate)


class Watch:
    """Second look at what a server runs and how it scores, after a request that failed; on a new
    connection only what it runs.

    A server that is restarted may have another base, none of the adapters, or them in another
    order; nothing in its answers says so. Between two requests no request fails, but it closes its
    connections.

    Args:
        server: as it was examined.
        patch: a candidate that the server applies; it and the base are scored.
        pairs: to score.
        tolerance: nats per token between two scores of the same.
    """

    def __init__(
        self, server: CandidateServer, patch: Patch, pairs: Sequence[TokenPair], tolerance: float
    ) -> None:
        self._server = server
        self._patch = patch
        self._pairs = pairs
        self._tolerance = tolerance
        self._lock = threading.Lock()
        self._failures = server.http.failures
        self._connections = server.http.connections
        self._running, self._scores = server.running(), self._scored()

    def look(self, lost: bool) -> None:
        """Compare, if a request has failed, a connection was made or a candidate was lost since the
        last look.

        Raises:
            UserError: the server is another one.
        """
        with self._lock:
            failures = self._server.http.failures
            connections = self._server.http.connections
            failed = lost or failures != self._failures
            if not failed and connections == self._connections:
                return
            self._compare(scores=failed)
            self._failures = failures
            self._connections = connections

    def _compare(self, scores: bool) -> None:
        running = self._server.running()
        came_back = f"{self._server.name}: came back"
        if running != self._running:
            raise UserError(f"{came_back} with {running}, and had {self._running}; {_REMEDY}")
        pairs = [*self._pairs, *self._pairs]
        difference = per_token(self._scored(), self._scores, pairs) if scores else 0.0
        if difference > self._tolerance:
            raise UserError(
                f"{came_back} as another model or without its adapters, a text differs by "
                f"{difference:.2g} nats per token; {_REMEDY}"
            )

    def _scored(self) -> list[float]:
        scores = log_likelihoods(self._server, None, self._pairs)
        candidate = self._server.load(self._patch)
        try:
            return scores + log_likelihoods(self._server, candidate, self._pairs)
        finally:
            self._server.unload(candidate)


def per_token(a: Sequence[float], b: Sequence[float], pairs: Sequence[TokenPair]) -> float:
    """The largest difference of two scores, by the length of the continuation, in nats."""
    return max(abs(x - y) / len(tail) for x, y, (_, tail) in zip(a, b, pairs, strict=True))
