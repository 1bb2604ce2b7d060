"""What a search costs beside its objective: the first result of a fresh process, and a search in a
process that has begun.

    python research/benchmarks/scaling/first_result.py [--calls 2000] [--turns 5] [--dims 10,20]

`minimize` and SciPy's `differential_evolution` on Rosenbrock's function take turns, so that a busy
neighbour disturbs both alike. `fresh`: median seconds from the start of a process that imports the
optimiser and searches to its end, by the clock on the wall and by the CPU's. `warm`: CPU seconds of
the search alone, in one process, those of the objective taken off: the least of the turns. One
thread each; bytecode is written and read, as of installed packages.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from scipy.optimize import differential_evolution

import pyswarmopt as pso

OBJECTIVE = """
def rosenbrock(x):
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())
"""
SCRIPTS = {
    "minimize": """
import pyswarmopt as pso
r = pso.minimize(rosenbrock, [(-5, 5)] * {dim}, max_evals={calls}, seed=1)
""",
    # A population of 10 D, which is evaluated once before the first generation.
    "differential_evolution": """
from scipy.optimize import differential_evolution
generations = {calls} // (10 * {dim}) - 1
options = dict(popsize=10, maxiter=generations, tol=0, polish=False, rng=1)
r = differential_evolution(rosenbrock, [(-5, 5)] * {dim}, **options)
""",
}


def rosenbrock(x: np.ndarray) -> float:
    """(D,) -> value; `OBJECTIVE` for this process."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


# ---- a fresh process ----


def process_seconds(script: str, environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds from the start of a process that runs it to its end."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"a process failed with status {status}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def fresh(dim: int, calls: int, turns: int, folder: str) -> None:
    """Print what processes take; their bytecode is in a folder."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    here = str(Path(pso.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([here, environment.get("PYTHONPATH", "")])
    scripts = {
        name: OBJECTIVE + script.format(dim=dim, calls=calls) for name, script in SCRIPTS.items()
    }
    for script in scripts.values():  # bytecode and pages are there when it counts
        process_seconds(f"{script}\nassert r.nfev == {calls}, r.nfev", environment)
    rows = [
        {name: process_seconds(script, environment) for name, script in scripts.items()}
        for _ in range(turns)
    ]
    for k, clock in enumerate(("wall", "CPU")):
        times = {name: [row[name][k] for row in rows] for name in scripts}
        show(f"fresh, {clock}", dim, times, statistics.median)


# ---- a process that has begun ----


def warm(dim: int, calls: int, turns: int) -> None:
    """Print what searches take beyond the objective."""
    bounds = [(-5, 5)] * dim
    generations = calls // (10 * dim) - 1
    searches: dict[str, Callable[[], object]] = {
        "minimize": lambda: pso.minimize(rosenbrock, bounds, max_evals=calls, seed=1),
        "differential_evolution": lambda: differential_evolution(
            rosenbrock, bounds, popsize=10, maxiter=generations, tol=0, polish=False, rng=1
        ),
    }
    x = np.full(dim, 0.5)
    objective = calls * min(timeit.repeat(lambda: rosenbrock(x), number=100, repeat=20)) / 100
    times: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(turns + 1):
        for name, search in searches.items():
            begin = time.process_time()
            search()
            times[name].append(time.process_time() - begin - objective)
    show("warm, CPU", dim, {name: spent[1:] for name, spent in times.items()}, min)


def show(
    what: str, dim: int, times: dict[str, list[float]], of: Callable[[list[float]], float]
) -> None:
    """Print seconds of both, by name, and their ratio."""
    for name, seconds in times.items():
        turns = ", ".join(f"{s:.3f}" for s in seconds)
        print(f"{dim}-D  {what:11}  {name:24} {of(seconds):.3f} s  ({turns})")
    ratio = of(times["minimize"]) / of(times["differential_evolution"])
    print(f"{dim}-D  {what:11}  ratio                    {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--dims", default="10,20")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for dim in map(int, options.dims.split(",")):
            fresh(dim, options.calls, options.turns, folder)
            warm(dim, options.calls, options.turns)


if __name__ == "__main__":
    main()
