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
REMOVED = "68774130"  # the commit that has the scripts, tests and writers that were deleted
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
def removed() -> frozenset[str]:
    """The files of `research` that are in the commit `REMOVED` and no longer here; none are known
    where the repository came without its history.
    """
    command = ["git", "ls-tree", "-r", "--name-only", REMOVED, "research"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return frozenset(name for name in listed.stdout.split() if not (ROOT / name).exists())
