"""The examples of the lecture: its two programs, and a group that revises until it agrees."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
lecture = runpy.run_path(str(EXAMPLES / "lecture_votes.py"))
group = runpy.run_path(str(EXAMPLES / "settled.py"))


def test_equal_strings_win_letter_by_letter_and_the_other_output_is_all_of_them() -> None:
    outputs = ["Paris", "Paris.", "Lyon", "Paris."]
    assert lecture["equal_strings"](outputs) == "Paris."
    assert lecture["equal_strings"](outputs[:3]) == "Paris"
    assert lecture["appended"](outputs) == "Paris\nParis.\nLyon\nParis."


def test_both_programs_are_scored_on_stored_votes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ballots = {"1": ["B", "A", "A"], "2": ["A", "B", "C"], "3": ["B", "B", "A"]}  # A is right
    choices = {"A": "x", "B": "y", "C": "z"}
    items = [
        {"id": id_, "question": f"{id_}?", "choices": choices, "answer": "A"} for id_ in ballots
    ]
    dev = [{**items[0], "id": "d", "question": "d?"}]
    (tmp_path / "task.json").write_text(json.dumps({"dev": dev, "test": items}))
    rows = [json.dumps({"id": id_, "ballots": each}) for id_, each in ballots.items()]
    (tmp_path / "verdicts.jsonl").write_text("\n".join(rows))
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), str(tmp_path / "task.json")])
    runpy.run_path(str(EXAMPLES / "lecture_votes.py"), run_name="__main__")
    # equal strings: A, A (the first of three), B; first lines: B, A, B
    assert capsys.readouterr().out == "equal strings: 0.667\nappended: 0.333\n"


def scripted(*rounds: list[str]) -> tuple[Callable[[str], list[str]], list[str]]:
    """Members who say this, round by round, and the prompts that they read."""
    prompts: list[str] = []

    def ask(prompt: str) -> list[str]:
        prompts.append(prompt)
        return rounds[min(len(prompts), len(rounds)) - 1]

    return ask, prompts


@pytest.mark.parametrize(
    ("second", "expected"),
    [("the cat sat on that mat", 2), ("a cat sat on that mat", 5)],  # 1 and 2 of 6 words differ
)
def test_a_group_stops_when_at_most_a_quarter_of_the_words_differ(
    second: str, expected: int
) -> None:
    ask, prompts = scripted(["no idea", "a dog"], ["the cat sat on the mat", second])
    rounds: Any = group["settled"](ask, "Where?")
    assert len(rounds) == expected
    assert prompts[0] == "Where?" and "Answer: no idea\nAnswer: a dog\n" in prompts[1]


def test_two_answers_differ_in_the_share_of_words_that_are_not_in_common() -> None:
    assert group["differ"](["a b c d", "a b c e", "a b c d"]) == pytest.approx(0.25)
    assert group["differ"](["alone"]) == 0.0
