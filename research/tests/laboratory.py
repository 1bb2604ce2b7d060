"""The scripts of the laboratory, which import each other by name."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESEARCH = ROOT / "research"
BENCHMARKS = RESEARCH / "benchmarks"
FOLDERS = [RESEARCH / "tools", BENCHMARKS, *filter(Path.is_dir, BENCHMARKS.iterdir())]
PLACES = [*map(str, FOLDERS), str(ROOT / "benchmarks" / "bbob")]
REMOVED = ("68774130", "77503a22", "acc6d752")  # the commits that have what was deleted since
sys.path += PLACES  # for what a script imports when a function of it is called


def script(name: str) -> Any:
    """The script of that name, as a module."""
    before = list(sys.path)
    sys.path[:0] = PLACES
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before


@cache
def removed() -> dict[str, set[str]]:
    """Of each of these commits the files of `research` that are no longer here; of none where the
    repository came without its history.
    """
    found = {}
    for commit in REMOVED:
        command = ["git", "ls-tree", "-r", "--name-only", commit, "research"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        found[commit] = {name for name in listed.stdout.split() if not (ROOT / name).exists()}
    return found
