"""What a user is told: settings that were raised, a folder of experts in place of an expert,
plurals, how far it is.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from search_helpers import questions, swarm_llm, write_task

from pyswarmopt_llm.cli import app
from pyswarmopt_llm.searching.use.model import evaluate_model


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory; "),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory; "),
        (OSError(28, "No space left on device", "out/x"), "out/x: No space left on device; "),
        (OSError(5, "Input/output error"), "a file: Input/output error; "),
    ],
)
def test_what_the_machine_lacks_is_one_line(
    error: Exception,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(app, "run_app", fail)
    code, _, err = swarm_llm(capsys, "search")
    assert code == 2 and err.count("\n") == 1 and err.startswith(f"error: {said}")


def test_another_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(app, "run_app", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        app.main(["search"])


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(
        tmp_path_factory.mktemp("task") / "words.json", questions(12, 1), questions(20, 2)
    )


@pytest.mark.parametrize("scoring", ["likelihood", "letter", "generate"])
def test_eval_says_how_far_it_is_and_finds_the_same(
    scoring: str, tiny_base: Path, task: Path
) -> None:
    seen: list[tuple[int, int]] = []
    options = {"scoring": scoring, "threads": 1, "test": 9}
    found = evaluate_model(
        str(tiny_base),
        None,
        str(task),
        on_items=lambda done, total: seen.append((done, total)),
        **options,
    )
    assert found.score == evaluate_model(str(tiny_base), None, str(task), **options).score
    done = [number for number, _ in seen]
    assert done == sorted(set(done)) and seen[-1] == (9, 9) and {total for _, total in seen} == {9}


def test_one_is_no_plural(tiny_experts: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = swarm_llm(capsys, "inspect", tiny_experts[0])
    assert code == 0 and re.search(r"^1 expert$", out, re.MULTILINE)
