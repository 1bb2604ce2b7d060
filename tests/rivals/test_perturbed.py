"""The example that scores a model on questions with typos."""

from __future__ import annotations

import json
import math
import random
import runpy
import sys
from pathlib import Path

import pytest
from search_helpers import questions, write_task

import pyswarmopt_llm as sl

SCRIPT = str(Path(__file__).parents[2] / "examples" / "perturb.py")
with_typos = runpy.run_path(SCRIPT)["with_typos"]


def test_each_kind_of_typo_is_as_frequent_as_the_share_says_and_digits_stay() -> None:
    n, share = 20_000, 0.2
    words = with_typos("x. " * n, random.Random(0), share).split(" ")[:n]
    seen = {
        "swap": words.count(".x"),
        "double": words.count("xx."),
        "drop": words.count("."),
        # one in 26 is x again
        "replace": sum(len(word) == 2 and word[0] not in ".x" for word in words) * 26 / 25,
    }
    sigma = math.sqrt(n * share / 4)
    assert all(abs(count - n * share / 4) < 5 * sigma for count in seen.values()), seen
    typed = with_typos("a1b22c 333 " * 50, random.Random(1), 0.9)
    assert "".join(filter(str.isdigit, typed)) == "122333" * 50


def test_it_prints_the_scores_of_both_files(
    tiny_base: Path,
    experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = questions(40, 2)
    task = write_task(tmp_path / "words.json", questions(10, 1), asked)
    for row in asked:
        row["question"] = with_typos(row["question"], random.Random(row["question"]), 0.5)
    typed = tmp_path / "typed.json"
    typed.write_text(json.dumps({"dev": questions(10, 1), "test": asked}))
    models = (str(tiny_base), str(experts[0]))
    plain = sl.evaluate(*models, str(task)).score
    typos = sl.evaluate(*models, str(typed)).score
    assert plain.per_item != typos.per_item
    monkeypatch.setattr(sys, "argv", [SCRIPT, "0.5", *models, str(task)])
    runpy.run_path(SCRIPT, run_name="__main__")
    pairs = list(zip(plain.per_item, typos.per_item, strict=True))
    lost = sum(a > b for a, b in pairs)
    gained = sum(a < b for a, b in pairs)
    scores = f"{plain.value:.3f} as they are, {typos.value:.3f} with typos"
    assert capsys.readouterr().out == f"{scores}: {lost} lost, {gained} gained\n"
