"""A sample of the fault points of searches and resumes, deaths among
them; `helpers/fault_points.py` goes through them all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "helpers" / "fault_points.py"
# how many faults of each, half of them of the engine
CASES = {"score+resume": 4, "labels+resume": 3}
DEATHS = ("labels+resume",)


def test_each_fault_is_one_line_and_the_resumed_run_the_same(tmp_path: Path) -> None:
    """In one process: most of the time would go into importing and loading once more."""
    searches = [f"{name}:{count}{':death' * (name in DEATHS)}" for name, count in CASES.items()]
    words = [sys.executable, str(SCRIPT), str(tmp_path), *searches]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {file.stem: len(file.read_text().splitlines()) for file in tmp_path.glob("*.jsonl")}
    assert found == CASES
