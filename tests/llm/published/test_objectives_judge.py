"""The judge against a server that speaks the protocol over HTTP, in this process."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from serving import Answer, Server, answer

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.published.judge.chat_client import ChatClient, Endpoint
from pyswarmopt_llm.published.judge.judge import Judge, load_judge
from pyswarmopt_llm.scores.tasks import Item

pytest.importorskip("httpx")


def client(
    server: Server, cache: Path | None = None, waits: list[float] | None = None, **more: Any
) -> ChatClient:
    settings = {"attempts": 3, **more}
    return ChatClient(
        Endpoint(server.url, "m", **settings),
        cache,
        sleep=(waits if waits is not None else []).append,
    )


ITEMS = [Item(str(i), f"Question {i}", None, "", plain=True) for i in range(3)]


def test_ratings(serve: Any) -> None:
    server = serve(
        lambda prompt, n: answer(f"Rating: {3 if 'short' in prompt else 9}/10. Because.")
    )
    judge = Judge(client(server, key="secret"), rubric="Be long.")
    assert judge.ratings(ITEMS, ["a short one", "a long one", "another"]) == [3.0, 9.0, 9.0]
    assert {r["path"] for r in server.requests} == {"/v1/chat/completions"}
    assert {r["key"] for r in server.requests} == {"Bearer secret"}
    prompt = next(r for r in server.requests if "a short one" in r["messages"][0]["content"])
    assert (
        "Be long." in prompt["messages"][0]["content"]
        and "Question 0" in prompt["messages"][0]["content"]
    )
    assert (prompt["model"], prompt["temperature"]) == ("m", 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Rating: 7/10", 7),
        ("**Rating:** 8.5", 8.5),
        ("rating - 10 / 10, flawless", 10),
        ("Rating: 1", 1),
    ],
)
def test_readable_ratings(text: str, value: float) -> None:
    assert Judge(lambda prompts: [text]).ratings(ITEMS[:1], ["x"]) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Great!",
        "Rating: 11/10",
        "Rating: 0",
        "Rating: 100/100",
        "I rate it highly: 7",
        r"\boxed{" * 5000 + "5",
    ],
)
def test_unreadable_ratings_are_errors(text: str) -> None:
    with pytest.raises(UserError, match="item 0 no rating from 1 to 10"):
        Judge(lambda prompts: [text]).ratings(ITEMS[:1], ["x"])


def test_the_same_request_is_sent_once_also_after_a_restart(serve: Any, tmp_path: Path) -> None:
    server = serve(lambda prompt, n: answer(f"Rating: {min(n, 10)}/10"))
    cache = tmp_path / "run" / "judge.jsonl"
    cache.parent.mkdir()
    first = Judge(client(server, cache)).ratings(ITEMS[:2], ["x", "y"])
    again = client(server, cache)
    assert Judge(again).ratings(ITEMS[:2], ["x", "y"]) == first
    assert len(server.requests) == 2 and again.usage["requests"] == 2
    Judge(again).ratings(ITEMS[:1], ["z"])
    Judge(client(server, cache), rubric="another").ratings(ITEMS[:1], ["x"])
    assert len(server.requests) == 4
    cache.write_text(cache.read_text()[:-9])  # cut off while it was written
    assert Judge(client(server, cache)).ratings(ITEMS[:2], ["x", "y"]) == first


def test_tokens_and_costs_are_counted(serve: Any) -> None:
    complete = client(serve(lambda prompt, n: answer("Rating: 5/10")), prices=(1.0, 2.0))
    Judge(complete).ratings(ITEMS, ["x"] * 3)
    assert complete.usage == {"requests": 3, "prompt_tokens": 30, "completion_tokens": 15}
    assert complete.spent() == {
        **complete.usage,
        "cost": pytest.approx((30 * 1.0 + 15 * 2.0) / 1e6),
    }


def test_what_may_pass_is_tried_again(serve: Any) -> None:
    def reply(prompt: str, n: int) -> Answer:
        return (
            answer("Rating: 5/10")
            if n == 3
            else answer("", 429, **{"Retry-After": "7"})
            if n == 1
            else answer("", 503)
        )

    waits: list[float] = []
    assert Judge(client(serve(reply), waits=waits)).ratings(ITEMS[:1], ["x"]) == [5.0]
    assert [w for w in waits if w > 0.01] == [7.0, 2.0]


@pytest.mark.parametrize("header", ["nan", "-NaN", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", ""])
def test_a_waiting_time_that_is_none_is_ignored(header: str, serve: Any) -> None:
    waits: list[float] = []
    server = serve(
        lambda prompt, n: (
            answer("Rating: 5/10") if n == 2 else answer("", 429, **{"Retry-After": header})
        )
    )
    assert Judge(client(server, waits=waits)).ratings(ITEMS[:1], ["x"]) == [5.0]
    assert [w for w in waits if w > 0.01] == [1.0]


@pytest.mark.parametrize(
    "row", [{"text": 5}, {"usage": 1}, {"usage": [1]}, {"usage": [1, "2"]}, {"key": None}]
)
def test_a_damaged_line_of_the_cache_is_asked_for_again(
    row: dict[str, Any], serve: Any, tmp_path: Path
) -> None:
    server, cache = serve(lambda prompt, n: answer("Rating: 5/10")), tmp_path / "judge.jsonl"
    client(server, cache)(["x"])
    cache.write_text(json.dumps({**json.loads(cache.read_text()), **row}) + "\n")
    assert client(server, cache)(["x"]) == ["Rating: 5/10"] and len(server.requests) == 2


def test_a_judge_that_stays_away(serve: Any) -> None:
    server = serve(lambda prompt, n: answer("", 500))
    with pytest.raises(UserError, match=r"did not answer in 3 attempts .*resume"):
        Judge(client(server)).ratings(ITEMS[:1], ["x"])
    assert len(server.requests) == 3


def test_a_judge_that_is_not_there() -> None:
    complete = ChatClient(Endpoint("http://127.0.0.1:9", "m", attempts=2), sleep=lambda s: None)
    with pytest.raises(UserError, match=r"did not answer in 2 attempts .Connect"):
        complete(["x"])


def test_a_slow_judge_times_out(serve: Any) -> None:
    wait = threading.Event()
    server = serve(lambda prompt, n: (wait.wait(5), answer("late"))[1])
    try:
        with pytest.raises(UserError, match=r"did not answer in 1 attempts .*Timeout"):
            client(server, attempts=1, timeout=0.05)(["x"])
    finally:
        wait.set()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answer("", 401), "refuses .status 401"),
        ((200, {}, b"<html>"), "no JSON object"),
        ((200, {}, b'{"error": 1}'), "without choices"),
    ],
)
def test_other_protocols(serve: Any, reply: Answer, message: str) -> None:
    server = serve(lambda prompt, n: reply)
    with pytest.raises(UserError, match=message):
        client(server)(["x"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ((200, {"Content-Encoding": "gzip"}, b"\x1f\x8bbroken"), "DecodingError"),
        ((200, {}, b'{"choices": ' + 100_000 * b"["), "nested too deeply"),
        ((200, {}, b'{"choices": ' + 500 * b"[" + 500 * b"]" + b"}"), "nested too deeply"),
        (
            (
                200,
                {},
                (
                    b'{"choices": [{"message": {"content": "Rating: 5"}}], "usage": '
                    b'{"total_tokens": '
                    b"NaN}}"
                ),
            ),
            "NaN",
        ),
        (
            (200, {}, b'{"choices": [{"message": {"content": "\\ud800 Rating: 5"}}]}'),
            "half a Unicode pair",
        ),
        ((200, {}, b'{"choices": [{"message": {"content": "Rati'), "malformed JSON"),
        ((200, {}, b'{"n": ' + 5000 * b"1" + b"}"), "malformed JSON"),
        ((503, {}, b"\x1b]0;mine\x07"), r"\x1b]0;mine\x07"),
    ],
)
def test_a_broken_answer_is_asked_for_again_and_then_one_line(
    serve: Any, broken: Answer, said: str
) -> None:
    recovers = serve(lambda prompt, n: broken if n == 1 else answer("Rating: 5"))
    assert client(recovers)(["x"]) == ["Rating: 5"] and len(recovers.requests) == 2
    server = serve(lambda prompt, n: broken)
    with pytest.raises(UserError, match="did not answer in 3 attempts") as raised:
        client(server)(["x"])
    assert said in str(raised.value) and len(server.requests) == 3
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("url", ["http://a:b/v1", "nothing", "http://a\x00b/v1"])
def test_a_url_that_is_none_is_said_at_once(url: str) -> None:
    waits: list[float] = []
    with pytest.raises(UserError, match="not a URL"):
        ChatClient(Endpoint(url, "m"), sleep=waits.append)(["x"])
    assert [wait for wait in waits if wait > 1] == []


@pytest.mark.parametrize("url", ["http://me:hush@a/v1", "http://a/v1?key=hush", "http://a/#hush"])
def test_a_url_with_a_secret_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UserError, match="keys and passwords stand in an environment") as error:
        ChatClient(Endpoint(url, "m"))
    assert "hush" not in str(error.value)


@pytest.mark.parametrize("key", ["hush\nX-Other: 1", "hush\u00e9", "hush\x7f"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UserError, match="SWARM_LLM_JUDGE_KEY: holds a character that") as error:
        ChatClient(Endpoint("http://127.0.0.1:9/v1", "m", key))
    assert "hush" not in str(error.value)


def test_blanks_around_a_key_are_not_sent(serve: Any) -> None:
    server = serve(lambda prompt, n: answer("Rating: 5"))
    client(server, key=" secret\n")(["x"])
    assert {r["key"] for r in server.requests} == {"Bearer secret"}


def test_halves_of_unicode_pairs_can_be_asked(serve: Any) -> None:
    assert client(serve(lambda prompt, n: answer(str(len(prompt)))))(["a\ud800"]) == ["2"]


class Clock:
    """Time that passes while somebody sleeps, and two seconds with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_retries_end_after_the_stated_time(serve: Any) -> None:
    server, clock = serve(lambda prompt, n: answer("", 429, **{"Retry-After": "40"})), Clock()
    endpoint = Endpoint(server.url, "m", attempts=1000, deadline=100.0)
    with pytest.raises(UserError, match=r"did not answer within 100 s \(status 429"):
        ChatClient(endpoint, sleep=clock.sleep, clock=clock)(["x"])
    assert len(server.requests) == 3 and clock.now <= 102


def test_an_answer_that_never_ends_is_given_up(serve: Any) -> None:
    server, clock = serve(lambda prompt, n: (200, {}, b"{" + 2**20 * b" ")), Clock()
    endpoint = Endpoint(server.url, "m", attempts=2, timeout=4.0, deadline=4.0)
    with pytest.raises(UserError, match="the answer did not end in 4 s"):
        ChatClient(endpoint, sleep=clock.sleep, clock=clock)(["x"])


def test_after_one_failure_the_others_are_not_waited_for(serve: Any) -> None:
    server = serve(lambda prompt, n: answer("", 500))
    with pytest.raises(UserError, match="did not answer"):
        client(server, attempts=1)([f"question {k}" for k in range(2000)])
    assert len(server.requests) < 500


def test_win_rate_with_swapped_positions() -> None:
    def prefers_longer(prompts: Any) -> list[str]:
        return [
            "Better: A"
            if p.index("Reply B") - p.index("Reply A") > len(p) - p.index("Reply B") - 90
            else "Better: B"
            for p in prompts
        ]

    score = Judge(prefers_longer).win_rate(
        ITEMS, ["long " * 80, "x", "long " * 80], ["y", "long " * 80, "y"]
    )
    assert score.per_item == (1.0, 0.0, 1.0)
    always_first = Judge(lambda prompts: ["Better: A"] * len(prompts))
    assert always_first.win_rate(ITEMS, ["a"] * 3, ["b"] * 3).per_item == (0.5, 0.5, 0.5)
    ties = Judge(lambda prompts: ["Better: tie, both are fine"] * len(prompts))
    assert ties.win_rate(ITEMS[:1], ["a"], ["b"]).value == 0.5
    with pytest.raises(UserError, match="named no better reply for item 0"):
        Judge(lambda prompts: ["Both!"] * len(prompts)).win_rate(ITEMS, ["a"] * 3, ["b"] * 3)


def test_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("URL", "MODEL"):
        monkeypatch.delenv(f"SWARM_LLM_JUDGE_{name}", raising=False)
    with pytest.raises(UserError, match="SWARM_LLM_JUDGE_URL is not set"):
        load_judge()
    monkeypatch.setenv("SWARM_LLM_JUDGE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(UserError, match="SWARM_LLM_JUDGE_MODEL is not set"):
        load_judge()
    monkeypatch.setenv("SWARM_LLM_JUDGE_MODEL", "m")
    load_judge()
    with pytest.raises(UserError, match="cannot be read"):
        load_judge(str(tmp_path / "no.txt"))
    for value in ("soon", "0", "-1", "1,2"):
        monkeypatch.setenv("SWARM_LLM_JUDGE_TIMEOUT", value)
        with pytest.raises(UserError, match="SWARM_LLM_JUDGE_TIMEOUT"):
            load_judge()
