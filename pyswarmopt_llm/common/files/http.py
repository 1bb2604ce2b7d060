"""JSON over HTTP with a server named by the user: retries, one-line errors, and a hidden key."""

from __future__ import annotations

import json
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
_SHOWN = 200  # most characters of a server's message


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
        try:
            parsed = self._httpx.URL(self.url)
            known = parsed.scheme in ("http", "https") and parsed.host
            problem = "" if known and (parsed.port or 80) < 2**16 else "no http://, host, or port"
        except self._httpx.InvalidURL as error:
            problem = str(error)
        if problem:
            raise UserError(f"{self.url}: not a URL ({problem}); give http://HOST:PORT")
        self._variable = variable
        self._key = os.environ.get(variable, "").strip()
        self._who = who
        self._when_down = when_down
        self._has_answered = False
        if not (self._key.isascii() and self._key.isprintable()):
            raise UserError(
                f"{variable}: holds a character that a key cannot have; use printable ASCII"
            )
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = self._httpx.Client(headers=headers, timeout=timeout)

    def post(self, path: str, body: Any) -> Any:
        """Post JSON to a route, and return its JSON.

        Raises:
            UserError: the server refuses the request, does not answer in `PATIENCE`, or answers no
                JSON.
        """
        where = f"{self._who} at {self.url}{path}"
        content = json.dumps(body)
        wait = 1.0
        end = None
        while True:
            pause = wait
            try:
                reply = self._client.post(f"{self.url}{path}", content=content)
            except self._httpx.RequestError as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                self._has_answered = True
                problem = f"status {reply.status_code}: {self._shown(reply.text)}"
                if reply.status_code not in _TRANSIENT:
                    return self._read(where, reply, problem)
                pause = max(wait, _seconds(reply.headers.get("Retry-After", "")))
            now = time.monotonic()
            end = end or now + PATIENCE
            if not self._has_answered:
                late = f"does not answer ({problem}); start it first, or correct its URL"
                raise UserError(f"{where} {late}; {self._when_down}")
            if now + pause > end:
                late = f"did not answer within {PATIENCE:g} s ({problem})"
                raise UserError(f"{where} {late}; {self._when_down}")
            time.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _read(self, where: str, reply: Any, problem: str) -> Any:
        """The JSON of an answer; anything else means another program."""
        if reply.status_code >= 300:
            unknown = reply.status_code in (401, 403)
            hint = f"; set {self._variable} to its key" if unknown else ""
            raise UserError(f"{where} refuses ({problem}){hint}")
        try:
            return parse_json(reply.content)
        except ValueError as error:
            why = "is that the model server itself, not a proxy or another program?"
            raise UserError(f"{where} answers no JSON ({error}; {problem}); {why}") from error

    def _shown(self, text: str) -> str:
        """The start of a server's text on one line, with the key, which some repeat, as ``***``."""
        line = " ".join(text.split())
        if self._key:
            line = line.replace(self._key, "***")
        return line[:_SHOWN].replace("`", "'")


def _seconds(header: str) -> float:
    """The seconds of ``Retry-After``, at most `_LONGEST_WAIT`; 0 for a date.

    Example:
        >>> _seconds("7"), _seconds("600"), _seconds("Wed, 21 Oct 2026 07:28:00 GMT")
        (7.0, 60.0, 0.0)
    """
    return min(float(header), _LONGEST_WAIT) if header.isdecimal() else 0.0
