"""The examples of the paper: a vote of personal bests, and a finished search with one more expert."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from search_helpers import louder, questions, small, write_task

from pyswarmopt_llm.api import search

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def run(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A search with the swarm of the paper."""
    folder = tmp_path_factory.mktemp("examples")
    task = write_task(folder / "words.json", questions(12, 1), questions(20, 2))
    experts = louder(tiny_experts, folder / "loud")
    search(small(tiny_base, experts, [task], folder / "run", space="delta", max_iter=2))
    return folder / "run"


def test_a_personal_best_is_each_particles_first_best_position() -> None:
    bests = runpy.run_path(str(EXAMPLES / "personal_bests.py"))["personal_bests"]
    values = {0: [0.1, 0.5, 0.5], 1: [0.4, 0.2, 0.3], 2: [0.5, 0.1, 0.1]}
    rows = [
        {"particle": k, "iteration": i, "value": values[k][i]} for i in range(3) for k in values
    ]
    found = [(row["particle"], row["iteration"]) for row in bests(rows)]
    assert found == [(2, 0), (0, 1), (1, 0)]
    assert bests(rows, 2) == bests(rows)[:2]


def test_the_personal_bests_vote(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", str(run)])
    runpy.run_path(str(EXAMPLES / "personal_bests.py"), run_name="__main__")
    said = capsys.readouterr().out
    result = json.loads((run / "result.json").read_text())
    assert said.startswith("vote of 5: ")
    assert said.endswith(f"the best alone: {result['best_test']:.3f}\n")


def test_a_finished_search_takes_in_one_more_expert(
    run: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    newcomer = louder(tiny_experts, tmp_path / "new", 64)[2]
    out = tmp_path / "second"
    monkeypatch.setattr(sys, "argv", ["x", str(run), str(newcomer), str(out)])
    runpy.run_path(str(EXAMPLES / "one_more_expert.py"), run_name="__main__")
    before, after = (json.loads((at / "result.json").read_text()) for at in (run, out))
    assert len(after["coefficients"]) == 2 and "best" in after["coefficients"]
    ends = f"test: {after['best_test']:.3f}, before: {before['best_test']:.3f}\n"
    assert capsys.readouterr().out.endswith(ends)
