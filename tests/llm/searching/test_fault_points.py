"""A sample of the fault points of searches and resumes, deaths among
them; `helpers/fault_points.py` goes through them all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "fault_points.py"
HERE = ("labels", "score+resume")
SERVED = ("served+resume",)  # nothing is trained: a case takes 0.7 s of CPU


KILLED = ("labels+resume", "workers")


@pytest.mark.parametrize(
    ("searches", "cases", "more"),
    [(HERE, 2, ()), (SERVED, 10, ()), (KILLED, 4, ("--fault", "death"))],
    ids=["here", "served", "killed"],
)
def test_each_fault_is_one_line_and_the_resumed_run_the_same(
    searches: tuple[str, ...], cases: int, more: tuple[str, ...], tmp_path: Path
) -> None:
    """`cases` of each search, half of them of the engine or the server."""
    words = [sys.executable, str(SCRIPT), str(tmp_path), *searches, "--sample", str(cases), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [len(file.read_text().splitlines()) for file in tmp_path.glob("*.jsonl")]
    assert found == [cases] * len(searches)
