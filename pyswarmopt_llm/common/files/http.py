"""JSON over HTTP with a server named by the user: retries, one-line errors, and a hidden key."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.json_types import parse_json

TIMEOUT = 300.0  # seconds for one request
PATIENCE = 300.0  # seconds of retries, enough to restart a server
_LONGEST_WAIT = 60.0  # most seconds between two attempts
_TRANSIENT = frozenset({408, 409, 429, 502, 503, 504})


def server_url(url: str) -> str:
    """The URL of a server, without a trailing slash.

    URLs are shown and stored, so a URL that may contain a secret is refused, and not quoted.

    Raises:
        UserError: the URL has a user, a password, a query or a fragment, or no http or https.

    Example:
        >>> server_url("http://127.0.0.1:8000/v1/")
        'http://127.0.0.1:8000/v1'
    """
    if not re.fullmatch(r"https?://[^@?#]+", url):
        raise UserError(
            "a server's URL has only host, port and path, such as http://127.0.0.1:8000/v1; keys and "
            "passwords stand in an environment variable, such as SWARM_LLM_JUDGE_KEY"
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
        httpx = optional("httpx", "an endpoint")
        self.url = server_url(url)
        self._failures = (httpx.HTTPError, httpx.InvalidURL)
        self._key = os.environ.get(variable, "").strip()
        self._where = f"{who} at {self.url}"
        self._when_down = when_down
        self._has_answered = False
        if not (self._key.isascii() and self._key.isprintable()):
            raise UserError(f"{variable}: holds a character that a key cannot have")
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout)

    def post(self, path: str, body: Any) -> Any:
        """Post JSON to a route, and return its JSON.

        Raises:
            UserError: the server refuses the request, does not answer in `PATIENCE`, or answers no
                JSON.
        """
        end = 0.0
        wait = 1.0
        while True:
            try:
                reply = self._client.post(f"{self.url}{path}", json=body)
            except self._failures as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                self._has_answered = True
                problem = f"status {reply.status_code}: {reply.text}"
                if reply.status_code < 300:
                    return self._read(reply)
                if reply.status_code not in _TRANSIENT:
                    raise self._error("refuses", problem)
            end = end or time.monotonic() + PATIENCE  # after the first failure
            if not self._has_answered or time.monotonic() + wait > end:
                raise self._error("does not answer", f"{problem}; {self._when_down}")
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _read(self, reply: Any) -> Any:
        try:
            return parse_json(reply.content)
        except ValueError as error:
            raise self._error("answers no JSON", f"{error}: {reply.text}") from error

    def _error(self, what: str, problem: str) -> UserError:
        """An error without the key, which some servers repeat."""
        text = problem.replace(self._key, "***") if self._key else problem
        return UserError(f"{self._where} {what}: {' '.join(text.split())[:300]}".replace("`", "'"))
