"""Client for an OpenAI-compatible chat endpoint: retries, timeout, token counts, a cache."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.fingerprint import digest
from pyswarmopt_llm.common.files.http import (
    TRANSIENT,
    Connection,
    NoAnswer,
    Refusal,
    TransientError,
)
from pyswarmopt_llm.common.files.json_types import parse_json, wrong_field

_PATH = "/chat/completions"


@dataclass(frozen=True)
class Endpoint:
    """A served model; its key is never written to a run.

    Attributes:
        url: base URL, such as http://127.0.0.1:8000/v1.
        model: its name there.
        key: sent as a bearer token; empty for none.
        variable: of the environment, from which the key is.
        prices: per million prompt and completion tokens, or None.
        timeout: seconds per request.
        attempts: attempts per request.
        deadline: seconds of retries; at least `timeout`.
        who, settings, when_down: for messages: its name, what to check if it refuses, what to do if
            it is down.
    """

    url: str
    model: str
    key: str = ""
    variable: str = "SWARM_LLM_JUDGE_KEY"
    prices: tuple[float, float] | None = None
    timeout: float = 60.0
    attempts: int = 5
    deadline: float = 300.0
    who: str = "the judge"
    settings: str = "the SWARM_LLM_JUDGE_ variables"
    when_down: str = "what was scored is kept: resume the run when it is back"

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> Endpoint:
        """The judge's: ``SWARM_LLM_JUDGE_URL``, ``_MODEL``, ``_KEY``, ``_PRICES``, ``_TIMEOUT``.

        Raises:
            UserError: one is missing or no number.

        Example:
            >>> Endpoint.from_environment({"SWARM_LLM_JUDGE_URL": "http://127.0.0.1:8000/v1/",
            ...                            "SWARM_LLM_JUDGE_MODEL": "m", "SWARM_LLM_JUDGE_PRICES": "0.5,1.5"}).prices
            (0.5, 1.5)
        """
        variables = os.environ if env is None else env
        settings = {
            name.removeprefix(_PREFIX): value
            for name, value in variables.items()
            if name.startswith(_PREFIX)
        }
        for name in ("URL", "MODEL"):
            if not settings.get(name):
                raise InvalidOption(
                    "metric",
                    "judge",
                    f"{_PREFIX}{name} is not set; set it to the endpoint's {name.lower()}",
                )
        options: dict[str, Any] = {"key": settings.get("KEY", "")}
        for name, count in (("TIMEOUT", 1), ("PRICES", 2)):
            if numbers := _numbers(settings, name, count):
                options[name.lower()] = numbers[0] if count == 1 else numbers
        return cls(settings["URL"].rstrip("/"), settings["MODEL"], **options)


_PREFIX = "SWARM_LLM_JUDGE_"
_COUNTS = ("prompt_tokens", "completion_tokens")
_CACHED = {"key": str, "text": str, "usage": tuple[int, int]}


@dataclass(frozen=True)
class Completion:
    """A response of an endpoint; ``tokens`` of prompt and completion as the endpoint counts them, 0
    if it does not.
    """

    text: str
    tokens: int


class ChatClient:
    """Sends user turns to an endpoint, the same request never twice.

    Args:
        endpoint: the endpoint.
        cache: JSONL file of responses by the exact request; None: in memory.
        max_tokens: default of a response.
        sleep: in seconds, for tests.
        clock: the same.

    Attributes:
        usage: number of responses, cached ones included, and their prompt and completion tokens.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        cache: Path | None = None,
        max_tokens: int = 256,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = Connection(
            endpoint.url, endpoint.key, endpoint.variable, TRANSIENT | {500}, sleep, clock
        )
        self._endpoint, self._max_tokens = endpoint, max_tokens
        self._cache = AppendLog(cache, None, lambda row: wrong_field(row, _CACHED))
        self._lock = threading.Lock()
        self.usage = dict.fromkeys(("requests", *_COUNTS), 0)
        self._completions: dict[str, Completion] = {}
        for row in self._cache.repaired():
            self._remember(row["key"], row["text"], row["usage"])

    def spent(self) -> dict[str, Any]:
        """`usage`, and ``cost`` in the currency of the prices, if there are any."""
        if self._endpoint.prices is None:
            return dict(self.usage)
        pairs = zip((self.usage[name] for name in _COUNTS), self._endpoint.prices, strict=True)
        return {**self.usage, "cost": sum(n * price for n, price in pairs) / 1e6}

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The greedy responses, as texts; see `complete`."""
        return [completion.text for completion in self.complete(prompts)]

    def complete(
        self, prompts: Sequence[str], options: Mapping[str, Any] | None = None
    ) -> list[Completion]:
        """The responses to user turns, in order, greedy by default.

        Args:
            prompts: user turns.
            options: fields of the protocol: ``temperature``, ``seed``, ``max_tokens``, ...

        Raises:
            UserError: the endpoint refuses, does not respond, or speaks another protocol.
        """
        distinct = list(dict.fromkeys(prompts))
        with ThreadPoolExecutor(max_workers=8) as pool:
            answers = [pool.submit(self._answer, prompt, options or {}) for prompt in distinct]
            try:
                replies = {
                    prompt: answer.result()
                    for prompt, answer in zip(distinct, answers, strict=True)
                }
            finally:  # after a failure, do not wait until each of the others has failed, too
                pool.shutdown(cancel_futures=True)
        return [replies[prompt] for prompt in prompts]

    def _answer(self, prompt: str, options: Mapping[str, Any]) -> Completion:
        body = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self._max_tokens,
            **options,
        }
        key = digest([self._endpoint.url, body])
        with self._lock:
            if key in self._completions:
                return self._completions[key]
        text, usage = self._send(body)
        with self._lock:
            return self._keep(key, text, usage)

    def _send(self, body: Mapping[str, Any]) -> tuple[str, Any]:
        """Text and usage; transient failures are retried while attempts and time last."""
        where = self._endpoint
        limits = {"timeout": where.timeout, "patience": max(where.deadline, where.timeout)}
        try:
            return self._http.request(
                "POST", _PATH, body, self._read, attempts=where.attempts, **limits
            )
        except NoAnswer as error:
            raise UserError(f"{where.who} at {error.text}; {where.when_down}") from error
        except Refusal as refusal:
            raise UserError(f"{where.who} at {refusal.text}; check {where.settings}") from refusal

    def _read(self, data: bytes) -> tuple[str, Any]:
        """Text and usage of a response; what is no JSON object does not come from an endpoint."""
        where = self._endpoint
        if not data.lstrip().startswith(b"{"):
            raise UserError(
                f"{where.who} at {where.url} answers no JSON object; check URL (it ends in /v1) "
                f"in {where.settings}"
            )
        try:
            reply = parse_json(data, numbers=True)
        except ValueError as error:
            raise TransientError(f"malformed JSON: {error}") from error
        try:
            text = reply["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            raise UserError(
                f"{where.who} at {where.url} answers without choices; check URL and model in "
                f"{where.settings}"
            )
        if not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text):
            raise TransientError("a text with half a Unicode pair")
        return text, reply.get("usage")

    def _keep(self, key: str, text: str, usage: Any) -> Completion:
        reported = usage if isinstance(usage, dict) else {}
        counts = [
            n if isinstance(n := reported.get(name), int) and 0 <= n < 2**53 else 0
            for name in _COUNTS
        ]
        self._remember(key, text, counts)
        self._cache.append({"key": key, "text": text, "usage": counts})
        return self._completions[key]

    def _remember(self, key: str, text: str, counts: Sequence[int]) -> None:
        self._completions[key] = Completion(text, sum(counts))
        for name, n in zip(self.usage, (1, *counts), strict=True):
            self.usage[name] += n


def _numbers(settings: Mapping[str, str], name: str, count: int) -> tuple[float, ...]:
    """The positive numbers of a variable; none if it is not set."""
    text = settings.get(name, "")
    if not text:
        return ()
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if (
        len(values) != count
        or not all(value >= 0 for value in values)
        or (count == 1 and values[0] == 0)
    ):
        raise UserError(
            f"{_PREFIX}{name}={text}: give {count} positive number{'s' * (count > 1)}, separated "
            "by commas"
        )
    return values
