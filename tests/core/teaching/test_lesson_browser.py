"""The lesson in a real browser: every chapter, step, slider and question, without an error and
without the network.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser, visit

from pyswarmopt.teaching import lesson

pytestmark = [pytest.mark.slow, needs_browser]


def seen_by(tmp_path: Path, who: str, *options: str, where: str = "") -> Any:
    """What the script lesson_WHO.js wrote down in the lesson's page."""
    script = Path(__file__).with_name(f"lesson_{who}.js").read_text(encoding="utf-8")
    path = tmp_path / "lesson.html"
    page = lesson.page().replace("<body>", f"<body><script>{script}</script>")
    path.write_text(page, encoding="utf-8")
    done = visit(path.as_uri() + where, tmp_path / "profile", "--dump-dom", *options)
    assert "CONSOLE" not in done.stderr
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def test_a_reader_finds_no_error_and_the_page_asks_for_nothing(tmp_path: Path) -> None:
    seen = seen_by(tmp_path, "reader", "--window-size=500,900")  # its narrowest
    assert seen["errors"] == [] and seen["requests"] == [] and not seen["wide"]
    assert seen["theme"] == "dark"
    assert [chapter["title"] for chapter in seen["chapters"]] == [
        chapter["title"] for chapter in lesson.CHAPTERS
    ]
    for chapter, moves in zip(seen["chapters"], (c["moves"] for c in lesson.CHAPTERS), strict=True):
        assert chapter["clocks"] == [f"step {t} of {moves}" for t in (moves, 0, 0, 3, 2)]
        assert chapter["recorded"] == chapter["back"] == "recorded by the library"
        assert chapter["own"] == "computed in this page"
        assert chapter["hidden"] == chapter["gaps"] == 0 and min(chapter["sources"]) > 50
        assert (
            "the swarm’s best is" in chapter["minimised"] and "“z” is unknown" in chapter["refused"]
        )
        for given, right, broken in chapter["written"]:
            assert given.startswith("They part at step") and right.startswith("Right: both swarms")
            assert broken == "Something is missing at the end."
    assert [len(chapter["written"]) for chapter in seen["chapters"]] == [1, 1, 0, 1, 0]
    assert seen["chapters"][0]["rows"] == 2
    chosen = [0] + [1] * (len(lesson.TEST) - 1)
    marks = [question["answer"] == k for question, k in zip(lesson.TEST, chosen, strict=True)]
    assert seen["test"] == f"{sum(marks)} of 10 right."
    rows = list(csv.DictReader(io.StringIO(seen["table"])))
    assert [row["right"] for row in rows] == [str(int(mark)) for mark in marks]
    assert [row["question"] for row in rows] == [question["ask"] for question in lesson.TEST]


def test_no_press_is_lost_however_fast(tmp_path: Path) -> None:
    moves = lesson.CHAPTERS[0]["moves"]
    expected = {"keys": 5, "clicks": 5, "back": 1, "home": 0, "chapter": 0, "paused": 3}
    expected["ends"] = min(40, moves)
    seen = seen_by(tmp_path, "hurried", "--virtual-time-budget=20000")
    assert seen == {name: f"step {t} of {moves}" for name, t in expected.items()}


def test_links_are_followed_and_can_be_copied(tmp_path: Path) -> None:
    seen = seen_by(tmp_path, "links", "--virtual-time-budget=20000", where="#2.5")
    moves = [chapter["moves"] for chapter in lesson.CHAPTERS]
    assert seen["opened"] == f"Chapter 2 of 5, step 5 of {moves[1]}"
    assert seen["followed"] == f"Chapter 3 of 5, step 7 of {moves[2]}"
    assert seen["stepped"] == [f"Chapter 3 of 5, step 8 of {moves[2]}", "#3.8"]
    # stepping adds nothing to the history
    assert seen["chapter"] == "#2.0" and seen["after"] == seen["entries"]
