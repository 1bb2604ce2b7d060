"""Files from strangers: nothing runs, nothing escapes, nothing large is allocated on their word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_helpers import questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.searching.scoring.run_directory import Run


@pytest.fixture(scope="module")
def finished(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run, named by the directory that holds it."""
    folder = tmp_path_factory.mktemp("safe")
    task = write_task(folder / "words.json", questions(6, 1), questions(6, 2))
    search(small(tiny_base, tiny_experts, [task], folder / "run", particles=3, max_iter=1))
    return folder / "run"


def test_code_in_a_model_directory_is_not_run(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    config = json.loads((base / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "trap.Trap", "AutoConfig": "trap.Trap"}
    config["model_type"] = "unheard-of"
    (base / "config.json").write_text(json.dumps(config))
    sprung = tmp_path / "sprung"
    (base / "trap.py").write_text(f"open({str(sprung)!r}, 'w').close()\nclass Trap: pass\n")
    task = write_task(tmp_path / "words.json", questions(6, 1), questions(6, 2))
    code, _, err = swarm_llm(capsys, "eval", "--base", base, "--task", task)
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert not sprung.exists()


def test_an_adapter_whose_weights_are_a_link_elsewhere_gives_nothing_away(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("correct horse battery staple " * 10)
    expert = tmp_path / "linked"
    shutil.copytree(tiny_experts[0], expert)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (expert / name).unlink()
        (expert / name).symlink_to(secret)
    _, out, err = swarm_llm(capsys, "inspect", "--base", tiny_base, expert)
    assert "horse" not in out + err


@pytest.mark.parametrize(
    "name", ["../../escaped", "a/b", "..", "<script>alert(1)</script>", "x" * 300, "con\n\x1b[31m"]
)
def test_a_hostile_name_of_a_task_stays_in_the_run(
    name: str, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(6, 1), questions(6, 2), dataset=name)
    before = {p for p in tmp_path.rglob("*")} | set(tmp_path.parent.iterdir())
    try:
        search(small(tiny_base, tiny_experts, [task], tmp_path / "run", particles=3, max_iter=1))
    except UserError as error:
        assert "\n" not in str(error)
        return
    made = ({p for p in tmp_path.rglob("*")} | set(tmp_path.parent.iterdir())) - before
    assert all(p.is_relative_to(tmp_path / "run") for p in made)
    assert "<script>alert" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@settings(max_examples=300)
@given(data=st.data())
def test_any_bytes_in_a_journal_are_read_or_refused_in_one_line(
    data: st.DataObject, finished: Path, tmp_path: Path
) -> None:
    good = (finished / "history.jsonl").read_bytes()
    cut = data.draw(st.integers(0, len(good)))
    (tmp_path / "run.json").write_bytes((finished / "run.json").read_bytes())
    (tmp_path / "history.jsonl").write_bytes(
        good[:cut] + data.draw(st.binary(max_size=40)) + good[cut:]
    )
    try:
        _ = Run.open(tmp_path).rows
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "change",
    [
        {"value": "high"},
        {"value": None},
        {"key": 5},
        {"items": 7},
        {"items": {"words": {"a": 1}}},
        {"items": {}},
        {"seconds": "long"},
        {"n": -1.5},
        {"phase": ["search"]},
        {"coefficients": "none"},
    ],
)
def test_an_odd_value_in_a_journal_is_refused_in_one_line(
    change: dict[str, Any], finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    lines = (run / "history.jsonl").read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), **change})
    (run / "history.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"line 2: [^\n]*$"):
        _ = Run.open(run).rows
