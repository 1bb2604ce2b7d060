"""The judge against a server that speaks the protocol over HTTP, in this process."""

from __future__ import annotations

import gzip
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path

import pytest
from serving import Answer, Server, answer

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.external.endpoint import ChatClient, Completion
from pyswarmopt_llm.external.judge import RUBRIC, ratings, written
from pyswarmopt_llm.scores.tasks import Item

pytest.importorskip("openai")
KEY = "SWARM_LLM_JUDGE_KEY"
ITEMS = [Item(str(i), f"Question {i}", None, "", plain=True) for i in range(3)]
GOOD = answer("Rating: 5/10")
Serve = Callable[[Callable[[str, int], Answer]], Server]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch, environ: MutableMapping[str, str]) -> list[float]:
    """The seconds between attempts, which nobody waits."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    environ.pop(KEY, None)
    return waits


def rated(complete: ChatClient, *texts: str, rubric: str = RUBRIC) -> list[float]:
    return ratings(partial(written, complete), rubric, ITEMS[: len(texts)], texts)


def client(url: str, cache: Path | None = None) -> ChatClient:
    return ChatClient(url, "m", KEY, "the judge", "resume when it is back", cache)


def test_ratings(serve: Serve, environ: MutableMapping[str, str]) -> None:
    environ[KEY] = " secret\n"
    server = serve(
        lambda prompt, n: answer(f"Rating: {3 if 'short' in prompt else 9}/10. Because.")
    )
    complete = client(server.url)
    said = rated(complete, "a short one", "a long one", "another", rubric="Be long.")
    assert said == [3.0, 9.0, 9.0]
    assert complete.usage() == {"requests": 3, "tokens": 45}
    assert {(r["path"], r["key"]) for r in server.requests} == {
        ("/v1/chat/completions", "Bearer secret")
    }
    prompt = next(r for r in server.requests if "a short one" in r["messages"][0]["content"])
    assert all(text in prompt["messages"][0]["content"] for text in ("Be long.", "Question 0"))
    assert (prompt["model"], prompt["temperature"]) == ("m", 0)


def test_the_same_request_is_sent_once_also_after_a_restart(serve: Serve, tmp_path: Path) -> None:
    server, cache = serve(lambda prompt, n: answer(f"Rating: {min(n, 10)}/10")), tmp_path / "judge"
    first = rated(client(server.url, cache), "x", "y")
    again = client(server.url, cache)
    assert rated(again, "x", "y") == first
    assert len(server.requests) == 2 and again.usage()["requests"] == 2
    rated(again, "z")
    rated(client(server.url, cache), "x", rubric="another")
    assert len(server.requests) == 4
    cache.write_text(cache.read_text()[:-9])  # cut off while it was written
    assert rated(client(server.url, cache), "x", "y") == first


def test_what_may_pass_is_tried_again(serve: Serve, waits: list[float]) -> None:
    replies = [answer("", 429), answer("", 503), GOOD]
    assert client(serve(lambda prompt, n: replies[n - 1]).url)(["x"])[0].text == "Rating: 5/10"
    assert len(waits) == 2


def test_a_server_that_has_answered_is_waited_for_five_minutes(
    serve: Serve, waits: list[float]
) -> None:
    server = serve(lambda prompt, n: GOOD if n == 1 else answer("", 429))
    complete = client(server.url)
    complete(["x"])
    with pytest.raises(UserError, match=r"gave no answer: .*429.*resume when it is back"):
        complete(["y"])
    assert 200 < sum(waits) <= 310


def test_a_server_that_never_answers_is_not_waited_for(waits: list[float]) -> None:
    with pytest.raises(UserError, match=r"gave no answer: .*refused; resume when it is back"):
        client("http://127.0.0.1:9/v1")(["x"])
    assert sum(waits) < 5


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answer("", 401), "gave no answer: .*401"),
        ((200, {}, b"<html>"), "use a server with the OpenAI API"),
        ((200, {"Content-Type": "application/json"}, b"{"), "use a server with the OpenAI API"),
        ((200, {}, b'{"choices": [{"message": {"content": 5}}]}'), "no text in choices"),
    ],
)
def test_other_protocols(serve: Serve, reply: Answer, message: str) -> None:
    server = serve(lambda prompt, n: reply)
    with pytest.raises(UserError, match=message):
        client(server.url)(["x"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(serve: Serve, status: int) -> None:
    """The other address is the same server's, which would answer there."""
    server = serve(lambda prompt, n: answer("", status, Location=server.url))
    with pytest.raises(UserError, match="redirects to another address"):
        client(server.url)(["x"])
    assert len(server.requests) == 1


def test_nothing_of_the_environment_but_the_key_is_sent(
    serve: Serve, environ: MutableMapping[str, str], tmp_path: Path
) -> None:
    server = serve(lambda prompt, n: GOOD)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hush")
    environ |= {
        KEY: "mine",
        "NETRC": str(tmp_path / "netrc"),
        "HTTP_PROXY": "http://me:hush@127.0.0.1:9",
        "ALL_PROXY": "http://me:hush@127.0.0.1:9",
        "OPENAI_ORG_ID": "hush",
        "OPENAI_PROJECT_ID": "hush",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway-Token: hush\nAuthorization: hush",
    }
    assert client(server.url)(["x"])[0].text == "Rating: 5/10"
    (sent,) = server.headers
    assert sent.pop("Authorization") == "Bearer mine"
    assert "hush" not in str(sent) and not any(
        name.lower().startswith(("x-", "openai")) for name in sent
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_an_answer_has_a_limit(serve: Serve, zipped: bool) -> None:
    *_, data = answer("Rating: 5/10" + " " * 1_000_000)
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    sent = gzip.compress(data) if zipped else data
    server = serve(lambda prompt, n: (200, headers, sent))
    with pytest.raises(UserError, match="compressed" if zipped else "more than 1,000,000 bytes"):
        client(server.url)(["x"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("tokens", ["NaN", "1e400", '"many"', "-3"])
def test_text_in_parts_is_read_whatever_the_server_counts(serve: Serve, tokens: str) -> None:
    parts = '[{"type": "text", "text": "Rating: "}, {"type": "text", "text": "7/10"}]'
    body = f'{{"choices": [{{"message": {{"content": {parts}}}}}], "usage": {{"total_tokens": {tokens}}}}}'
    headers = {"Content-Type": "application/json"}
    complete = client(serve(lambda prompt, n: (200, headers, body.encode())).url)
    assert complete(["x"]) == [Completion("Rating: 7/10", 0)]


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("127.0.0.1:9999", "", "only host, port and path"),
        ("http://me:hush@a/v1", "", "only host, port and path"),
        ("http://a/v1?key=hush", "", "only host, port and path"),
        ("http://127.0.0.1:9/v1", "hush\nX-Other: 1", f"{KEY} contains a character"),
    ],
)
def test_a_bad_url_or_key_is_refused_and_no_secret_shown(
    url: str, key: str, said: str, environ: MutableMapping[str, str]
) -> None:
    if key:
        environ[KEY] = key
    with pytest.raises(UserError, match=said) as error:
        client(url)
    assert "hush" not in str(error.value)


def test_a_key_that_the_server_repeats_is_not_shown(
    serve: Serve, environ: MutableMapping[str, str]
) -> None:
    environ[KEY] = "hush-1"
    reply = (401, {}, b'{"error": {"message": "Incorrect key: hush-1"}}')
    with pytest.raises(UserError, match=r"\*\*\*") as error:
        client(serve(lambda prompt, n: reply).url)(["x"])
    assert "hush" not in str(error.value)


def test_an_answer_without_a_rating_is_an_error() -> None:
    with pytest.raises(UserError, match="from 1 to 10"):
        written(lambda prompts: [Completion("Rating: 11/10", 0)], ["x"])
