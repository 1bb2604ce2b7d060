"""The client of judges, members and servers refuses what is no address of a server."""

from __future__ import annotations

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.http import Json


@pytest.mark.parametrize("url", ["ftp://host/", "file:///etc/passwd", "http://", "host:8000"])
def test_only_http_with_a_host_is_an_address(url: str) -> None:
    with pytest.raises(UserError, match="not a URL"):
        Json(url, "NO_KEY", "the judge", "start it")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://example.test/v1/"])
def test_addresses_lose_the_slash_at_their_end(url: str) -> None:
    assert Json(url, "NO_KEY", "the judge", "start it").url == url.rstrip("/")
