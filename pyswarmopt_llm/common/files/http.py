"""JSON over HTTP with a server named by the user: bounded answers, retries, one-line errors."""

from __future__ import annotations

import json
import math
import os
import re
import time
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.json_types import parse_json

TIMEOUT = 300.0  # seconds for one request
PATIENCE = 120.0  # seconds of retries without any answer, enough to restart a server
_LONGEST_WAIT = 60.0  # most seconds between two attempts
_LONGEST_ANSWER = 2**28  # most bytes of an answer
_TRANSIENT = frozenset({408, 409, 429, 502, 503, 504})
_SHOWN = 200  # most characters of a server's message


class _TransientError(Exception):
    """A failure that may pass; `wait`: seconds until the retry, if the server asks for some."""

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
            "keys and passwords stand in an environment variable, such as SWARM_LLM_JUDGE_KEY"
        )
    return url.rstrip("/")


class Json:
    """A server that answers with JSON; thread-safe.

    Requests are repeated after failures that may pass, unless the server has never answered. No
    redirect is followed, so the key goes to this server alone.

    Args:
        url: see `server_url`.
        variable: environment variable with the key, sent as a bearer token; never shown or stored.
        who: name of the server in messages.
        when_down: remedy for a server that stays away, for messages.
        timeout: seconds of one attempt.

    Raises:
        UserError: not a URL, or no key; `httpx` is not installed.

    Attributes:
        url: without a trailing slash.
    """

    def __init__(
        self, url: str, variable: str, who: str, when_down: str, timeout: float = TIMEOUT
    ) -> None:
        self._httpx = optional("httpx", "an endpoint")
        self.url = server_url(url)
        self._check_url()
        self._variable = variable
        self._key = os.environ.get(variable, "").strip()
        self._who = who
        self._when_down = when_down
        self._timeout = timeout
        self._has_answered = False
        self._latest = -math.inf  # time of the latest answer
        if not (self._key.isascii() and self._key.isprintable()):
            raise UserError(
                f"{variable}: holds a character that a key cannot have; use printable ASCII"
            )
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = self._httpx.Client(headers=headers)

    def post(self, path: str, body: Any) -> Any:
        """Post JSON to a route, and return its JSON.

        Raises:
            UserError: the server refuses the request, does not answer in `PATIENCE`, or answers no
                JSON.
        """
        failed = math.inf
        wait = 1.0
        where = f"{self._who} at {self.url}{path}"
        while True:
            try:
                answer = self._parsed(self._attempt(where, f"{self.url}{path}", body))
                self._latest = time.monotonic()
                return answer
            except _TransientError as error:
                if not self._has_answered:
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

    def _check_url(self) -> None:
        """Refuse what is no URL with a host, and a port that cannot be."""
        try:
            url = self._httpx.URL(self.url)
            known = url.scheme in ("http", "https") and url.host and (url.port or 80) < 2**16
            problem = "" if known else "no http://, host, or port up to 65535"
        except self._httpx.InvalidURL as error:
            problem = str(error)
        if problem:
            raise UserError(f"{self.url}: not a URL ({problem}); give http://HOST:PORT")

    def _attempt(self, where: str, url: str, body: Any) -> bytes:
        """The answer to a single request; streamed, so that an endless one can be abandoned."""
        end = time.monotonic() + self._timeout
        data = bytearray()
        content = json.dumps(body)
        try:
            with self._client.stream("POST", url, timeout=self._timeout, content=content) as reply:
                for chunk in reply.iter_bytes():
                    data += chunk
                    if len(data) > _LONGEST_ANSWER:
                        raise _TransientError(f"an answer of more than {_LONGEST_ANSWER >> 20} MiB")
                    if time.monotonic() > end:
                        raise _TransientError(f"the answer did not end in {self._timeout:g} s")
        except self._httpx.RequestError as error:
            raise _TransientError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        self._has_answered = True
        status = reply.status_code
        said = self._message(bytes(data))
        if status in _TRANSIENT:
            wait = _seconds(reply.headers.get("Retry-After", ""))
            raise _TransientError(f"status {status}: {said}".removesuffix(": "), wait)
        if status >= 300:
            hint = f"; set {self._variable} to its key" if status in (401, 403) else ""
            raise UserError(f"{where} refuses (status {status}: {said}){hint}")
        return bytes(data)

    def _parsed(self, data: bytes) -> Any:
        """The JSON of an answer; any other start of an answer means another program."""
        if not data.lstrip().startswith((b"{", b"[")):
            why = "is that the model server itself, not a proxy or another program?"
            said = self._message(data)
            raise UserError(f"{self._who} at {self.url} answers no JSON ({said!r}); {why}")
        try:
            return parse_json(data)
        except ValueError as error:
            raise _TransientError(f"malformed JSON: {error}") from error

    def _message(self, data: bytes) -> str:
        """The message in an error's body, on one line, with the key, which some repeat, as ``***``."""
        try:
            body = parse_json(data)
        except ValueError:
            body = data.decode(errors="replace")
        for name in ("error", "detail", "message"):
            body = (body.get(name) or body) if isinstance(body, dict) else body
        text = " ".join(str(body).split())
        if self._key:
            text = text.replace(self._key, "***")
        return text[:_SHOWN].replace("`", "'")


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
