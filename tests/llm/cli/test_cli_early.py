"""A file that cannot be read is refused before torch is imported, which takes seconds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch",):
            raise AssertionError("torch is imported")

sys.meta_path.insert(0, Refuse())
from pyswarmopt_llm.cli.app import main
main(sys.argv[1:])
"""
BAD = "bad.csv: 2 bad rows: line 3: no question; line 5: no question"
NEEDS_FILE = (
    "search --base b --experts x y --task bad.csv --out new",
    "search --base b --experts x y --task bad.csv --out new --dry-run",
    "eval --base b --task bad.csv",
    "compare --base b --experts x y --task bad.csv --out new",
    "train-expert --base b --loss options --data bad.csv --out new",
)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        *((words, BAD) for words in NEEDS_FILE),
        ("predict --run none t.csv --out new.csv", "none"),
        ("predict --run run t.csv --out t.csv", "t.csv"),
        ("predict --run run t.csv --out none/new.csv", "none"),
        ("predict --run run none.csv --out new.csv", "none.csv"),
        ("eval --base base --adapter none --task t.csv", "none"),
        ("eval --run none", "none"),
        ("generate --run none Hello", "none"),
        ("search --base base --experts base none --task t.csv --out new", "none"),
        ("search --base base --experts base base --task t.csv --out run", "run"),
        ("distill --base base --members base base --task t.csv --out run", "run"),
        ("train-expert --base base --data t.csv --out run", "run"),
    ],
)
def test_a_wrong_place_or_file_needs_no_torch(words: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\na,x\nb,y\n")
    (tmp_path / "bad.csv").write_text("text,label\na,x\n,y\nc,y\n,x\n")
    (tmp_path / "run" / "best").mkdir(parents=True)
    for name in ("run.json", "result.json"):
        (tmp_path / "run" / name).write_text("{}")
    (tmp_path / "base").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and wrong in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "words",
    [
        "search --base base --experts cut cut --task t.csv --out new",
        "compare --base base --experts cut cut --task t.csv --out new",
        "merge --base base --experts cut cut --out new",
        "ensemble --base base --members cut cut --task t.csv",
    ],
)
def test_a_truncated_adapter_needs_neither_transformers_nor_peft(
    words: str, tiny_experts: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("text,label\na,x\nb,y\n" * 6)
    (tmp_path / "base").mkdir()
    shutil.copytree(tiny_experts[0], tmp_path / "cut")
    weights = tmp_path / "cut" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    without = WITHOUT.replace('("torch",)', '("transformers", "peft")')
    done = subprocess.run(
        [sys.executable, "-c", without, *words.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "adapter_model.safetensors" in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ") and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "words",
    [
        "search --base base --experts base base --task t.csv --out new",
        "search --base base --experts base base --task t.csv --out new --dry-run",
        "resume run",
        "demo --quick --out new",
        "predict --run run t.csv --out new.csv",
        "eval --base base --task t.csv",
        "train-expert --base base --data t.csv --out new",
        "compare --base base --experts base base --task t.csv --out new",
        "ensemble --base base --members base base --task t.csv",
    ],
)
def test_a_log_has_a_line_before_torch_is_imported(words: str, tmp_path: Path) -> None:
    rows = "".join(f"text {i},{'xy'[i % 2]}\n" for i in range(12))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}")
    (tmp_path / "base").mkdir()
    (tmp_path / "run" / "best").mkdir(parents=True)
    for name in ("run.json", "result.json"):
        (tmp_path / "run" / name).write_text("{}")
    for quiet in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, *words.split(), *["--quiet"] * quiet],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert "torch is imported" in done.stderr, done.stderr
        assert done.stderr.startswith("loading libraries\n") != quiet
