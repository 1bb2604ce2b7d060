"""What one iteration of a swarm costs beside the objective: ours, the peers that can be imported,
and the bound.

    python benchmarks/speed.py [--dims 2,10,100,10000,1000000] [--population 20] [--out \\
        FILE.md]

All live in one process and take turns, so that a busy neighbour disturbs all alike, and CPU time is
counted. A cell is the fastest turn and, in brackets, how many times the bound that is: five passes
(read x, v, p; write x, v) over N x D float32 at the bandwidth of a copy of that size, measured in
the same turns. The sphere's own time is taken off. A second table divides ours by the peers. Peers:
pip install pyswarms pygmo evox nevergrad (those that are missing are left out).
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch

import pyswarmopt as pso

LOW, HIGH = -5.0, 5.0
Run = Callable[[int], None]  # does so many iterations


class Sphere:
    """The objective; it counts the CPU seconds that it takes itself."""

    def __init__(self) -> None:
        self.seconds = 0.0
        # what asking for it costs
        self.clock = min(timeit.repeat(time.process_time, number=1000, repeat=20)) / 1000

    def rows(self, x: Any) -> Any:
        """(N, D) NumPy or torch -> (N,), without a temporary of that size."""
        start = time.process_time()
        values = torch.linalg.vecdot(x, x) if isinstance(x, torch.Tensor) else np.vecdot(x, x)
        self.seconds += time.process_time() - start + self.clock
        return values

    def one(self, x: Any) -> float:
        """(D,) -> value."""
        start = time.process_time()
        value = float(np.dot(x, x))
        self.seconds += time.process_time() - start + self.clock
        return value


def bound(n: int, dim: int, f: Sphere) -> Run:
    """One iteration of this is five passes: two and a half copies."""
    size = max(n * dim, 2**18)
    a, b = torch.ones(size), torch.zeros(size)

    def run(k: int) -> None:
        for _ in range(k):
            b.copy_(a)

    return run


def ours(
    recipe: pso.Recipe, dtype: torch.dtype, n: int, dim: int, f: Sphere, held: bool = True
) -> Run:
    """A loop that holds on to the former positions while it asks for new ones, as most do, or lets
    them go.
    """
    swarm = pso.Swarm(dim, n, (LOW, HIGH), recipe=recipe, dtype=dtype, seed=0)

    def run(k: int) -> None:
        for _ in range(k):
            x = swarm.ask()
            swarm.tell(x, f.rows(x))
            if not held:
                del x

    return run


def plain_numpy(n: int, dim: int, f: Sphere) -> Run:
    """The loop that a reader would write, global best, a random number per coordinate."""
    rng = np.random.default_rng(0)
    x, v = rng.uniform(LOW, HIGH, (n, dim)), np.zeros((n, dim))
    p, fp = x.copy(), np.full(n, np.inf)

    def run(k: int) -> None:
        nonlocal x, v
        for _ in range(k):
            fx = f.rows(x)
            better = fx < fp
            p[better], fp[better] = x[better], fx[better]
            g = p[fp.argmin()]
            v = 0.7298 * v + 1.49618 * (
                rng.random((n, dim)) * (p - x) + rng.random((n, dim)) * (g - x)
            )
            x = np.clip(x + v, LOW, HIGH)

    return run


def pyswarms(n: int, dim: int, f: Sphere) -> Run:
    from pyswarms.single import GlobalBestPSO

    bounds = np.full(dim, LOW), np.full(dim, HIGH)
    optimizer = GlobalBestPSO(n, dim, {"w": 0.7298, "c1": 1.49618, "c2": 1.49618}, bounds=bounds)

    def run(k: int) -> None:
        optimizer.optimize(f.rows, iters=k, verbose=False)
        optimizer.pos_history, optimizer.velocity_history = [], []  # it keeps every x and v

    return run


def pagmo(n: int, dim: int, f: Sphere) -> Run:
    import pygmo

    class Problem:
        def fitness(self, x: Any) -> list[float]:
            return [f.one(x)]

        def get_bounds(self) -> tuple[list[float], list[float]]:
            return [LOW] * dim, [HIGH] * dim

    population = pygmo.population(pygmo.problem(Problem()), n, seed=0)

    def run(k: int) -> None:
        nonlocal population
        population = pygmo.algorithm(pygmo.pso(gen=k, memory=True, seed=0)).evolve(population)

    return run


def evox(n: int, dim: int, f: Sphere) -> Run:
    from evox import algorithms, core, workflows

    class Problem(core.Problem):
        def evaluate(self, x: Any) -> Any:
            return f.rows(x)

    low = torch.full((dim,), LOW)
    workflow = workflows.StdWorkflow(algorithms.PSO(n, low, -low), Problem())
    workflow.init_step()

    def run(k: int) -> None:
        for _ in range(k):
            workflow.step()

    return run


def nevergrad(n: int, dim: int, f: Sphere) -> Run:
    import nevergrad as ng

    space = ng.p.Array(shape=(dim,), lower=LOW, upper=HIGH)
    optimizer = ng.optimizers.ConfPSO(popsize=n)(space, budget=10**9)

    def run(k: int) -> None:
        for _ in range(k * n):
            candidate = optimizer.ask()
            optimizer.tell(candidate, f.one(candidate.value))

    return run


def contenders() -> dict[str, Callable[[int, int, Sphere], Run]]:
    made: dict[str, Callable[[int, int, Sphere], Run]] = {"bound": bound}
    scalar = pso.compose(
        [pso.inertia(0.73), pso.cognitive(1.5, "scalar"), pso.social(1.5, "scalar")],
        name="scalar factors",
    )
    recipes = {
        "constriction": pso.recipes.constriction(),
        "scalar": scalar,
        "Model Swarms": pso.recipes.model_swarms(),
    }
    for name, recipe in recipes.items():
        for dtype in (torch.float64, torch.float32):
            label = f"ours, {name}, {str(dtype).removeprefix('torch.')}"
            made[label] = lambda n, dim, f, recipe=recipe, dtype=dtype: ours(
                recipe, dtype, n, dim, f
            )
    for name in ("scalar", "Model Swarms"):
        recipe = recipes[name]
        made[f"ours, {name}, float32, positions let go"] = lambda n, dim, f, recipe=recipe: ours(
            recipe, torch.float32, n, dim, f, held=False
        )
    return made | {
        "plain NumPy": plain_numpy,
        "pyswarms": pyswarms,
        "pagmo": pagmo,
        "EvoX": evox,
        "nevergrad": nevergrad,
    }


def seconds(run: Run, f: Sphere, k: int) -> float:
    """CPU seconds of an iteration, those of the sphere taken off."""
    f.seconds, start = 0.0, time.process_time()
    run(k)
    return (time.process_time() - start - f.seconds) / k


def measure(n: int, dim: int, turns: int, turn_seconds: float) -> dict[str, float]:
    """Fastest turn of each contender, in seconds an iteration."""
    f, runs, lengths = Sphere(), {}, {}
    for name, make in contenders().items():
        try:
            runs[name] = make(n, dim, f)
        except ImportError:
            continue
        runs[name](2)
        once = max(seconds(runs[name], f, 3), 1e-7)
        lengths[name] = max(3, min(1000, int(turn_seconds / once)))
    fastest = dict.fromkeys(runs, float("inf"))
    for turn in range(turns):
        order = list(runs)[turn % len(runs) :] + list(runs)[: turn % len(runs)]
        for name in order:
            fastest[name] = min(fastest[name], seconds(runs[name], f, lengths[name]))
    fastest["bound"] *= 2.5 * n * dim / max(n * dim, 2**18)
    return fastest


def peak_memory(n: int, dim: int, held: bool) -> float:
    """Highest resident size in a loop of Model Swarms, beyond that before it, as a multiple of x, v
    and p.

    Args:
        n: particles.
        dim: coordinates.
        held: whether the loop holds on to the former positions while it asks for new ones.
    """

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, peak = resident(), 0
    swarm = pso.Swarm(dim, n, (LOW, HIGH), recipe="model_swarms", dtype=torch.float32, seed=0)
    f = Sphere()
    for _ in range(6):
        x = swarm.ask()
        swarm.tell(x, f.rows(x))
        peak = max(peak, resident())
        if not held:
            del x
    return (peak - before) / (3 * n * dim * 4)


def human(value: float) -> str:
    return f"{value * 1e6:.3g} us" if value < 1e-3 else f"{value * 1e3:.3g} ms"


def table(results: dict[int, dict[str, float]]) -> str:
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    lines = [
        "| | " + " | ".join(f"D = {dim:,}" for dim in results) + " |",
        "|---" * (len(results) + 1) + "|",
    ]
    for name in names:
        cells = [
            f"{human(found[name])} ({found[name] / found['bound']:.3g})" if name in found else ""
            for found in results.values()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratios(results: dict[int, dict[str, float]]) -> str:
    """Ours over pagmo and over the fastest of the other packages."""
    lines = [
        "| over pagmo, over the fastest Python peer | "
        + " | ".join(f"D = {dim:,}" for dim in results)
        + " |"
    ]
    lines.append("|---" * (len(results) + 1) + "|")
    for name in (name for name in next(iter(results.values())) if name.startswith("ours")):
        cells = []
        for found in results.values():
            python = min(
                (found[peer] for peer in ("pyswarms", "EvoX", "nevergrad") if peer in found),
                default=math.nan,
            )
            cells.append(
                f"{found[name] / found.get('pagmo', math.nan):.2f}, {found[name] / python:.2f}"
            )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dims", default="2,10,100,10000,1000000")
    parser.add_argument("--population", type=int, default=20)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--turn-seconds", type=float, default=0.02)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = None if options.out is None else options.out.resolve()
    os.chdir(tempfile.mkdtemp())  # pyswarms writes a log where it runs
    torch.set_num_threads(1)
    dims = [int(dim) for dim in options.dims.split(",")]
    # loads what is loaded on use
    ours(pso.recipes.model_swarms(), torch.float32, 4, 2**17, Sphere())(2)
    memory = [peak_memory(options.population, max(dims), held) for held in (False, True)]
    results = {
        dim: measure(options.population, dim, options.turns, options.turn_seconds) for dim in dims
    }
    text = (
        f"N = {options.population}, torch {torch.__version__}, NumPy {np.__version__}, one "
        "thread.\n\n"
    )
    text += f"{table(results)}\n\n{ratios(results)}\n\n"
    text += f"Peak memory of Model Swarms at D = {max(dims):,}: {memory[0]:.2f} times x, v and p; "
    text += f"{memory[1]:.2f} if the former positions are held while new ones are asked for.\n"
    if out is not None:
        out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
