"""Problems that nothing was chosen on, drawn by kind and seed, and every optimiser with few calls.

    python research/benchmarks/functions/drawn.py --out research/evidence/drawn.jsonl
    python research/benchmarks/functions/drawn.py --out ... --solvers pyswarmopt,optuna-tpe

Landscapes are components of the generator GNBG (Yazdani et al. 2023, arXiv 2312.07083), in
coordinates that are stretched and moved one by one: one basin, ruggedness, a narrow basin that is
the best among wide ones, plateaus, whole numbers with labels, and noise. `KINDS` has the six of
them, each with `NUMBERS` problems; the seed of a problem is its kind and number. Nothing in the
package was chosen on these, and they were looked at once. Peers need cma, cmaes, nevergrad and
optuna; a line of the file is one run, and what is there is not run again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bbob"))
from small_budgets import KNOW_THEIR_BUDGET, run
from small_budgets_problems import Problem, Range
from small_budgets_solvers import package

Floats = npt.NDArray[np.float64]
KINDS = ("one basin", "rugged", "deceptive", "plateaus", "whole and labels", "noise")
NUMBERS = range(6)
BUDGETS = (50, 200)
HALF = 5.0  # coordinates of a landscape go from -HALF to HALF
SOLVERS = "pyswarmopt,random,scipy-de,cma-es,lq-cma-es,catcma,optuna-tpe,ngopt"


@dataclass(frozen=True)
class Component:
    """One basin: ``sigma + (T(R (u - m))' H T(R (u - m)))^lambda`` (equation 1 of the paper).

    Attributes:
        lowest: sigma, its value at the centre.
        centre: m, (D,).
        rotation: R, (D, D).
        curvatures: the diagonal of H, (D,).
        power: lambda; 1 is a parabola, 1/2 a cone.
        depths: mu_1 for positive and mu_2 for negative numbers, of the waves of T.
        waves: omega_1 and omega_2 for positive, omega_3 and omega_4 for negative numbers.
    """

    lowest: float
    centre: Floats
    rotation: Floats
    curvatures: Floats
    power: float
    depths: tuple[float, float] = (0.0, 0.0)
    waves: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __call__(self, u: Floats) -> float:
        z = transformed(self.rotation @ (u - self.centre), self.depths, self.waves)
        return self.lowest + float(self.curvatures @ z**2) ** self.power


def transformed(a: Floats, depths: tuple[float, ...], waves: tuple[float, ...]) -> Floats:
    """T, (D,) -> (D,): ``sign(a) exp(log|a| + mu (sin(omega log|a|) + sin(omega' log|a|)))``
    (equation 2 of the paper).
    """
    logs = np.log(np.where(a == 0, 1.0, np.abs(a)))
    mu = np.where(a > 0, depths[0], depths[1])
    first, second = np.where(a > 0, waves[0], waves[2]), np.where(a > 0, waves[1], waves[3])
    return np.sign(a) * np.exp(logs + mu * (np.sin(first * logs) + np.sin(second * logs)))


def drawn(kind: str, number: int) -> tuple[Problem, list[Any]]:
    """A problem and the point where it is lowest: the centre of its first component."""
    rng = np.random.default_rng([2026, KINDS.index(kind), number])
    dim = int(rng.integers(2, 13))
    ranges = [_range(rng, kind, d) for d in range(dim)]
    reads = [_reader(rng, r) for r in ranges]
    components = _components(rng, kind, dim)
    best = _values(rng, ranges)
    components[0].centre[:] = [read(value) for read, value in zip(reads, best, strict=True)]
    scale, offset = 10 ** rng.uniform(-3, 3), 100 * rng.standard_normal()

    def truth(values: list[Any]) -> float:
        u = np.array([read(value) for read, value in zip(reads, values, strict=True)])
        height = min(component(u) for component in components)
        if kind == "plateaus":
            height = float(np.floor(6 * np.log10(1 + height)))
        return offset + scale * height

    noise = 0.0
    if kind == "noise":
        seen = [truth(_values(rng, ranges)) for _ in range(200)]
        noise = 0.05 * float(np.median(seen) - offset)
    return Problem(kind, number, f"{kind} {number}", tuple(ranges), truth, noise), best


def _range(rng: np.random.Generator, kind: str, d: int) -> Range:
    if kind == "whole and labels" and d % 3 == 1:
        return Range(0, int(rng.integers(4, 40)), whole=True)
    if kind == "whole and labels" and d % 3 == 2:
        return Range(options=tuple("abcde"[: int(rng.integers(2, 6))]))
    width, low = 10 ** rng.uniform(-2, 3), 10 * rng.standard_normal()
    return Range(low, low + width)


def _reader(rng: np.random.Generator, r: Range) -> Callable[[Any], float]:
    """From a parameter's value to a coordinate of the landscape; labels lie in a random order."""
    if r.options:
        places = rng.permutation(np.linspace(-HALF, HALF, len(r.options)))
        return lambda label: float(places[r.options.index(label)])
    return lambda value: (2 * (value - r.low) / (r.high - r.low) - 1) * HALF


def _values(rng: np.random.Generator, ranges: list[Range]) -> list[Any]:
    return [r.at(float(rng.uniform(0.05, 0.95))) for r in ranges]


def _components(rng: np.random.Generator, kind: str, dim: int) -> list[Component]:
    def turned() -> Floats:
        q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
        return q * np.sign(np.diag(r))

    def basin(lowest: float, condition: float, height: float, power: float, **waves: Any) -> Any:
        spread = height * 10 ** rng.permutation(np.linspace(0, condition, dim))
        centre = rng.uniform(-0.8 * HALF, 0.8 * HALF, dim)
        return Component(lowest, centre, turned(), spread, power, **waves)

    if kind == "deceptive":
        wide = [basin(rng.uniform(2, 6), 1, 0.05, 1.0) for _ in range(3)]
        return [basin(0.0, 1, 2.0, 1.0), *wide]
    power = float(rng.choice([0.25, 0.5, 1.0]))
    if kind == "rugged" or (kind in ("noise", "whole and labels") and rng.random() < 0.5):
        depths, waves = tuple(rng.uniform(0.2, 0.6, 2)), tuple(rng.uniform(5, 30, 4))
        return [basin(0.0, rng.uniform(0, 2), 1.0, power, depths=depths, waves=waves)]
    return [basin(0.0, rng.uniform(0, 5), 1.0, power)]


def measure(out: Path, solvers: list[str], seeds: int) -> None:
    """Run what the file does not have yet."""
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(row["kind"], row["number"], row["solver"], row["seed"]) for row in rows}
    with out.open("a", encoding="utf-8") as file:
        for seed, number, kind in ((s, n, k) for s in range(seeds) for n in NUMBERS for k in KINDS):
            for solver in solvers:
                if (kind, number, solver, seed) in done:
                    continue
                problem, _ = drawn(kind, number)
                # The others are run once, with the largest budget.
                spent = BUDGETS if solver in KNOW_THEIR_BUDGET else BUDGETS[-1:]
                found = {b: v for most in spent for b, v in run(solver, problem, most, seed).items()
                         if b == most or solver not in KNOW_THEIR_BUDGET}  # fmt: skip
                row = {"kind": kind, "number": number, "solver": solver, "seed": seed,
                       "package": package(solver),
                       "values": {b: float(f"{found[b]:.9g}") for b in BUDGETS}}  # fmt: skip
                file.write(json.dumps(row) + "\n")
                file.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--solvers", default=SOLVERS)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    measure(arguments.out, arguments.solvers.split(","), arguments.seeds)


if __name__ == "__main__":
    main()
