"""A model server as used by a search.

Token ids are sent, not texts, so the server tokenises nothing: its tokenizer and chat template
cannot differ from the search's.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch

from pyswarmopt_llm.common.errors import InvalidOption, NotFiniteError, UserError
from pyswarmopt_llm.common.files.http import Json, Refusal, documented
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.engine.chat import PromptTokenizer

KEY = "SWARM_LLM_SERVER_KEY"  # environment variable with the bearer token
_WHEN_DOWN = (
    "start the server again at this address and resume the run, whose journal holds what was "
    "scored, or repeat the command"
)
_LEAST = -1e6  # vLLM returns -9999 for less
_ROUNDING = 1e-3  # rounding of a probability of 1
_SHOWN = 40  # characters of a bad number in a message
T = TypeVar("T")
ROWS = 64  # prompts per request
_REMEDY = "start it as it was, and resume the run or repeat the command"


def connection(url: str) -> Json:
    """A connection to a server, at a URL with or without /v1."""
    return Json(url.rstrip("/").removesuffix("/v1"), KEY, "the server", _WHEN_DOWN)


class CandidateServer(ABC):
    """A server that runs one base with candidates on it; thread-safe.

    A candidate is the value of `load`: an adapter's name, or scales; None is the base.

    Attributes:
        http: connection to the server.
        name: kind and version, for messages.
        base: the server's name of the base; "" if it gives none.
        likelihoods: whether it returns log-probabilities of given texts, not only of the next
            token.
        window: context window; None if unknown.
        together: number of candidates that it can score in one batch.
        written: field of an answer that holds the text.
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
        """The base that the server claims to run, and the adapters it was started with."""

    def started_with(self, name: str) -> Any:
        """The candidate that the server already has under this name, or None."""
        return None

    @abstractmethod
    def load(self, patch: Patch) -> Any:
        """Make a candidate ready.

        Raises:
            UserError: the server cannot run the candidate.
        """

    @abstractmethod
    def unload(self, candidate: Any) -> None:
        """Discard a candidate."""

    @abstractmethod
    def score(self, candidate: Any, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """Natural log of P(token | earlier tokens) for each token of each continuation, as returned
        by the server; `log_likelihoods` checks the values.

        Raises:
            UserError: the server refuses, or does not answer.
        """

    @abstractmethod
    def complete(
        self, candidate: Any, prompts: Sequence[Sequence[int]], new: int, **options: Any
    ) -> list[Any]:
        """The server's greedy answers to prompts, unprocessed."""

    @abstractmethod
    def to_cut(self, text: str) -> dict[str, Any]:
        """Body of a request for a text's token ids, without special tokens."""

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
            texts = [answer[self.written] for answer in answers]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError(f"{self.written} is no text")
            return texts


def log_likelihoods(
    server: CandidateServer, candidate: Any, pairs: Sequence[TokenPair]
) -> list[float]:
    """Natural log of P(continuation | context), summed over tokens.

    Raises:
        NotFiniteError: the server returns anything but finite numbers of at most 0.
        UserError: the server refuses, or does not answer.
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


def in_order(rows: Sequence[Any], prompts: int) -> list[Any]:
    """The answers to a request's prompts, sorted; a server may return them in any order.

    Raises:
        ValueError: an answer is missing or repeated.
    """
    ordered = sorted(rows, key=lambda row: row["index"])
    if [row["index"] for row in ordered] != list(range(prompts)):
        raise ValueError("its answers are not one for each prompt")
    return ordered


class ServedEngine(PromptTokenizer, Engine):
    """A candidate on a server; implements `interfaces.Engine`.

    Args:
        server: runs the base.
        tokenizer: tokenizer of the base, loaded here.
        window: context window; None if unknown.
        dtype: dtype of the candidates it receives.

    Attributes:
        server, dtype: as given.
        watch: checks a server again after a failure; None before the examination.
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
        weakref.finalize(self, _leave, server, self._loaded)

    def another(self) -> ServedEngine:
        """An engine on the same server, for a simultaneous candidate."""
        other = ServedEngine(self.server, self.tokenizer, self.window, self.dtype)
        other.watch = self.watch
        other.system = self.system
        other.thinking = self.thinking
        other.pairs = self.pairs
        return other

    def load(self, patch: Patch) -> None:
        """Replace the previous candidate.

        Raises:
            UserError: the patch has more than low-rank changes, or the server refuses it.
        """
        if patch.dense or patch.full_rank or patch.mixture or patch.graph:
            raise InvalidOption(
                "engine", self.server.name, "takes candidates of space delta only, as they are"
            )
        self.leave()
        self._patch = patch
        self._loaded[0] = self.server.load(patch)

    def leave(self) -> None:
        """Unload the candidate, leaving the base."""
        self._patch = Patch()
        _leave(self.server, self._loaded)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's
        tokens.
        """
        # servers generate at least one token
        return self.score([self.encode_continuation(*pair, room=1) for pair in pairs])

    def score(self, pairs: Sequence[TokenPair]) -> list[float]:
        """`loglikelihood` for token ids."""
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
        """Answer one request. A restarted server has lost the candidate, so it is loaded once more;
        the server may now be another one.
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
    """Unload an engine's candidate."""
    candidate = loaded[0]
    loaded[0] = None
    server.unload(candidate)


class Watch:
    """Checks a server's models and scores again after a failed request; after a new connection only
    its models.

    A restarted server may have another base, no adapters, or adapters in another order, without any
    sign in its answers. A restart between two requests makes no request fail, but closes the
    connections.

    Args:
        server: examined server.
        patch: candidate that the server applies; candidate and base are scored.
        pairs: pairs to score.
        tolerance: allowed difference between two scores, in nats per token.
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
        self._running = server.running()
        self._scores = self._scored()

    def look(self, lost: bool) -> None:
        """Compare, if since the last look a request has failed, a connection was made, or a
        candidate was lost.

        Raises:
            UserError: the server has changed.
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
    """The largest difference of two scores, in nats per token of the continuation."""
    return max(abs(x - y) / len(tail) for x, y, (_, tail) in zip(a, b, pairs, strict=True))
