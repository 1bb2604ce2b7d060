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

import numpy as np
import pytest
from browser import needs_browser, visit

from pyswarmopt.teaching import lesson

pytestmark = [pytest.mark.slow, needs_browser]


def seen_by(tmp_path: Path, script: str, *options: str, where: str = "") -> Any:
    """What the script wrote down in the lesson's page."""
    path = tmp_path / "lesson.html"
    path.write_text(lesson.page().replace("<body>", "<body>" + script), encoding="utf-8")
    done = visit(path.as_uri() + where, tmp_path / "profile", "--dump-dom", *options)
    assert "CONSOLE" not in done.stderr
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


# Does what a reader could do, and writes down what happened.
READER = """
<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
console.error = (...words) => errors.push(words.join(" "));
addEventListener("load", () => {
  const $ = (id) => document.getElementById(id), seen = {};
  const key = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const set = (id, value) => {
    const input = $(id);
    if (input.type === "checkbox") input.checked = value; else input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const chapters = [...document.querySelectorAll("#chapters button")];
  seen.chapters = chapters.map((button, k) => {
    key(String(k + 1));
    const title = $("title").textContent, clocks = [];
    const gaps = [...document.querySelectorAll("[hidden]")].filter((element) => element.offsetHeight).length;
    for (const move of ["End", "Home", "ArrowLeft"]) { key(move); clocks.push($("clock").textContent); }
    $("time").value = 3;
    $("time").dispatchEvent(new Event("input"));
    clocks.push($("clock").textContent);
    key("ArrowLeft");
    clocks.push($("clock").textContent);
    key("n");
    const recorded = $("badge").textContent;
    set("set-inertia", 0.3);
    set("set-repel", 0.2);
    for (const choice of k ? ["set-boundary"] : ["set-topology", "set-landscape", "set-random"]) {
      for (const option of $(choice).options) if (!option.hidden) set(choice, option.value);
    }
    set("set-normalise", true);
    set("set-particles", 5);
    set("set-restart", 3);
    $("luck").click();
    const own = $("badge").textContent;
    if (k === 0) $("many").click();
    const rows = document.querySelectorAll("#statistics tbody tr").length;
    $("own").value = "x^2 + (y - 1)^2";
    $("ownBox").querySelector("button").click();
    const minimised = $("ownSaid").textContent;
    $("own").value = "x + z";
    $("ownBox").querySelector("button").click();
    const refused = $("ownSaid").textContent;
    $("reset").click();
    const written = [...document.querySelectorAll("#writing .writing")].map((box) => {
      const input = box.querySelector("input"), said = box.querySelector(".said"), told = [];
      for (const text of [input.value, box.querySelector("pre").textContent, "1 +"]) {
        input.value = text;
        box.querySelector("button").click();
        told.push(said.textContent);
      }
      return told;
    });
    document.querySelectorAll("#questions .choices button").forEach((b) => b.click());
    const hidden = document.querySelectorAll("#questions .why[hidden]").length;
    $("sourceBox").open = true;
    const sources = [...$("part").options].map(({ value }) => {
      $("part").value = value;
      $("part").dispatchEvent(new Event("change"));
      return $("source").textContent.length;
    });
    const back = $("badge").textContent;
    return { title, clocks, recorded, own, rows, hidden, gaps, sources, minimised, refused, written, back };
  });
  document.querySelectorAll("#test fieldset").forEach((box, k) => box.querySelectorAll("input")[k ? 1 : 0].click());
  $("testMark").click();
  seen.test = $("testResult").textContent;
  seen.table = Write.table();
  document.body.hidden = true;  // as in a folded frame
  dispatchEvent(new Event("resize"));
  document.body.hidden = false;
  $("theme").click();
  seen.theme = document.documentElement.dataset.theme;
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.errors = errors;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
</script>
"""


def test_a_reader_finds_no_error_and_the_page_asks_for_nothing(tmp_path: Path) -> None:
    seen = seen_by(tmp_path, READER, "--window-size=500,900")  # its narrowest
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


# Presses faster than the move that they ask for is drawn (380 ms); waits until the picture has come
# to rest. Chromium draws no frames in virtual time, so timers stand in for them.
HURRIED = """
<script>
requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
cancelAnimationFrame = clearTimeout;
addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), clock = () => $("clock").textContent;
  const key = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const hurry = async (...presses) => {
    key("1");
    for (const press of presses) {
      if (press === "click") $("next").click(); else key(press);
      await wait(15);
    }
    await wait(800);
    return clock();
  };
  const seen = {
    keys: await hurry(..."ArrowRight ".repeat(5).trim().split(" ")),
    clicks: await hurry(..."click ".repeat(5).trim().split(" ")),
    back: await hurry("ArrowRight", "ArrowRight", "ArrowLeft"),
    home: await hurry("ArrowRight", "Home"),
    ends: await hurry(..."ArrowRight ".repeat(40).trim().split(" ")),
    chapter: await hurry("ArrowRight", "2", "1"),
    paused: await hurry("ArrowRight", "ArrowRight", " ", " "), // the move that playing began is made, too
  };
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
</script>
"""


def test_no_press_is_lost_however_fast(tmp_path: Path) -> None:
    moves = lesson.CHAPTERS[0]["moves"]
    expected = {"keys": 5, "clicks": 5, "back": 1, "home": 0, "chapter": 0, "paused": 3}
    expected["ends"] = min(40, moves)
    seen = seen_by(tmp_path, HURRIED, "--virtual-time-budget=20000")
    assert seen == {name: f"step {t} of {moves}" for name, t in expected.items()}


# Follows a link within the open page, steps, and reads the address.
LINKS = """
<script>
requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
cancelAnimationFrame = clearTimeout;
addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), where = () => `${$("number").textContent}, ${$("clock").textContent}`;
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const seen = { opened: where(), before: history.length };
  location.hash = "#3.7";
  await wait(500);
  seen.followed = where();
  seen.entries = history.length - seen.before; // the link's own
  $("next").click();
  await wait(1500);
  seen.stepped = [where(), location.hash];
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "2", bubbles: true }));
  await wait(500);
  seen.chapter = location.hash;
  seen.after = history.length - seen.before;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
</script>
"""


def test_links_are_followed_and_can_be_copied(tmp_path: Path) -> None:
    seen = seen_by(tmp_path, LINKS, "--virtual-time-budget=20000", where="#2.5")
    moves = [chapter["moves"] for chapter in lesson.CHAPTERS]
    assert seen["opened"] == f"Chapter 2 of 5, step 5 of {moves[1]}"
    assert seen["followed"] == f"Chapter 3 of 5, step 7 of {moves[2]}"
    assert seen["stepped"] == [f"Chapter 3 of 5, step 8 of {moves[2]}", "#3.8"]
    # stepping adds nothing to the history
    assert seen["chapter"] == "#2.0" and seen["after"] == seen["entries"]


def test_light_and_dark_are_drawn(tmp_path: Path) -> None:
    image_module = pytest.importorskip(
        "PIL.Image", reason="Pillow comes with matplotlib (extra: toy)"
    )
    path = tmp_path / "lesson.html"
    path.write_text(lesson.page(), encoding="utf-8")
    brightness = {}
    for look in ("light", "dark"):
        shot = tmp_path / f"{look}.png"
        options = f"--screenshot={shot}", "--window-size=1280,900", "--virtual-time-budget=2000"
        visit(f"{path.as_uri()}#2.5.{look}", tmp_path / "profile", *options)
        image = image_module.open(shot).convert("L")
        brightness[look] = np.asarray(image).mean()
    assert brightness["light"] > 180 and brightness["dark"] < 80
