"""The lesson in a real browser: every chapter, step, slider and question, without an error and
without the network.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser, seen_at

from pyswarmopt.teaching import lesson

pytestmark = [pytest.mark.slow, needs_browser]


def test_a_reader_finds_no_error_and_the_page_asks_for_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("lesson_reader.js").read_text(encoding="utf-8")
    path = tmp_path / "lesson.html"
    page = lesson.page().replace("<body>", f"<body><script>{script}</script>")
    path.write_text(page, encoding="utf-8")
    seen = seen_at(path.as_uri(), tmp_path / "profile", "--window-size=500,900")  # its narrowest
    assert seen["errors"] == [] and seen["requests"] == [] and not seen["wide"]
    assert seen["theme"] == "dark"
    assert [chapter["title"] for chapter in seen["chapters"]] == [
        chapter["title"] for chapter in lesson.CHAPTERS
    ]
    for chapter, moves in zip(seen["chapters"], (c["moves"] for c in lesson.CHAPTERS), strict=True):
        assert chapter["clocks"] == [f"step {t} of {moves}" for t in (moves, 0, 0, 3, 2)]
        assert chapter["recorded"] == chapter["back"] == "recorded by the library"
        assert chapter["hidden"] == chapter["gaps"] == 0 and min(chapter["sources"]) > 50
        assert (
            "the swarm’s best is" in chapter["minimised"] and "“z” is unknown" in chapter["refused"]
        )
        said = chapter["functions"]
        assert "it is −∞" in said["log(x)"] and "no lowest value" in said["log(x)"]
        assert "0.000 at" in said["sqrt(x)"]
        assert "−10.000 at (−5.000, −5.000)" in said["x + y"] and "outside" not in said["x + y"]
        assert "no value anywhere" in said["sqrt(-1 - x^2)"]
        for given, right, broken in chapter["written"]:
            assert "correct one differ from step" in given and right.startswith(
                "Right: both swarms"
            )
            assert broken == "Something is missing at the end."
    assert [len(chapter["written"]) for chapter in seen["chapters"]] == [1, 1, 0, 1, 0]
    assert seen["chapters"][0]["rows"] == 2
    assert_tested(seen["test"])
    chosen = [0, 0] + [1] * (len(lesson.TEST) - 2)
    marks = [question["answer"] == k for question, k in zip(lesson.TEST, chosen, strict=True)]
    rows = list(csv.DictReader(io.StringIO(seen["table"])))
    assert [row["right"] for row in rows] == [str(int(mark)) for mark in marks]
    assert [row["question"] for row in rows] == [question["ask"] for question in lesson.TEST]


def assert_tested(told: dict[str, Any]) -> None:
    """What the reader saw of the test: only what was answered is explained, the first answer counts."""
    assert "name" in told["nameless"][0] and told["nameless"][1:] == [0, "testName"]
    assert told["empty"][0].startswith("0 of 10 right. 10 not answered") and told["empty"][1] == 0
    assert told["some"][0].startswith("1 of 10 right. 8 not answered") and told["some"][1] == 2
    right = 1 + sum(question["answer"] == 1 for question in lesson.TEST[2:])
    assert told["all"] == [f"{right} of 10 right.", 10]
    assert told["files"] == ["pso-test-Zoë-O-Hara-3b.csv"]


def test_on_a_phone_the_picture_stays_in_sight_while_anything_is_changed(tmp_path: Path) -> None:
    script = Path(__file__).with_name("lesson_phone.js").read_text(encoding="utf-8")
    (tmp_path / "lesson.html").write_text(lesson.page(), encoding="utf-8")
    frames = "".join(
        f'<iframe src="lesson.html" style="width: {width}px; height: {height}px"></iframe>'
        for width, height in ((390, 844), (320, 568))
    )
    page = tmp_path / "phones.html"
    page.write_text(f"<!doctype html><script>{script}</script>{frames}", encoding="utf-8")
    options = ("--allow-file-access-from-files", "--window-size=900,1000")
    moves = lesson.CHAPTERS[0]["moves"]
    for phone in seen_at(page.as_uri(), tmp_path / "profile", *options):
        at, third = phone["changing"], phone["height"] / 3
        assert not phone["wide"] and phone["reachable"]
        assert (
            at["top"] >= 0 and at["bottom"] <= third + 1 and at["bottom"] - at["top"] > 0.8 * third
        )
        assert at["bottom"] <= at["slider"] < phone["height"]  # the slider is not under the picture
        assert at["page"] == phone["start"]["page"]  # nothing below jumps
        assert phone["back"] == phone["start"] | {"clock": phone["back"]["clock"]}
        steps = {"last": moves, "back": moves - 1, "first": 0}
        told = {name: f"step {t} of {moves}" for name, t in steps.items()}
        assert phone["pressed"] == told | {"another": 1}


def test_a_key_opens_a_chapter_at_its_top_and_a_wrong_answer_is_called_so(tmp_path: Path) -> None:
    script = """<script>addEventListener("load", () => {
      scrollTo(0, 1500);
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "4", bubbles: true }));
      const wrong = document.querySelector('#test input[value="0"]');
      wrong.checked = true;
      document.getElementById("testMark").click();
      const told = document.querySelector("#test .why").textContent;
      const legend = document.getElementById("legend").textContent;
      document.documentElement.dataset.seen = JSON.stringify([scrollY, told, legend]);
    })</script>"""
    path = tmp_path / "lesson.html"
    path.write_text(lesson.page().replace("<body>", f"<body>{script}"), encoding="utf-8")
    at, told, legend = seen_at(path.as_uri(), tmp_path / "profile")
    assert at == 0 and told.startswith("No. ") and "worst seen" in legend
