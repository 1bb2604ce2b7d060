"""Constraints and values with few digits: the default and pycma on twelve problems; runs up to
November 2026 also had the recipe `surrogate`, which is gone.

    python research/benchmarks/functions/few_digits_constrained.py --out research/evidence/few-digits-constrained.jsonl
    python research/benchmarks/functions/few_digits_constrained.py --out ... --table

Value and constraints come from one call, and are rounded to so many significant digits. The outcome is
the exact value, above the best known one, of the best point that is feasible by what was printed, after
`CALLS` calls; infinite where there is none. The excess counts from half a unit of the last digit of the
best value on. pycma gets a penalty of the value's median at random points times the sum of the
violations, each divided by its median. Seven problems are of CEC 2006 (Liang et al. 2006), three are
designs (Coello Coello & Mezura Montes 2002), two the exchangers of simulations.py. Nothing was chosen on
them in this form. A run that is in the file is not made again. Needs: pip install cma.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Any

import numpy as np
import simulations
from few_digits import Enough
from resumed import arguments, outcomes

import pyswarmopt as pso

CALLS = 200
KINDS = ("exact", "8", "6", "4")
SOLVERS = ("default", "surrogate", "pycma")
BEHIND = 1.25
Answer = tuple[float, list[float]]


@dataclass(frozen=True)
class Problem:
    """Value and constraints, at most 0, in a box, and the best value known; NaN where none is."""

    fun: Callable[[Any], Answer]
    bounds: Sequence[tuple[float, float]]
    best: float = math.nan


def _g04(x) -> Answer:
    a, b, c, d, e = x
    first = 85.334407 + 0.0056858 * b * e + 0.0006262 * a * d - 0.0022053 * c * e
    second = 80.51249 + 0.0071317 * b * e + 0.0029955 * a * b + 0.0021813 * c**2
    third = 9.300961 + 0.0047026 * c * e + 0.0012547 * a * c + 0.0019085 * c * d
    value = 5.3578547 * c**2 + 0.8356891 * a * e + 37.293239 * a - 40792.141
    return value, [first - 92, -first, second - 110, 90 - second, third - 25, 20 - third]


def _g06(x) -> Answer:
    a, b = x
    rules = [100 - (a - 5) ** 2 - (b - 5) ** 2, (a - 6) ** 2 + (b - 5) ** 2 - 82.81]
    return (a - 10) ** 3 + (b - 20) ** 3, rules


def _g07(x) -> Answer:
    a, b, c, d, e, f, g, h, i, j = x
    first = a**2 + b**2 + a * b - 14 * a - 16 * b + (c - 10) ** 2 + 4 * (d - 5) ** 2
    second = (e - 3) ** 2 + 2 * (f - 1) ** 2 + 5 * g**2 + 7 * (h - 11) ** 2
    return first + second + 2 * (i - 10) ** 2 + (j - 7) ** 2 + 45, [
        -105 + 4 * a + 5 * b - 3 * g + 9 * h, 10 * a - 8 * b - 17 * g + 2 * h,
        -8 * a + 2 * b + 5 * i - 2 * j - 12,
        3 * (a - 2) ** 2 + 4 * (b - 3) ** 2 + 2 * c**2 - 7 * d - 120,
        5 * a**2 + 8 * b + (c - 6) ** 2 - 2 * d - 40,
        a**2 + 2 * (b - 2) ** 2 - 2 * a * b + 14 * e - 6 * f,
        0.5 * (a - 8) ** 2 + 2 * (b - 4) ** 2 + 3 * e**2 - f - 30,
        -3 * a + 6 * b + 12 * (i - 8) ** 2 - 7 * j,
    ]  # fmt: skip


def _g08(x) -> Answer:
    a, b = x
    value = -(math.sin(2 * math.pi * a) ** 3) * math.sin(2 * math.pi * b) / (a**3 * (a + b))
    return value, [a**2 - b + 1, 1 - a + (b - 4) ** 2]


def _g09(x) -> Answer:
    a, b, c, d, e, f, g = x
    first = (a - 10) ** 2 + 5 * (b - 12) ** 2 + c**4 + 3 * (d - 11) ** 2 + 10 * e**6
    return first + 7 * f**2 + g**4 - 4 * f * g - 10 * f - 8 * g, [
        -127 + 2 * a**2 + 3 * b**4 + c + 4 * d**2 + 5 * e,
        -282 + 7 * a + 3 * b + 10 * c**2 + d - e,
        -196 + 23 * a + b**2 + 6 * f**2 - 8 * g,
        4 * a**2 + b**2 - 3 * a * b + 2 * c**2 + 5 * f - 11 * g,
    ]  # fmt: skip


def _g10(x) -> Answer:
    a, b, c, d, e, f, g, h = x
    return a + b + c, [
        -1 + 0.0025 * (d + f), -1 + 0.0025 * (e + g - d), -1 + 0.01 * (h - e),
        -a * f + 833.33252 * d + 100 * a - 83333.333, -b * g + 1250 * e + b * d - 1250 * d,
        -c * h + 1250000 + c * e - 2500 * e,
    ]  # fmt: skip


def _g24(x) -> Answer:
    a, b = x
    return -a - b, [
        -2 * a**4 + 8 * a**3 - 8 * a**2 + b - 2,
        -4 * a**4 + 32 * a**3 - 88 * a**2 + 96 * a + b - 36,
    ]


def _beam(x) -> Answer:
    h, weld, t, b = x
    load, length, young, shear = 6000.0, 14.0, 30e6, 12e6
    radius = sqrt(weld**2 / 4 + ((h + t) / 2) ** 2)
    direct = load / (sqrt(2) * h * weld)
    inertia = 2 * (sqrt(2) * h * weld * (weld**2 / 12 + ((h + t) / 2) ** 2))
    bending = load * (length + weld / 2) * radius / inertia
    tau = sqrt(direct**2 + direct * bending * weld / radius + bending**2)
    buckling = 4.013 * young * sqrt(t**2 * b**6 / 36) / length**2
    buckling *= 1 - t / (2 * length) * sqrt(young / (4 * shear))
    return 1.10471 * h**2 * weld + 0.04811 * t * b * (14 + weld), [
        tau - 13600, 6 * load * length / (b * t**2) - 30000, h - b,
        0.10471 * h**2 + 0.04811 * t * b * (14 + weld) - 5, 0.125 - h,
        4 * load * length**3 / (young * t**3 * b) - 0.25, load - buckling,
    ]  # fmt: skip


def _spring(x) -> Answer:
    d, coil, n = x
    bent = (4 * coil**2 - d * coil) / (12566 * (coil * d**3 - d**4)) + 1 / (5108 * d**2)
    rules = [1 - coil**3 * n / (71785 * d**4), bent - 1, 1 - 140.45 * d / (coil**2 * n)]
    return (n + 2) * coil * d**2, [*rules, (d + coil) / 1.5 - 1]


def _reducer(x) -> Answer:
    a, b, c, d, e, f, g = x
    faces = 0.7854 * a * b**2 * (3.3333 * c**2 + 14.9334 * c - 43.0934)
    shafts = 7.4777 * (f**3 + g**3) + 0.7854 * (d * f**2 + e * g**2)
    return faces - 1.508 * a * (f**2 + g**2) + shafts, [
        27 / (a * b**2 * c) - 1, 397.5 / (a * b**2 * c**2) - 1,
        1.93 * d**3 / (b * c * f**4) - 1, 1.93 * e**3 / (b * c * g**4) - 1,
        sqrt((745 * d / (b * c)) ** 2 + 16.9e6) / (110 * f**3) - 1,
        sqrt((745 * e / (b * c)) ** 2 + 157.5e6) / (85 * g**3) - 1,
        b * c / 40 - 1, 5 * b / a - 1, a / (12 * b) - 1, (1.5 * f + 1.9) / d - 1,
        (1.1 * g + 1.9) / e - 1,
    ]  # fmt: skip


def _exchanger(number: int) -> Problem:
    fun, bounds, _ = simulations.DRAWN[f"exchanger no. {number}"]
    return Problem(fun, bounds)


PROBLEMS = {
    "g04": Problem(_g04, [(78, 102), (33, 45), (27, 45), (27, 45), (27, 45)], -30665.53867),
    "g06": Problem(_g06, [(13, 100), (0, 100)], -6961.813876),
    "g07": Problem(_g07, [(-10, 10)] * 10, 24.30620907),
    "g08": Problem(_g08, [(0.01, 10), (0.01, 10)], -0.09582504),
    "g09": Problem(_g09, [(-10, 10)] * 7, 680.6300574),
    "g10": Problem(
        _g10, [(100, 10000), (1000, 10000), (1000, 10000), *[(10, 1000)] * 5], 7049.248021
    ),
    "g24": Problem(_g24, [(0, 3), (0, 4)], -5.508013271),
    "welded beam": Problem(_beam, [(0.1, 2), (0.1, 10), (0.1, 10), (0.1, 2)], 1.724852309),
    "spring": Problem(_spring, [(0.05, 2), (0.25, 1.3), (2, 15)], 0.0126652328),
    "speed reducer": Problem(
        _reducer,
        [(2.6, 3.6), (0.7, 0.8), (17, 28), (7.3, 8.3), (7.3, 8.3), (2.9, 3.9), (5.0, 5.5)],
        2994.471066,
    ),
    "exchanger no. 1": _exchanger(1),
    "exchanger no. 3": _exchanger(3),
}


class Watched:
    """What a solver calls; it keeps the exact value of the best point by what was printed."""

    def __init__(self, problem: str, kind: str) -> None:
        self._fun = PROBLEMS[problem].fun
        self._format = "%.17g" if kind == "exact" else f"%.{kind}g"
        self.calls, self.best, self.value = 0, math.inf, math.inf

    def __call__(self, x: Any) -> Answer:
        if self.calls >= CALLS:
            raise Enough
        self.calls += 1
        exact, rules = self._fun([float(a) for a in x])
        said = float(self._format % exact)
        printed = [float(self._format % rule) for rule in rules]
        if said < self.best and max(printed) <= 0:
            self.best, self.value = said, exact
        return said, printed


def run(problem: str, kind: str, solver: str, seed: int) -> float:
    """The exact value of the best point by what was printed."""
    watched = Watched(problem, kind)
    if solver == "pycma":
        _pycma(watched, problem, seed)
    else:
        recipe = None if solver == "default" else solver
        pso.minimize(
            watched, PROBLEMS[problem].bounds, recipe=recipe, constraints="returned",
            max_evals=CALLS, seed=seed,
        )  # fmt: skip
    return watched.value


def _pycma(watched: Watched, problem: str, seed: int) -> None:
    """pycma with a penalty in the unit box, from random points, again and again."""
    import cma

    random = np.random.default_rng(seed)
    low, high = np.array(PROBLEMS[problem].bounds).T
    points = low + random.random((200, len(low))) * (high - low)
    answers = [PROBLEMS[problem].fun(x) for x in points.tolist()]
    unit = np.median([abs(value) for value, _ in answers])
    units = np.median([np.abs(rules) for _, rules in answers], axis=0)

    def penalised(u: Any) -> float:
        value, rules = watched(low + np.clip(u, 0, 1) * (high - low))
        return float(value + unit * (np.maximum(rules, 0) / units).sum())

    options: dict[str, Any] = {"bounds": [0, 1], "verbose": -9}
    try:
        while True:
            options["seed"] = int(random.integers(1, 2**31))
            cma.fmin2(penalised, random.uniform(0.2, 0.8, len(low)), 0.25, options)
    except Enough:
        return


def table(rows: list[dict[str, Any]]) -> str:
    """For each kind, the default's median excess by the better of the others'."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["problem"], row["kind"], row["solver"]), []).append(row["value"])
    lines = ["| values | mean ratio | above 1.25 | where |", "|---|---:|---:|---|"]
    for kind in KINDS:
        ratios = {name: _ratio(name, kind, found) for name in PROBLEMS}
        logs = [math.log(min(max(ratio, 1e-9), 1e9)) for ratio in ratios.values()]
        behind = [f"{name} {ratio:.3g}" for name, ratio in ratios.items() if ratio > BEHIND]
        mean = math.exp(sum(logs) / len(logs))
        lines.append(f"| {kind} | {mean:.2g} | {len(behind)} of 12 | {', '.join(behind)} |")
    return "\n".join(lines)


def _ratio(name: str, kind: str, found: dict[tuple[str, str, str], list[float]]) -> float:
    best = PROBLEMS[name].best
    if math.isnan(best):  # the best of all runs
        best = min(min(values) for key, values in found.items() if key[0] == name)
    floor = max(1e-7 * abs(best), 0.0 if kind == "exact" else 0.5 * _last_digit(best, int(kind)))
    excess = [max(median(found[name, kind, solver]) - best, floor) for solver in SOLVERS]
    rival = min(excess[1:])
    return 1.0 if excess[0] == rival else excess[0] / rival


def _last_digit(value: float, digits: int) -> float:
    return float(10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits))


def main() -> None:
    parser = arguments(__doc__, seeds=3)
    args = parser.parse_args()
    seeds = range(0 if args.table else args.seeds)
    runnable = [solver for solver in SOLVERS if solver != "surrogate"]
    wanted = itertools.product(seeds, PROBLEMS, KINDS, runnable)
    rows = outcomes(args.out, ("seed", "problem", "kind", "solver"), wanted, "value", run)
    print(table(rows))


if __name__ == "__main__":
    main()
