"""A table of a user's own through the commands: the same split everywhere, said, resumed, and
planned by a dry run.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from search_helpers import WORDS, Shell

import pyswarmopt_llm as sl

NOTE = "no split, so 24 dev and 12 test examples were drawn"
BY_TEXTS = ["--scoring", "likelihood"]


@pytest.fixture
def mood(tmp_path: Path) -> Path:
    file = tmp_path / "mood.csv"
    moods = ("bad", "good", "so so")
    rows = [[f"{WORDS[i % 16]} {WORDS[i // 16]} {i}", moods[i % 3]] for i in range(36)]
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=";").writerows([["body", "feeling"], *rows])
    return file


@pytest.fixture
def words(tiny_base: Path, experts: list[Path], mood: Path) -> list[object]:
    """The options that say what is searched."""
    columns = ["--columns", "question=body,label=feeling", "--template", "{question}\nMood:"]
    return ["--base", tiny_base, "--experts", *experts, "--task", mood, *columns, "--threads", "1"]


def test_a_search_says_how_it_drew_and_resumes_to_the_same_items(
    words: list[object], mood: Path, tmp_path: Path, shell: Shell
) -> None:
    run = tmp_path / "run"
    sizes = ["--particles", "4", "--max-iter", "2", *BY_TEXTS]
    shell("search", *words, "--out", run, *sizes, "--quiet")
    about, result = (json.loads((run / name).read_text()) for name in ("run.json", "result.json"))
    assert NOTE in about["notes"]["mood"] and NOTE in result["notes"][0]
    assert about["config"]["columns"] == ["question=body", "label=feeling"]
    card = (run / "best" / "README.md").read_text()
    assert "--columns question=body --columns label=feeling --template" in card

    (run / "result.json").unlink()
    before, lines = (run / "history.jsonl").read_text(), mood.read_text().splitlines()
    # another order of the rows, other row numbers
    mood.write_text("\n".join([lines[0], *lines[:0:-1]]))
    assert "tasks (mood) changed" in shell.refused("resume", run, "--quiet")
    mood.write_text("\n".join(lines))
    shell("resume", run, "--quiet")
    assert (run / "history.jsonl").read_text() == before
    assert json.loads((run / "result.json").read_text())["best_test"] == result["best_test"]

    left = [word for word in words if word not in words[3:6] and word != "--experts"]
    found = shell.json("eval", *left, "--adapter", run / "best", *BY_TEXTS)
    assert (found["n"], found["value"]) == (12, result["best_test"])
    assert sl.evaluate("", None, "", run=run, threads=1).score.value == found["value"]
    assert NOTE in found["note"]
    errors = result["by_label"]["mood"]
    assert errors == found["by_label"] and errors["labels"] == ["bad", "good", "so so"]
    assert sum(errors["counts"][k][k] for k in range(3)) / 12 == result["best_test"]
    assert [*map(sum, errors["counts"])] == [4, 4, 4]
    assert "errors by label" in (run / "report.html").read_text()


# Tables as people have them


# --dry-run
