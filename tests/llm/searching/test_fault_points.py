"""A sample of the fault points of four searches and of three resumes; `helpers/fault_points.py` goes
through them all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "helpers" / "fault_points.py"
CASES = 6  # of each search and resume


def test_each_fault_is_one_line_and_the_resumed_run_the_same(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), str(tmp_path), "--sample", str(CASES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [len(file.read_text().splitlines()) for file in tmp_path.glob("*.jsonl")]
    assert cases == [CASES] * 7
