"""The main road needs no side room: a default search runs in a copy of the package without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from search_helpers import questions, write_task

import pyswarmopt
import pyswarmopt_llm

CODE = (
    "import json, sys; from pyswarmopt_llm import SearchConfig, search; "
    "search(SearchConfig(**json.loads(sys.argv[1]))); "
    "print('FROM', sys.modules['pyswarmopt_llm'].__file__)"
)


@pytest.mark.parametrize("room", ["tokens", "servers", "tools", "published"])
def test_a_search_runs_without_a_side_room(
    room: str, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    house = tmp_path / "house"
    for package in (pyswarmopt, pyswarmopt_llm):
        source = Path(package.__file__).parent
        shutil.copytree(source, house / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(house / "pyswarmopt_llm" / room)
    task = write_task(tmp_path / "t.json", questions(40, 1), questions(4, 2))
    config = {"base": str(tiny_base), "experts": [*map(str, tiny_experts)], "tasks": [str(task)]}
    config |= {"out": str(tmp_path / "run"), "threads": 1}
    process = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(config)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(house)},
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith(f"FROM {house / 'pyswarmopt_llm' / '__init__.py'}\n")
    for file in ("result.json", "report.html", "best/README.md"):
        assert (tmp_path / "run" / file).is_file()
