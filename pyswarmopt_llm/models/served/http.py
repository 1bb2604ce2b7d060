"""JSON over HTTP to a model server: timeouts, retries while it restarts, and errors of one line."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.json_types import parse_json

log = logging.getLogger(__name__)

# environment variable with the bearer token; it is never written to a run
KEY = "SWARM_LLM_SERVER_KEY"
TIMEOUT = 600.0  # seconds for one request
PATIENCE = 120.0  # seconds of retries, so that a server can be restarted
HELLO = 10.0  # seconds for the first contact, which is not retried
_LONGEST_WAIT = 16.0
_LONGEST_ANSWER = 2**28  # bytes
_TRANSIENT = frozenset({408, 429, 502, 503, 504})
_ABSENT = frozenset({404, 405, 501})
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


class _TransientError(Exception):
    """A failure that may pass; `wait`: seconds until the retry, if the server says so."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


class Http:
    """A connection to a server, for several threads.

    Args:
        url: base URL, such as http://127.0.0.1:8000.

    Attributes:
        url: the same, without a trailing slash or /v1.

    Raises:
        InvalidOption: not a URL.
        UserError: `httpx` is not installed.
    """

    def __init__(self, url: str) -> None:
        httpx = optional("httpx", "a served model")
        self.url = url.rstrip("/").removesuffix("/v1")
        key = os.environ.get(KEY, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client, self._errors = httpx.Client(headers=headers), httpx.RequestError
        try:
            httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise InvalidOption(
                "engine", url, f"not a URL ({error}); give http://HOST:PORT"
            ) from error

    def greet(self, path: str) -> Any:
        """The answer of a route that tells servers apart; None where it does not exist.

        Raises:
            UserError: nothing answers there.
        """
        try:
            return _parsed(self._attempt("GET", path, None, HELLO))
        except _TransientError as error:
            raise UserError(
                f"{self.url}: no server answers ({error}); start it first, or correct `engine`"
            ) from error
        except Refusal as refusal:
            if refusal.status in _ABSENT:
                return None
            raise

    def get(self, path: str) -> Any:
        """The JSON that a route answers with; see `post`."""
        return self._json(path, self._answer("GET", path, None))

    def post(self, path: str, body: Any) -> Any:
        """The JSON that a route answers a JSON body with.

        Raises:
            Refusal: the server refuses the request.
            UserError: it did not answer in `PATIENCE`, or not with JSON.
        """
        return self._json(path, self._answer("POST", path, body))

    def send(self, path: str, body: Any) -> None:
        """Post, whatever the answer says; see `post`."""
        self._answer("POST", path, body)

    def tell(self, path: str, body: Any) -> None:
        """Post what need not arrive, as a farewell does: once, whatever comes of it."""
        try:
            self._attempt("POST", path, body, HELLO)
        except (_TransientError, Refusal) as error:
            log.debug("%s%s: %s", self.url, path, error)

    def _json(self, path: str, data: bytes) -> Any:
        answer = _parsed(data)
        if answer is None:
            why = "is that the model server itself, not a proxy or another program?"
            raise UserError(f"{self.url}{path} answers no JSON ({_message(data)!r}); {why}")
        return answer

    def _answer(self, method: str, path: str, body: Any) -> bytes:
        end, wait = None, 1.0
        while True:
            try:
                return self._attempt(method, path, body, TIMEOUT)
            except _TransientError as error:
                end = end or time.monotonic() + PATIENCE
                pause = max(wait, error.wait)
                if time.monotonic() + pause > end:
                    raise UserError(
                        f"{self.url}{path} did not answer in {PATIENCE:g} s of retries ({error}); "
                        "start the server again at this address and resume the run, whose journal "
                        "holds what was scored, or repeat the command"
                    ) from error
            time.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _attempt(self, method: str, path: str, body: Any, timeout: float) -> bytes:
        try:
            status, wait, data = self._exchange(method, f"{self.url}{path}", body, timeout)
        except self._errors as error:
            raise _TransientError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if status in _TRANSIENT:
            repeat = f", to be repeated after {wait:g} s" if wait else ""
            raise _TransientError(f"status {status}{repeat}: {_message(data)}", wait)
        if status >= 300:
            hint = f"; set {KEY} to its key" if status in (401, 403) else ""
            raise Refusal(
                f"{self.url}{path} refuses (status {status}: {_message(data)}){hint}", status
            )
        return data

    def _exchange(
        self, method: str, url: str, body: Any, timeout: float
    ) -> tuple[int, float, bytes]:
        """Status, seconds until a retry and body of one request, streamed so that an endless answer
        can be abandoned.
        """
        end, data = time.monotonic() + timeout, bytearray()
        with self._client.stream(method, url, json=body, timeout=timeout) as reply:
            for chunk in reply.iter_bytes():
                data += chunk
                if len(data) > _LONGEST_ANSWER:
                    raise _TransientError(f"an answer of more than {_LONGEST_ANSWER >> 20} MiB")
                if time.monotonic() > end:
                    raise _TransientError(f"the answer did not end in {timeout:g} s")
            retry_after = reply.headers.get("Retry-After", "")  # or a date, which is not read
            wait = float(retry_after) if retry_after.isdecimal() else 0.0
            return reply.status_code, wait, bytes(data)


def _parsed(data: bytes) -> Any:
    """The JSON of an answer; None if it is none, or null."""
    try:
        return parse_json(data)
    except ValueError:
        return None


def _message(data: bytes) -> str:
    """The message in an error's body, in one line."""
    body = _parsed(data) or data.decode(errors="replace")
    if isinstance(body, dict):
        body = body.get("error") or body.get("error_message") or body.get("detail") or body
    if isinstance(body, dict):
        body = body.get("message") or body
    return " ".join(str(body).split())[:_SHOWN].replace("`", "'")
