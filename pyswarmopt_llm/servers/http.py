"""JSON over HTTP to a model server."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.http import (
    Connection,
    NoAnswer,
    Refusal,
    TransientError,
    message,
    parsed,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

# environment variable with the bearer token; it is never written to a run
KEY = "SWARM_LLM_SERVER_KEY"
TIMEOUT = 600.0  # seconds for one request
PATIENCE = 120.0  # seconds of retries, so that a server can be restarted
HELLO = 10.0  # seconds for the first contact, which is not retried
_ABSENT = frozenset({404, 405, 501})


class Http(Connection):
    """A connection to a server, for several threads.

    Args:
        url: base URL, such as http://127.0.0.1:8000, with or without /v1.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url.rstrip("/").removesuffix("/v1"), os.environ.get(KEY, ""), KEY)

    def greet(self, path: str) -> Any:
        """The answer of a route that tells servers apart; None where it does not exist.

        Raises:
            UserError: nothing answers there.
        """
        try:
            return parsed(self.attempt("GET", path, None, HELLO))
        except TransientError as error:
            raise UserError(
                f"{self.url}: no server answers ({error}); start it first, or correct `engine`"
            ) from error
        except Refusal as refusal:
            if refusal.status in _ABSENT:
                return None
            raise

    def get(self, path: str) -> Any:
        """The JSON that a route answers with; see `post`."""
        return self._answer("GET", path, None, lambda data: self._json(path, data))

    def post(self, path: str, body: Any) -> Any:
        """The JSON that a route answers a JSON body with.

        Raises:
            Refusal: the server refuses the request.
            UserError: it did not answer in `PATIENCE`, or not with JSON.
        """
        return self._answer("POST", path, body, lambda data: self._json(path, data))

    def send(self, path: str, body: Any) -> None:
        """Post, whatever the answer says; see `post`."""
        self._answer("POST", path, body, bytes)

    def tell(self, path: str, body: Any) -> None:
        """Post what need not arrive, as a farewell does: once, whatever comes of it."""
        try:
            self.attempt("POST", path, body, HELLO)
        except (TransientError, Refusal) as error:
            log.debug("%s%s: %s", self.url, path, error)

    def _json(self, path: str, data: bytes) -> Any:
        answer = parsed(data)
        if answer is None:
            why = "is that the model server itself, not a proxy or another program?"
            raise UserError(f"{self.url}{path} answers no JSON ({message(data)!r}); {why}")
        return answer

    def _answer(self, method: str, path: str, body: Any, read: Callable[[bytes], T]) -> T:
        try:
            return self.request(method, path, body, read, timeout=TIMEOUT, patience=PATIENCE)
        except NoAnswer as error:
            raise UserError(
                f"{error.text}; start the server again at this address and resume the run, whose "
                "journal holds what was scored, or repeat the command"
            ) from error
