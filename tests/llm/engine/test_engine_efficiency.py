"""`make bench` runs on a tiny model."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from search_helpers import questions, write_task

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "engine_efficiency.py"


def test_every_answer_format_is_timed(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = write_task(tmp_path / "task.json", questions(4, 1), questions(2, 2))
    models = ["--base", str(tiny_base), "--experts", str(tiny_experts[0].parent)]
    small = ["--task", str(task), "--sizes", "1x4", "--rounds", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *models, *small])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines if " items, " in line] == ["likelihood", "letter"]
