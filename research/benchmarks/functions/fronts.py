"""Fronts of two objectives: `minimize_multi` beside NSGA-II and TPE of optuna.

    python research/benchmarks/functions/fronts.py --out research/evidence/fronts.jsonl
    python research/benchmarks/functions/fronts.py --out research/evidence/fronts.jsonl --table

The outcome is the hypervolume of the feasible points seen, as a share of the box between the two
corners that a problem states, after 200 and after 1,000 calls, each a run of its own. A call gives
objectives and constraints, and a point that breaks a constraint counts. The rule of the search was
chosen on `CHOSEN`; nothing was chosen on `CLAIMED`, which were written down before the first run.
NSGA-II has 20 members with 200 calls and 50 (optuna's default) with 1,000. A run that is in the file
is not made again.

Three more that were chosen on, zdt4, fonseca and dtlz2, are in commit e556495b.

Sources: zdt: Zitzler, Deb & Thiele 2000 (Evol. Comput. 8(2)); kursawe: Kursawe 1991; osy: Osyczka &
Kundu 1995; four bars: Cheng & Li 1999; disc brake: Ray & Liew 2002. The heat sink is a textbook formula
with numbers of ours.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from resumed import arguments, medians, outcomes, rules, sampled
from simulations import some_point

import pyswarmopt as pso

Floats = npt.NDArray[np.float64]
BUDGETS = (200, 1000)
SOLVERS = ("minimize_multi", "NSGA-II", "TPE")
MEMBERS = {200: 20, 1000: 50}  # of NSGA-II


@dataclass(frozen=True)
class Problem:
    """Parameters by name, two objectives with the constraints (at most 0), and the corners between
    which the hypervolume is measured: a point that is better than all, and one that is worse than
    what counts.
    """

    space: dict[str, Any]
    fun: Callable[..., tuple[list[float], list[float]]]
    corners: tuple[tuple[float, float], tuple[float, float]]


def _box(dim: int, low: float, high: float) -> dict[str, tuple[float, float]]:
    return {f"x{i}": (low, high) for i in range(dim)}


# ---- chosen on ----


def zdt1(**p):
    x = list(p.values())
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    return [x[0], g * (1 - math.sqrt(x[0] / g))], []


PLATES = {"aluminium": (167.0, 2.70, 4.0), "copper": (385.0, 8.96, 9.0), "steel": (50.0, 7.85, 1.5)}


def heat_sink(fins, height, thick, speed, metal):
    conductivity, density, price = PLATES[metal]
    film = 10 * math.sqrt(speed)
    m = math.sqrt(2 * film / (conductivity * thick * 1e-3))
    efficiency = math.tanh(m * height * 1e-3) / (m * height * 1e-3)
    area = fins * 2 * height * 0.1 * 1e-3 * efficiency + 0.01
    warmth = 20 / (film * area)
    mass = density * (fins * height * thick * 0.1 + 500) * 1e-3
    gap = (100 - fins * thick) / (fins - 1)
    fan = 0.02 * speed**3 * (1 + 30 / max(gap, 0.1))
    return [warmth, mass * price + fan], [1 - gap / 1.5, fan / 12 - 1]


SINK = {
    "fins": pso.integer(5, 40), "height": (10.0, 60.0), "thick": pso.ordered([0.5, 0.8, 1.0, 1.5, 2.0, 3.0]),
    "speed": (0.5, 6.0), "metal": list(PLATES),
}  # fmt: skip

CHOSEN = {
    "zdt1": Problem(_box(8, 0, 1), zdt1, ((0, 0), (1.1, 5))),
    "heat sink": Problem(SINK, heat_sink, ((0, 0), (40, 60))),
}  # fmt: skip

# ---- claimed ----


def zdt3(**p):
    x = list(p.values())
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    share = x[0] / g
    return [x[0], g * (1 - math.sqrt(share) - share * math.sin(10 * math.pi * x[0]))], []


def kursawe(**p):
    x = list(p.values())
    first = sum(-10 * math.exp(-0.2 * math.hypot(a, b)) for a, b in itertools.pairwise(x))
    return [first, sum(abs(y) ** 0.8 + 5 * math.sin(y**3) for y in x)], []


def four_bars(a, b, c, d):
    load, modulus, length = 10.0, 2e5, 200.0
    volume = length * (2 * a + math.sqrt(2) * b + math.sqrt(c) + d)
    sag = load * length / modulus * (2 / a + 2 * math.sqrt(2) / b - 2 * math.sqrt(2) / c + 2 / d)
    return [volume, sag], []


def disc_brake(inner, outer, force, plates):
    area = outer**2 - inner**2
    cubes = outer**3 - inner**3
    mass = 4.9e-5 * area * (plates - 1)
    time = 9.82e6 * area / (force * plates * cubes)
    pressure = force / (3.14 * area)
    heat = 2.22e-3 * force * cubes / area**2
    torque = 2.66e-2 * force * plates * cubes / area
    rules = [(20 - outer + inner) / 20, pressure / 0.4 - 1, heat - 1, 1 - torque / 900]
    return [mass, time], rules


def osy(a, b, c, d, e, f):
    first = -(25 * (a - 2) ** 2 + (b - 2) ** 2 + (c - 1) ** 2 + (d - 4) ** 2 + (e - 1) ** 2)
    rules = [
        2 - a - b,
        a + b - 6,
        b - a - 2,
        a - 3 * b - 2,
        (c - 3) ** 2 + d - 4,
        4 - (e - 3) ** 2 - f,
    ]
    return [first, a * a + b * b + c * c + d * d + e * e + f * f], rules


ROOT = math.sqrt(2)
BARS = {"a": (1.0, 3.0), "b": (ROOT, 3.0), "c": (ROOT, 3.0), "d": (1.0, 3.0)}
BRAKE = {
    "inner": (55.0, 80.0), "outer": (75.0, 110.0), "force": (1000.0, 3000.0), "plates": pso.integer(2, 20),
}  # fmt: skip
OSY = {
    "a": (0.0, 10.0), "b": (0.0, 10.0), "c": (1.0, 5.0), "d": (0.0, 6.0), "e": (1.0, 5.0), "f": (0.0, 10.0),
}  # fmt: skip

CLAIMED = {
    "zdt3": Problem(_box(8, 0, 1), zdt3, ((0, -1), (1.1, 5))),
    "kursawe": Problem(_box(3, -5, 5), kursawe, ((-20, -12), (-14, 1))),
    "four bars": Problem(BARS, four_bars, ((1200, 0), (3000, 0.05))),
    "disc brake": Problem(BRAKE, disc_brake, ((0, 2), (3, 20))),
    "osy": Problem(OSY, osy, ((-280, 0), (0, 90))),
}
PROBLEMS = {"chosen": CHOSEN, "claimed": CLAIMED, "all": CHOSEN | CLAIMED}


class Watched:
    """What a solver calls; it keeps the objectives of feasible points."""

    def __init__(self, problem: Problem) -> None:
        self._fun = problem.fun
        self._last: tuple[Any, Any] = (None, None)
        self.feasible: list[list[float]] = []

    def both(self, **p: Any) -> tuple[list[float], list[float]]:
        """Objectives and constraints in one call; the latest point is known."""
        key = tuple(p.values())
        if key != self._last[0]:
            values, rules = self._fun(**p)
            self._last = key, (values, rules)
            if all(rule <= 0 for rule in rules):
                self.feasible.append(values)
        return self._last[1]


def run(budget: int, problem: str, solver: str, seed: int) -> float:
    """Share of the hypervolume."""
    given = PROBLEMS["all"][problem]
    watched = Watched(given)
    if solver == "minimize_multi":
        _ours(given, watched, budget, seed)
    else:
        _optuna(given, watched, budget, seed, solver)
    ideal, reference = map(np.array, given.corners)
    if not watched.feasible:
        return 0.0
    return float(pso.pareto.hypervolume(watched.feasible, reference) / np.prod(reference - ideal))


def _ours(given: Problem, watched: Watched, budget: int, seed: int) -> None:
    count = len(given.fun(**some_point(given.space))[1])
    constraints = [lambda i=i, **p: watched.both(**p)[1][i] for i in range(count)]
    pso.minimize_multi(
        lambda **p: watched.both(**p)[0], space=given.space, constraints=constraints or None,
        max_evals=budget, seed=seed,
    )  # fmt: skip


def _optuna(given: Problem, watched: Watched, budget: int, seed: int, solver: str) -> None:
    from optuna.samplers import NSGAIISampler, TPESampler

    options: dict[str, Any] = {"seed": seed, "constraints_func": rules}
    if solver == "TPE":
        sampler: Any = TPESampler(**options)
    else:
        sampler = NSGAIISampler(population_size=MEMBERS[budget], **options)
    sampled(watched.both, given.space, sampler, budget, objectives=2)


def main() -> None:
    parser = arguments(__doc__, seeds=3)
    parser.add_argument("--problems", choices=PROBLEMS, default="all")
    parser.add_argument("--budgets", nargs="+", type=int, choices=BUDGETS, default=BUDGETS)
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=SOLVERS)
    args = parser.parse_args()
    seeds = range(0 if args.table else args.seeds)
    wanted = itertools.product(args.budgets, seeds, PROBLEMS[args.problems], args.solvers)
    rows = outcomes(args.out, ("budget", "seed", "problem", "solver"), wanted, "share", run)
    print(medians(rows, "problem", ("budget", "solver"), "share"))


if __name__ == "__main__":
    main()
