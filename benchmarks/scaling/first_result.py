"""What the first result costs: a fresh process that imports the optimiser and minimises a 10-D
sphere in 2,000 calls.

    python benchmarks/scaling/first_result.py [--calls 2000] [--turns 5]

`minimize` and SciPy's `differential_evolution`, each in processes of their own that take turns, so
that a busy neighbour disturbs both alike: median seconds from the start of the process to its end,
by the clock on the wall and by the CPU's, and their ratio. One thread each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
DIM = 10
SPHERE = "def sphere(x): return float((x**2).sum())\n"
SCRIPTS = {
    "minimize": SPHERE
    + """
import pyswarmopt as pso
r = pso.minimize(sphere, [(-5, 5)] * {dim}, max_evals={calls}, seed=1)
""",
    # A population of 10 D, which is evaluated once before the first generation.
    "differential_evolution": SPHERE
    + """
from scipy.optimize import differential_evolution
r = differential_evolution(
    sphere, [(-5, 5)] * {dim}, popsize=10, maxiter={calls} // (10 * {dim}) - 1, tol=0, polish=False, rng=1
)
""",
}


def seconds(script: str) -> tuple[float, float]:
    """Wall and CPU seconds from the start of a process that runs it to its end."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", script])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"a process failed with status {status}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    scripts = {name: script.format(dim=DIM, calls=given.calls) for name, script in SCRIPTS.items()}
    for script in scripts.values():  # bytecode and pages are there when it counts
        subprocess.run(
            [sys.executable, "-c", f"{script}\nassert r.nfev == {given.calls}, r.nfev"], check=True
        )
    turns = [
        {name: seconds(script) for name, script in scripts.items()} for _ in range(given.turns)
    ]
    for k, clock in enumerate(("wall", "CPU")):
        medians = [statistics.median(turn[name][k] for turn in turns) for name in scripts]
        for name, median in zip(scripts, medians, strict=True):
            print(
                f"{clock:4}  {name:24} {median:.2f} s  "
                f"({', '.join(f'{turn[name][k]:.2f}' for turn in turns)})"
            )
        print(f"{clock:4}  ratio of the medians     {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
