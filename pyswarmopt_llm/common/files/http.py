"""JSON over HTTP with servers named by the user: bounded answers, retries during a server's
restart, one-line errors.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.json_types import parse_json

T = TypeVar("T")
TIMEOUT = 600.0  # seconds for one request
PATIENCE = 120.0  # seconds of retries without any answer, enough to restart a server
HELLO = 10.0  # seconds for a request without retries
_LONGEST_WAIT = 60.0  # most seconds between two attempts
_LONGEST_ANSWER = 2**28  # most bytes of an answer
_TRANSIENT = frozenset({408, 409, 429, 502, 503, 504})
_SHOWN = 200  # most characters of a server's message


class Refusal(UserError):
    """An answer that a retry would not change.

    Args:
        text: message.
        status: HTTP status.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class _TransientError(Exception):
    """A failure that may pass; `wait`: seconds until the retry, if given by the server."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


def server_url(url: str) -> str:
    """The URL of a server, without a trailing slash.

    URLs are shown and stored, so a URL that may contain a secret is refused, and not quoted in
    full.

    Raises:
        UserError: the URL has a user, a password, a query or a fragment.

    Example:
        >>> server_url("http://127.0.0.1:8000/v1/")
        'http://127.0.0.1:8000/v1'
    """
    shown = re.split(r"[?#]", re.sub(r"//.*@", "//", url, flags=re.DOTALL))[0]
    if shown != url:
        raise UserError(
            f"{shown}: was given with more than host, port and path; a URL is stored and shown, so "
            "keys and passwords stand in an environment variable, such as SWARM_LLM_SERVER_KEY"
        )
    return url.rstrip("/")


class Json:
    """A server that answers with JSON; thread-safe.

    Requests are repeated after failures that may pass, unless the server has never answered.

    Args:
        url: see `server_url`.
        variable: environment variable with the key, sent as a bearer token; never shown or stored.
        who: name of the server in messages.
        when_down: remedy for a server that stays away, for messages.
        timeout: seconds of one attempt; None: `TIMEOUT`.

    Raises:
        UserError: not a URL, or no key; `httpx` is not installed.

    Attributes:
        url: without a trailing slash.
        failures: attempts that were repeated or unanswered.
        connections: connections so far; a restarted server gets a new one.
    """

    def __init__(
        self, url: str, variable: str, who: str, when_down: str, timeout: float | None = None
    ) -> None:
        httpx = optional("httpx", "an endpoint")
        self.url = server_url(url)
        self.failures = 0
        self.connections = 0
        try:
            known = httpx.URL(self.url).scheme in ("http", "https") and httpx.URL(self.url).host
            problem = "" if known else "no http:// and host"
        except httpx.InvalidURL as error:
            problem = str(error)
        if problem:
            raise UserError(f"{self.url}: not a URL ({problem}); give http://HOST:PORT")
        self._variable = variable
        self._who = who
        self._when_down = when_down
        self._timeout = timeout
        self._has_answered = False
        self._latest = -math.inf  # time of the latest answer
        self._client = httpx.Client(headers=_bearer(variable))
        self._lost = httpx.RequestError

    def get(self, path: str, once: bool = False) -> Any:
        """Get a route's JSON; see `post`."""
        return self._repeat("GET", path, None, self._parse, once)

    def post(self, path: str, body: Any) -> Any:
        """Post JSON to a route, and return its JSON.

        Raises:
            Refusal: the server refuses the request.
            UserError: no answer in `PATIENCE`, or not JSON.
        """
        return self._repeat("POST", path, body, self._parse)

    def send(self, path: str, body: Any, once: bool = False) -> None:
        """Post, and return any answer; see `post`.

        Args:
            path: route below the URL.
            body: sent as JSON.
            once: never repeat, and wait only `HELLO`.
        """
        self._repeat("POST", path, body, bytes, once)

    def _repeat(
        self, method: str, path: str, body: Any, read: Callable[[bytes], T], once: bool = False
    ) -> T:
        failed = math.inf
        wait = 1.0
        where = f"{self._who} at {self.url}{path}"
        timeout = self._timeout or TIMEOUT
        while True:
            try:
                answer = read(self._attempt(method, path, body, HELLO if once else timeout))
                self._latest = time.monotonic()
                return answer
            except _TransientError as error:
                self.failures += 1
                if once or not self._has_answered:
                    late = f"does not answer ({error}); start it first, or correct its URL"
                    raise UserError(f"{where} {late}; {self._when_down}") from error
                now = time.monotonic()
                pause = max(wait, error.wait)
                failed = min(failed, now)
                # If other requests are answered, the server only wants requests more slowly.
                if now + pause > max(failed, self._latest) + PATIENCE:
                    late = f"did not answer within {PATIENCE:g} s ({error})"
                    raise UserError(f"{where} {late}; {self._when_down}") from error
            time.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _attempt(self, method: str, path: str, body: Any, timeout: float) -> bytes:
        """The answer to a single request."""
        try:
            status, wait, data = self._exchange(method, f"{self.url}{path}", body, timeout)
        except self._lost as error:
            raise _TransientError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if status in _TRANSIENT:
            repeat = f", to be repeated after {wait:g} s" if wait else ""
            problem = f"status {status}{repeat}: {self._said(data)}".removesuffix(": ")
            raise _TransientError(problem, wait)
        if status >= 300:
            hint = f"; set {self._variable} to its key" if status in (401, 403) else ""
            text = f"refuses (status {status}: {self._said(data)}){hint}"
            raise Refusal(f"{self._who} at {self.url}{path} {text}", status)
        return data

    def _exchange(
        self, method: str, url: str, body: Any, timeout: float
    ) -> tuple[int, float, bytes]:
        """Status, seconds until a retry, and body of one request; streamed, so that an endless
        answer can be abandoned.
        """
        end = time.monotonic() + timeout
        data = bytearray()
        sent = {} if body is None else {"content": json.dumps(body), "headers": _JSON}
        seen = {"trace": self._count}
        with self._client.stream(method, url, timeout=timeout, extensions=seen, **sent) as reply:
            for chunk in reply.iter_bytes():
                data += chunk
                if len(data) > _LONGEST_ANSWER:
                    raise _TransientError(f"an answer of more than {_LONGEST_ANSWER >> 20} MiB")
                if time.monotonic() > end:
                    raise _TransientError(f"the answer did not end in {timeout:g} s")
            self._has_answered = True
            return reply.status_code, _seconds(reply.headers.get("Retry-After", "")), bytes(data)

    def _said(self, data: bytes) -> str:
        """An error's message without the key, which some servers repeat."""
        return _message(data, _key(self._variable))

    def _count(self, event: str, _: Any) -> None:
        """Count new connections: httpx reports each step of a request."""
        self.connections += event == "connection.connect_tcp.complete"

    def _parse(self, data: bytes) -> Any:
        """The JSON of an answer; any other start of an answer means another program."""
        if not data.lstrip().startswith((b"{", b"[")):
            why = "is that the model server itself, not a proxy or another program?"
            raise UserError(
                f"{self._who} at {self.url} answers no JSON ({self._said(data)!r}); {why}"
            )
        try:
            return parse_json(data)
        except ValueError as error:
            raise _TransientError(f"malformed JSON: {error}") from error


_JSON = {"Content-Type": "application/json"}


@contextmanager
def documented(name: str) -> Iterator[None]:
    """A block that reads a server's answer; missing parts raise a one-line error.

    Raises:
        UserError: the answer lacks a part, or has another type.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        text = (
            f"{name} answers otherwise than documented ({type(error).__name__}: {error}); is "
            "its version supported?"
        )
        raise UserError(text) from error


def _bearer(variable: str) -> dict[str, str]:
    """The header with a key, which is never shown.

    Raises:
        UserError: the key cannot be sent in a header.
    """
    key = _key(variable)
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"{variable}: holds a character that a key cannot have; use printable ASCII"
        )
    return {"Authorization": f"Bearer {key}"} if key else {}


def _key(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _seconds(header: str) -> float:
    """The seconds of ``Retry-After``, at most `_LONGEST_WAIT`; 0 if there are none (a date, nan).

    Example:
        >>> _seconds("7"), _seconds("inf"), _seconds("nan"), _seconds("soon"), _seconds("-1")
        (7.0, 60.0, 0.0, 0.0, 0.0)
    """
    try:
        seconds = float(header)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT)


def _message(data: bytes, key: str) -> str:
    """The message in an error's body, on one line, with the key as ``***``."""
    try:
        body = parse_json(data)
    except ValueError:
        body = data.decode(errors="replace")
    for name in ("error", "detail", "message"):
        body = (body.get(name) or body) if isinstance(body, dict) else body
    text = " ".join(str(body).split())
    return (text.replace(key, "***") if key else text)[:_SHOWN].replace("`", "'")
