"""Numbers that nobody can mean are refused before anything is written."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from search_helpers import swarm_llm

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import Option


def test_an_infinite_number_is_refused() -> None:
    for bound in (Option("", least=0), Option("", above=0), Option("")):
        with pytest.raises(InvalidOption, match="temperature inf: out of range; give a finite"):
            bound.check("temperature", math.inf)
    Option("", least=0).check("temperature", 1e300)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--temperature", "inf", "--temperature inf: out of range; give a finite number"),
        ("--samples", "1000000000", "--samples 1000000000: out of range; give at least 1 and at"),
    ],
)
def test_no_run_is_left_behind(
    option: str, value: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = tmp_path / "prompts.txt"
    task.write_text("Say hello.\n")
    words = [
        "search",
        "--base",
        "b",
        "--experts",
        "e",
        "f",
        "--prompts",
        task,
        "--metric",
        "s.py:s",
    ]
    code, _, err = swarm_llm(capsys, *words, "--out", tmp_path / "run", option, value)
    assert code == 2 and err.startswith(f"error: {said}") and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
