"""What people wait for, idle and on a busy machine, as ratios measured in one run.

    python benchmarks/waiting.py [--demo=--token] [--repeats 3]

Each command runs alone, then beside a program on every core; the medians of its CPU and wall seconds
are printed, idle ones divided by those of `import torch`. Where threads wait for each other, a busy
machine takes much more CPU. `--demo` adds `swarm-llm demo` with these options: minutes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

SEARCH = (
    "import pyswarmopt as pso; "
    "pso.minimize(lambda x: float((x * x).sum()), [(-5, 4)] * 20, max_evals=200, seed=0)"
)
PYTHON = [sys.executable, "-c"]
SWARM_LLM = [str(Path(sys.executable).with_name("swarm-llm"))]
WRONG = "search --base nowhere --experts nowhere --task builtin:requests --out nowhere/run"
COMMANDS = {
    "import torch": [*PYTHON, "import torch"],
    "a wrong argument": [*SWARM_LLM, *WRONG.split()],
    "minimize, 20-D, 200 calls": [*PYTHON, SEARCH],
    "the same with one thread": ["env", "OMP_NUM_THREADS=1", *PYTHON, SEARCH],
}


def timed(command: list[str]) -> list[float]:
    """CPU and wall seconds of a command, in a folder of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall]


@contextmanager
def busy() -> Iterator[None]:
    """A program on every core."""
    programs = [subprocess.Popen([*PYTHON, "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def main() -> None:
    """Run every command and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", help="options of swarm-llm demo, which is run as well")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)
    commands = dict(COMMANDS)
    if given.demo is not None:
        commands["swarm-llm demo"] = [*SWARM_LLM, "demo", *shlex.split(given.demo)]
    print("| | CPU | wall | CPU, busy / idle | wall, busy / idle |\n|---|---:|---:|---:|---:|")
    unit = np.array([])
    for name, command in commands.items():
        idle = np.median([timed(command) for _ in range(given.repeats)], axis=0)
        with busy():
            loaded = np.median([timed(command) for _ in range(given.repeats)], axis=0)
        unit = unit if unit.size else idle
        cells = [f"{cell:.2f}" for cell in (*(idle / unit), *(loaded / idle))]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
