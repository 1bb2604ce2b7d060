"""Calls to a feasible value within 1% of the optimum: the default beside SLSQP, COBYQA and trust-constr.

    python research/benchmarks/functions/programs.py --out research/evidence/programs.jsonl
    python research/benchmarks/functions/programs.py --out research/evidence/programs.jsonl --table

Hock and Schittkowski's problems that SciPy's tests use (1981, Lecture Notes in Economics 187; numbers 1
to 5, 38 and 45 by test_tnc.py, 18 and "11", which is number 100, by test__shgo.py), two of
test_minimize_constrained.py, convex quadratic programs and linear ones: those of lps.py in
STUMBLES_CORE.md (numbers from 100) and twelve more (numbers 300 to 302, not looked at before). All start from
the same point and have 100 calls for each coordinate; a call gives value and constraints. What is
broken by 1e-6 counts as kept. Numbers and seeds were named before the first run.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import contextlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from resumed import compared
from scipy import optimize

import pyswarmopt as pso

SOLVERS = ("default", "SLSQP", "COBYQA", "trust-constr")
CALLS, TOLERANCE, BROKEN = 100, 0.01, 1e-6


@dataclass(frozen=True)
class Program:
    """Minimise where `rules` are at most 0."""

    bounds: list[tuple[float, float]]
    start: list[float]
    fun: Callable[[Any], float]
    best: float
    rules: Callable[[Any], Any] | None = None


def _banana(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def _wood(x):
    far = 10.1 * ((x[1] - 1) ** 2 + (x[3] - 1) ** 2) + 19.8 * (x[1] - 1) * (x[3] - 1)
    return _banana(x[:2]) + 90 * (x[3] - x[2] ** 2) ** 2 + (1 - x[2]) ** 2 + far


def _seven(x):
    a, b, c, d, e, f, g = x
    high = c**4 + 10 * e**6 + 7 * f**2 + g**4 - 4 * f * g - 10 * f - 8 * g
    return (a - 10) ** 2 + 5 * (b - 12) ** 2 + 3 * (d - 11) ** 2 + high


def _seven_rules(x):
    a, b, c, d, e, f, g = x
    return [
        2 * a**2 + 3 * b**4 + c + 4 * d**2 + 5 * e - 127, 7 * a + 3 * b + 10 * c**2 + d - e - 282,
        23 * a + b**2 + 6 * f**2 - 8 * g - 196, 4 * a**2 + b**2 - 3 * a * b + 2 * c**2 + 5 * f - 11 * g,
    ]  # fmt: skip


TEN = (-10.0, 10.0)
PROGRAMS = {
    "HS1": Program([TEN, (-1.5, 10)], [-2, 1], _banana, 0.0),
    "HS2": Program([TEN, (1.5, 10)], [-2, 1.5], _banana, 0.0504261879),
    "HS3": Program([TEN, (0, 10)], [10, 1], lambda x: x[1] + 1e-5 * (x[1] - x[0]) ** 2, 0.0),
    "HS4": Program([(1, 10), (0, 10)], [1.125, 0.125], lambda x: (x[0] + 1) ** 3 / 3 + x[1], 8 / 3),
    "HS5": Program(
        [(-1.5, 4), (-3, 3)], [0, 0],
        lambda x: math.sin(x[0] + x[1]) + (x[0] - x[1]) ** 2 - 1.5 * x[0] + 2.5 * x[1] + 1, -1.9132229550,
    ),
    "HS18": Program(
        [(2, 50), (0, 50)], [2, 2], lambda x: 0.01 * x[0] ** 2 + x[1] ** 2, 5.0,
        lambda x: [25 - x[0] * x[1], 25 - x[0] ** 2 - x[1] ** 2],
    ),
    "HS38": Program([TEN] * 4, [-3, -1, -3, -1], _wood, 0.0),
    "HS45": Program(
        [(0, i) for i in range(1, 6)], [0, 1, 2, 3, 4], lambda x: 2 - math.prod(x) / 120, 1.0
    ),
    "HS100": Program([TEN] * 7, [1, 2, 0, 4, 0, 1, 1], _seven, 680.6300573, _seven_rules),
    "hyperbola": Program(
        [(0, 10)] * 2, [0, 0], lambda x: (x[0] - 2) ** 2 / 2 + (x[1] - 0.5) ** 2 / 2, 0.0857,
        lambda x: [0.25 - 1 / (x[0] + 1) + x[1]],
    ),
    "banana, half plane": Program([TEN] * 2, [-1, -0.5], _banana, 0.2489, lambda x: [x[0] + 2 * x[1] - 1]),
}  # fmt: skip


def _linear(dim: int, rules: int, number: int) -> Program:
    random = np.random.default_rng(number)
    rows = random.normal(size=(rules, dim))
    limits, prices = 1 + random.random(rules), random.normal(size=dim)
    bounds = [(-4.0, 4.0)] * dim
    best = optimize.linprog(prices, rows, limits, bounds=bounds).fun
    return Program(
        bounds, [0.0] * dim, lambda x: float(prices @ x), best, lambda x: rows @ x - limits
    )


def _quadratic(dim: int, rules: int, number: int) -> Program:
    random = np.random.default_rng(number)
    root, rows = random.normal(size=(dim, dim)), random.normal(size=(rules, dim))
    limits, prices = 1 + random.random(rules), 5 * random.normal(size=dim)
    bounds = [(-4.0, 4.0)] * dim

    def fun(x):
        return float(((root @ x) ** 2).sum() / 2 + prices @ x)

    kept = optimize.LinearConstraint(rows, -np.inf, limits)
    found = optimize.minimize(
        fun, np.zeros(dim), jac=lambda x: root.T @ (root @ x) + prices, method="SLSQP", bounds=bounds,
        constraints=kept, options={"ftol": 1e-12, "maxiter": 1000},
    )  # fmt: skip
    return Program(bounds, [0.0] * dim, fun, float(found.fun), lambda x: rows @ x - limits)


SIZES = {(5, 10): 12, (10, 20): 8, (15, 30): 6, (24, 48): 5}
for (dim, rules), count in SIZES.items():
    for number in (*range(100, 100 + count), 300, 301, 302):
        PROGRAMS[f"LP {dim}, {rules}, no. {number}"] = _linear(dim, rules, number)
for dim, number in itertools.product((5, 10, 20), (0, 1, 2, 3)):
    PROGRAMS[f"QP {dim}, {dim}, no. {number}"] = _quadratic(dim, dim, number)


class Over(Exception):
    """The optimum is met, or all calls are used."""


class Watched:
    """Counts points, and at which one the optimum is met."""

    def __init__(self, program: Program) -> None:
        self.program, self.calls, self.met = program, 0, math.inf
        self._last: Any = None

    def both(self, x: Any) -> tuple[float, Any]:
        x = np.asarray(x, dtype=float)
        if self._last is None or not (x == self._last[0]).all():
            self.calls += 1
            if self.calls > CALLS * len(x):
                raise Over
            rules = np.asarray(self.program.rules(x) if self.program.rules else [0.0])
            value = float(self.program.fun(x))
            self._last = x.copy(), (value, rules)
            near = abs(value - self.program.best) <= TOLERANCE * max(abs(self.program.best), 0.01)
            if near and (rules <= BROKEN).all():
                self.met = min(self.met, self.calls)
                raise Over
        return self._last[1]


def run(program: str, solver: str, seed: int) -> float:
    """The calls, infinite if it does not get there."""
    given = PROGRAMS[program]
    watched = Watched(given)
    with contextlib.suppress(Over):
        (_ours if solver == "default" else _scipy)(given, watched, solver, seed)
    return watched.met


def _ours(given: Program, watched: Watched, solver: str, seed: int) -> None:
    kept = {"constraints": lambda x: watched.both(x)[1]} if given.rules else {}
    pso.minimize(
        lambda x: watched.both(x)[0], given.bounds, x0=given.start, seed=seed,
        max_evals=CALLS * len(given.bounds), **kept,
    )  # fmt: skip


def _scipy(given: Program, watched: Watched, solver: str, seed: int) -> None:
    kept = optimize.NonlinearConstraint(lambda x: watched.both(x)[1], -np.inf, 0.0)
    optimize.minimize(
        lambda x: watched.both(x)[0], given.start, method=solver, bounds=given.bounds,
        constraints=kept if given.rules else (),
    )  # fmt: skip


if __name__ == "__main__":
    compared(__doc__, 1, {"program": PROGRAMS, "solver": SOLVERS}, "calls", run)
