"""Client for an OpenAI-compatible chat endpoint: a cache, several requests at once, token counts."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.fingerprint import digest
from pyswarmopt_llm.common.files.http import Json, documented
from pyswarmopt_llm.common.files.json_types import wrong_field

TIMEOUT = 300.0  # seconds for one answer
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
        server: its base URL ends in /v1.
        model: its name there.
        cache: JSONL file of responses by the exact request; None: in memory.
        max_tokens: default of a response.

    Attributes:
        usage: number of responses, cached ones included, and their prompt and completion tokens.
    """

    def __init__(
        self, server: Json, model: str, cache: Path | None = None, max_tokens: int = 256
    ) -> None:
        self._server, self._model, self._max_tokens = server, model, max_tokens
        self._cache = AppendLog(cache, None, lambda row: wrong_field(row, _CACHED))
        self._lock = threading.Lock()
        self.usage = dict.fromkeys(("requests", *_COUNTS), 0)
        self._completions: dict[str, Completion] = {}
        for row in self._cache.repaired():
            self._remember(row["key"], row["text"], row["usage"])

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
            try:
                answers = list(
                    pool.map(lambda prompt: self._answer(prompt, options or {}), distinct)
                )
            finally:  # after a failure, do not wait until each of the others has failed, too
                pool.shutdown(cancel_futures=True)
        replies = dict(zip(distinct, answers, strict=True))
        return [replies[prompt] for prompt in prompts]

    def _answer(self, prompt: str, options: Mapping[str, Any]) -> Completion:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self._max_tokens,
            **options,
        }
        key = digest([self._server.url, body])
        with self._lock:
            if key in self._completions:
                return self._completions[key]
        reply = self._server.post("/chat/completions", body)
        with documented(self._server.url):
            content = reply["choices"][0]["message"]["content"]
            text = content.encode(errors="replace").decode()  # half a Unicode pair cannot be stored
            counts = _counts(reply.get("usage"))
        with self._lock:
            self._cache.append({"key": key, "text": text, "usage": counts})
            return self._remember(key, text, counts)

    def _remember(self, key: str, text: str, counts: Sequence[int]) -> Completion:
        for name, n in zip(self.usage, (1, *counts), strict=True):
            self.usage[name] += n
        return self._completions.setdefault(key, Completion(text, sum(counts)))


def _counts(usage: object) -> list[int]:
    """The tokens of prompt and completion; 0 where an endpoint does not say."""
    reported = usage if isinstance(usage, dict) else {}
    return [0 if wrong_field(reported, {name: int}) else reported[name] for name in _COUNTS]
