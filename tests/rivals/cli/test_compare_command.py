"""`swarm-llm compare`: what it prints and writes, on a tiny random base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from search_helpers import files, questions, swarm_llm, write_task

METHODS = ("uniform-soup", "best-single", "prediction-merge", "model-swarms")


def test_the_command_prints_the_table_and_writes_the_files(
    tiny_base: Path, experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(12, 2))
    folder = tmp_path / "out"
    words = f"compare --quiet --base {tiny_base} --task {task} --out {folder} --methods {','.join(METHODS)}"
    words += " --threads 1 --scoring likelihood --seeds 1 --budget-items 24"
    code, out, err = swarm_llm(capsys, *words.split(), "--experts", *experts)
    assert (code, err) == (0, "")
    # a table, no Markdown
    assert "\nmodel-swarms " in out and "|---" not in out and "## " not in out
    # all columns, where there is no terminal's width
    assert "against best baseline" in out and "compare.html" in out
    assert "| model-swarms | " in (folder / "compare.md").read_text()
    stored = json.loads((folder / "compare.json").read_text())
    assert set(stored["methods"]) == set(METHODS)
    written = {"about.json", "compare.html", "compare.json", "compare.md", "results.jsonl"}
    assert written <= files(folder).keys()
    assert all(row["item_evaluations"] <= 24 for row in stored["methods"].values())
