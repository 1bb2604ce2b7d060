"""Texts from an OpenAI-compatible endpoint named by the user, by the `openai` client: requests in
parallel, retries, a cache, and a key that is never shown or stored.
"""

from __future__ import annotations

import math
import os
import re
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import AppendLog, digest

TIMEOUT = 300.0  # seconds for one request
MOST_BYTES = 1_000_000  # of one answer
# Headers of a request; no other leaves this machine.
_SENT = frozenset(
    {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "user-agent",
        "authorization",
    }
)
# The client waits at most 8 seconds between two attempts: these last for five minutes, enough to
# restart a server.
RETRIES = 40


class _Cached(TypedDict):
    key: str
    text: str
    tokens: int


def server_url(url: str) -> str:
    """The URL of a server, without a trailing slash.

    URLs are shown and stored, so a URL that may contain a secret is refused, and not quoted.

    Raises:
        UserError: the URL has a user, a password, a query or a fragment, or no http or https.

    Example:
        >>> server_url("http://127.0.0.1:8000/v1/")
        'http://127.0.0.1:8000/v1'
    """
    if not re.fullmatch(r"https?://[^@?#\s]+", url):
        raise UserError(
            "a server's URL may contain only host, port and path, such as http://127.0.0.1:8000/v1; "
            "put a key or password in an environment variable, such as SWARM_LLM_JUDGE_KEY"
        )
    return url.rstrip("/")


class Completion(NamedTuple):
    """An endpoint's response; ``tokens``: prompt and response tokens it reports, 0 if it does not."""

    text: str
    tokens: int


class ChatClient:
    """Sends user turns to an endpoint; repeated requests are answered from a cache.

    Failures that may pass are retried for five minutes, unless the server has never answered.

    Args:
        url: base URL, which ends in /v1; see `server_url`.
        model: the server's name of the model.
        variable: environment variable with the key, sent as a bearer token.
        who: name of the server in messages.
        when_down: remedy for a server that stays away, for messages.
        cache: JSONL file of responses by exact request; None: memory only.

    Raises:
        UserError: the URL is invalid, the key has a character that a header cannot hold, or `openai` is
            not installed.
    """

    def __init__(
        self,
        url: str,
        model: str,
        variable: str,
        who: str,
        when_down: str,
        cache: Path | None = None,
    ) -> None:
        self._openai = optional("openai", "an endpoint")
        self._url = server_url(url)
        self._model = model
        # the client needs a key; servers that need none ignore it
        self._key = os.environ.get(variable, "").strip() or "no-key"
        if not (self._key.isascii() and self._key.isprintable()):
            raise UserError(
                f"{variable} contains a character that is not allowed in a key; correct it"
            )
        self._where = f"{who} at {self._url}"
        self._when_down = when_down
        self._client = self._openai.OpenAI(
            base_url=self._url, api_key=self._key, http_client=self._http_client()
        )
        self._cache = AppendLog(cache, shape=_Cached)
        self._lock = threading.Lock()
        self._known = {
            row["key"]: Completion(row["text"], row["tokens"])
            for row in self._cache.read(repair=True)
        }

    def __call__(self, prompts: Sequence[str], options: Mapping[str, Any] = {}) -> list[Completion]:
        """The responses to user turns, in order, greedy and of at most 256 tokens by default.

        Args:
            prompts: user turns.
            options: fields of the protocol: ``temperature``, ``seed``, ``max_tokens``, ...

        Raises:
            UserError: the endpoint refuses, does not respond, or speaks another protocol.
        """
        distinct = list(dict.fromkeys(prompts))
        with ThreadPoolExecutor(max_workers=8) as pool:
            answers = pool.map(lambda prompt: self._answer(prompt, options), distinct)
            try:
                replies = dict(zip(distinct, answers, strict=True))
            finally:  # after a failure, do not wait until all others have failed
                pool.shutdown(cancel_futures=True)
        return [replies[prompt] for prompt in prompts]

    def usage(self) -> dict[str, int]:
        """Number of responses, cached ones included, and their tokens."""
        tokens = sum(completion.tokens for completion in self._known.values())
        return {"requests": len(self._known), "tokens": tokens}

    def _answer(self, prompt: str, options: Mapping[str, Any]) -> Completion:
        messages = [{"role": "user", "content": prompt}]
        body = {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": 256}
        body |= options
        key = digest([self._url, body])
        if key not in self._known:
            completion = self._asked(body)
            with self._lock:
                self._cache.append({"key": key, **completion._asdict()})
                self._known[key] = completion
        return self._known[key]

    def _asked(self, body: Mapping[str, Any]) -> Completion:
        client = self._client
        if self._known:
            client = client.with_options(max_retries=RETRIES)
        try:
            reply = client.chat.completions.create(**body)
            content = _text_of(reply.choices[0].message.content)
            tokens = _count_of(getattr(reply.usage, "total_tokens", 0))
            return Completion(content.encode(errors="replace").decode(), tokens)  # no surrogates
        except UserError:
            raise
        except (self._openai.APIConnectionError, self._openai.APIStatusError) as error:
            why = f"gave no answer: {error.__cause__ or error}; {self._when_down}"
            raise self._error(why) from error
        except Exception as error:  # no JSON, or fields that are missing or of another type
            why = f"returned no text in choices[0].message.content ({type(error).__name__})"
            raise self._error(f"{why}; use a server with the OpenAI API") from error

    def _http_client(self) -> Any:
        """An HTTP client that follows no redirect, sends no header but `_SENT`, and takes neither a
        proxy nor a password from the environment.
        """
        verify: Any = True
        if {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
            verify = ssl.create_default_context()
        return _bounded_client(self._openai, self._key, self._error)(
            timeout=TIMEOUT, follow_redirects=False, trust_env=False, verify=verify
        )

    def _error(self, problem: str) -> UserError:
        """An error without the key, which some servers repeat."""
        shown = " ".join(problem.replace(self._key, "***").split())[:300]
        return UserError(f"{self._where} {shown}".replace("`", "'"))


def _bounded_client(openai: Any, key: str, error: Callable[[str], UserError]) -> Any:
    """The class of the HTTP client that sends only `_SENT` and reads at most `MOST_BYTES`."""

    class Bounded(openai.DefaultHttpxClient):
        def send(self, request: Any, **options: Any) -> Any:
            for name in [*request.headers]:
                if name.lower() not in _SENT:
                    del request.headers[name]
            request.headers["Authorization"] = f"Bearer {key}"
            request.headers["Accept-Encoding"] = "identity"
            response = super().send(request, **{**options, "stream": True})
            try:
                data = _read(response, error)
            finally:
                response.close()
            return type(response)(
                response.status_code, headers=response.headers, content=data, request=request
            )

    return Bounded


def _read(response: Any, error: Callable[[str], UserError]) -> bytes:
    """The body of an answer.

    Raises:
        UserError: it redirects, is compressed, or is too large.
    """
    if 300 <= response.status_code < 400:
        raise error("redirects to another address; if you trust that one, use it instead")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise error("sent a compressed answer, which was not asked for; switch compression off")
    data = bytearray()
    for part in response.iter_raw():
        data += part
        if len(data) > MOST_BYTES:
            raise error(f"sent an answer of more than {MOST_BYTES:,} bytes; use another server")
    return bytes(data)


def _text_of(content: Any) -> str:
    """A message's text, whole or in parts; "" for thoughts alone.

    Raises:
        TypeError: the content is no text.

    Example:
        >>> _text_of([{"type": "text", "text": "Rating: "}, {"type": "text", "text": "7/10"}])
        'Rating: 7/10'
    """
    if not content:
        return ""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str):
        raise TypeError(f"{type(content).__name__} is no text")
    return content


def _count_of(tokens: Any) -> int:
    """The number of tokens that a server reports, 0 if it is none."""
    if isinstance(tokens, int | float) and 0 <= tokens < math.inf:
        return int(tokens)
    return 0
