"""HTTP to a server that the user names: bounded answers, retries while it restarts, errors of one
line.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Container
from typing import Any, TypeVar

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.json_types import parse_json

T = TypeVar("T")
_LONGEST_WAIT = 60.0  # seconds between two attempts
_LONGEST_ANSWER = 2**28  # bytes
TRANSIENT = frozenset({408, 409, 429, 502, 503, 504})
_SHOWN = 200  # characters of a server's message


class Refusal(UserError):
    """An answer that repeating the request does not change.

    Args:
        text: the message.
        status: of HTTP.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class NoAnswer(UserError):
    """A server that did not answer while its client was patient."""


class TransientError(Exception):
    """A failure that may pass; `wait`: seconds until the retry, if the server says so."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


def server_url(url: str) -> str:
    """The URL of a server, without a slash at its end.

    URLs are shown and stored, so one that may hold a secret is refused, and shown without it.

    Raises:
        UserError: it has a user, a password, a query or a fragment.

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


class Connection:
    """A connection to a server, for several threads.

    Args:
        url: see `server_url`.
        key: sent to it as a bearer token; empty for none.
        variable: of the environment, from which the key is.
        transient: statuses of failures that may pass.
        sleep: in seconds, for tests.
        clock: the same.

    Raises:
        UserError: not a URL, or no key; `httpx` is not installed.

    Attributes:
        url: without a slash at its end.
        failures: attempts so far that were repeated, or not answered.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        variable: str = "its key",
        transient: Container[int] = TRANSIENT,
        sleep: Callable[[float], None] = lambda seconds: time.sleep(seconds),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        httpx = optional("httpx", "an endpoint")
        self.url, self.failures = server_url(url), 0
        try:
            known = httpx.URL(self.url).scheme in ("http", "https") and httpx.URL(self.url).host
            problem = "" if known else "no http:// and host"
        except httpx.InvalidURL as error:
            problem = str(error)
        if problem:
            raise UserError(f"{self.url}: not a URL ({problem}); give http://HOST:PORT")
        self._variable, self._transient = variable, transient
        self._sleep, self._clock = sleep, clock
        self._client, self._errors = (
            httpx.Client(headers=_bearer(key, variable)),
            httpx.RequestError,
        )

    def request(
        self,
        method: str,
        path: str,
        body: Any,
        read: Callable[[bytes], T],
        *,
        timeout: float,
        patience: float,
        attempts: int | None = None,
    ) -> T:
        """The answer to a request, which is repeated where its failure may pass.

        Args:
            method: of HTTP.
            path: below the URL.
            body: sent as JSON; None for none.
            read: takes the answer's bytes; what it makes of them is returned.
            timeout: seconds of one attempt.
            patience: seconds from the first failure, after which no attempt begins.
            attempts: the largest number of them; None for any.

        Raises:
            Refusal: the server refuses.
            NoAnswer: it did not answer.
        """
        end, wait, attempt = math.inf, 1.0, 0
        while True:
            attempt += 1
            try:
                return read(self.attempt(method, path, body, timeout))
            except TransientError as error:
                now = self._clock()
                end, pause = min(end, now + patience), max(wait, error.wait)
                late = now + pause > end
                if late or attempt == attempts:
                    after = f"within {patience:g} s" if late else f"in {attempt} attempts"
                    raise NoAnswer(f"{self.url}{path} did not answer {after} ({error})") from error
            self._sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)

    def attempt(self, method: str, path: str, body: Any, timeout: float) -> bytes:
        """The answer to a single attempt.

        Raises:
            TransientError: a failure that may pass.
            Refusal: the server refuses.
        """
        try:
            return self._attempt(method, path, body, timeout)
        except TransientError:
            self.failures += 1
            raise

    def _attempt(self, method: str, path: str, body: Any, timeout: float) -> bytes:
        try:
            status, wait, data = self._exchange(method, f"{self.url}{path}", body, timeout)
        except self._errors as error:
            raise TransientError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if status in self._transient:
            repeat = f", to be repeated after {wait:g} s" if wait else ""
            raise TransientError(f"status {status}{repeat}: {message(data)}", wait)
        if status >= 300:
            hint = f"; set {self._variable} to its key" if status in (401, 403) else ""
            raise Refusal(
                f"{self.url}{path} refuses (status {status}: {message(data)}){hint}", status
            )
        return data

    def _exchange(
        self, method: str, url: str, body: Any, timeout: float
    ) -> tuple[int, float, bytes]:
        """Status, seconds until a retry and body of one request, streamed so that an endless answer
        can be abandoned.
        """
        end, data = self._clock() + timeout, bytearray()
        sent = {} if body is None else {"content": json.dumps(body), "headers": _JSON}
        with self._client.stream(method, url, timeout=timeout, **sent) as reply:
            for chunk in reply.iter_bytes():
                data += chunk
                if len(data) > _LONGEST_ANSWER:
                    raise TransientError(f"an answer of more than {_LONGEST_ANSWER >> 20} MiB")
                if self._clock() > end:
                    raise TransientError(f"the answer did not end in {timeout:g} s")
            return reply.status_code, _seconds(reply.headers.get("Retry-After", "")), bytes(data)


_JSON = {"Content-Type": "application/json"}


def _bearer(key: str, variable: str) -> dict[str, str]:
    """The header with a key, which no message shows.

    Raises:
        UserError: a header cannot hold it.

    Example:
        >>> _bearer(" sk-1\\n", "KEY"), _bearer("\\n", "KEY")
        ({'Authorization': 'Bearer sk-1'}, {})
        >>> _bearer("sk\\n1", "KEY")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: KEY: holds a character that a key cannot have; use printable ASCII
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"{variable}: holds a character that a key cannot have; use printable ASCII"
        )
    return {"Authorization": f"Bearer {key}"} if key else {}


def _seconds(header: str) -> float:
    """The seconds of ``Retry-After``, at most `_LONGEST_WAIT`; 0 where there are none (a date, nan).

    Example:
        >>> _seconds("7"), _seconds("inf"), _seconds("nan"), _seconds("soon"), _seconds("-1")
        (7.0, 60.0, 0.0, 0.0, 0.0)
    """
    try:
        seconds = float(header)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT)


def parsed(data: bytes) -> Any:
    """The JSON of an answer; None if it is none, or null."""
    try:
        return parse_json(data)
    except ValueError:
        return None


def message(data: bytes) -> str:
    """The message in an error's body, in one line."""
    body = parsed(data) or data.decode(errors="replace")
    if isinstance(body, dict):
        body = body.get("error") or body.get("error_message") or body.get("detail") or body
    if isinstance(body, dict):
        body = body.get("message") or body
    return " ".join(str(body).split())[:_SHOWN].replace("`", "'")
