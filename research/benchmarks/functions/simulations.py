"""Jobs of an engineer: the default beside optuna's TPE, pycma, SciPy's DE, NGOpt and chance.

    python research/benchmarks/functions/simulations.py --out research/evidence/simulations.jsonl
    python research/benchmarks/functions/simulations.py --out research/evidence/simulations.jsonl --table

The outcome is the best feasible value seen, median of the seeds. One call gives value and constraints.
TPE gets the constraints, the others a penalty of `WEIGHT` times their sum. pycma and NGOpt move whole
numbers and catalogues as reals that are rounded. Panel and tower are those of designs.py, with 120 and
300 calls. Jobs whose constants are drawn by a number are in commit e556495b. A run that is in the file
is not made again. Needs: pip install cma nevergrad optuna scipy.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import contextlib
import math
from collections.abc import Callable
from typing import Any

import designs
import numpy as np
from resumed import compared, rules, sampled

import pyswarmopt as pso

SOLVERS = ("default", "TPE", "pycma", "SciPy's DE", "NGOpt", "chance")
WEIGHT = 50.0
Answer = tuple[float, list[float]]
Box = list[tuple[float, float]]


class Enough(Exception):
    """All calls are used."""


# ---- the jobs, on real numbers ----


def exchanger(x) -> Answer:
    """Cost of a shell with tubes: surface, pumps on either side; heat and pressure as constraints."""
    length, tube, count, baffle, flow = x
    count = 40 + 360 * count
    speed = flow / (count * tube**2 * 0.6)
    film = 900 * speed**0.8 / tube**0.2
    shell = 700 * (flow / baffle) ** 0.6 / tube**0.4
    u = 1 / (1 / film + 1 / shell + 2e-4)
    surface = math.pi * tube * 0.02 * length * count
    passed = 1 - math.exp(-u * surface / (4200 * flow))
    drop = 0.03 * speed**1.8 * length / tube**1.2 + 0.02 * (flow / baffle) ** 1.8 * length
    cost = 3 + 0.9 * surface**0.7 + 2.2 * drop * flow + 0.5 / baffle
    return cost, [0.62 / max(passed, 1e-9) - 1, drop / 1.5 - 1]


TIMES = np.linspace(0.1, 6, 25)
TRUE = (1.3, 0.4, 0.7, 0.25, 2.0, 0.15, 0.5)


def _kinetics(p) -> Any:
    """Two reactants and a product at `TIMES`, (25, 3), by Runge-Kutta's method of order 4."""
    k1, k2, k3, k4, *y = p
    y = np.array(y)

    def slope(y):
        first = k1 * y[0] * y[1] - k2 * y[2]
        second = k3 * y[2] / (1 + k4 * y[0])
        return np.array([-first, second - first, first - second])

    seen = []
    for step in np.diff(TIMES, prepend=0.0):
        s1 = slope(y)
        s2 = slope(y + step / 2 * s1)
        s3 = slope(y + step / 2 * s2)
        s4 = slope(y + step * s3)
        y = y + step / 6 * (s1 + 2 * s2 + 2 * s3 + s4)
        seen.append(y)
    return np.array(seen)


DATA = _kinetics(TRUE) * (1 + 0.02 * np.random.default_rng(8).normal(size=(25, 3)))


def ode(x) -> Answer:
    """Misfit of seven rates and amounts on logarithmic scales; some crash."""
    with np.errstate(all="ignore"):
        away = _kinetics(10.0 ** np.asarray(x)) - DATA
    loss = float((away**2).sum())
    return (loss if math.isfinite(loss) and loss < 1e6 else math.nan), []


PRICE = 0.22 + 0.12 * np.sin(np.arange(24) / 24 * 2 * math.pi - 2.2) + 0.05 * (np.arange(24) > 17)
LOAD = (
    2.0
    + 1.5 * np.exp(-((np.arange(24) - 19) ** 2) / 8)
    + 0.6 * np.exp(-((np.arange(24) - 8) ** 2) / 4)
)


def battery(x) -> Answer:
    """A day's bill with 24 powers of a battery: losses with a kink at 0, a price of the peak, and its
    charge between two limits.
    """
    x = np.asarray(x)
    charge = 4 + np.cumsum(np.where(x > 0, 0.93 * x, x / 0.93))
    grid = LOAD + x
    bill = float((PRICE * np.maximum(grid, 0)).sum() + 0.9 * grid.max() + 0.01 * np.abs(x).sum())
    return bill, [
        float(max(-charge.min(), charge.max() - 10) / 10),
        float(abs(charge[-1] - 4) - 0.2),
    ]


def _digits(fun, digits: int) -> Callable[[Any], Answer]:
    def printed(x) -> Answer:
        value, rules = fun(x)
        return float(f"%.{digits}g" % value), [float(f"%.{digits}g" % rule) for rule in rules]

    return printed


HEAT: Box = [(1.0, 8.0), (0.5, 2.5), (0.0, 1.0), (0.1, 1.0), (0.5, 6.0)]
RATES: Box = [(-2.0, 1.0)] * 4 + [(-1.0, 1.0)] * 3
POWERS: Box = [(-3.0, 3.0)] * 24
JOBS: dict[str, tuple[Callable[[Any], Answer], Box, int]] = {
    "exchanger": (exchanger, HEAT, 150),
    "exchanger, 6 digits": (_digits(exchanger, 6), HEAT, 150),
    "ODE": (ode, RATES, 250),
    "ODE, 6 digits": (_digits(ode, 6), RATES, 250),
    "battery": (battery, POWERS, 600),
}
DESIGNS = {"panel": 120, "tower": 300}


def _space(job: str) -> dict[str, Any]:
    if job in DESIGNS:
        return designs.DESIGNS[job].space
    return {f"x{i}": pair for i, pair in enumerate(JOBS[job][1])}


class Watched:
    """What a solver calls: it counts, and keeps the best feasible value."""

    def __init__(self, fun: Callable[..., Answer], limit: int) -> None:
        self.calls = 0
        self.best = math.inf
        self.fun = fun
        self.limit = limit

    def __call__(self, **p: Any) -> Answer:
        if self.calls >= self.limit:
            raise Enough
        self.calls += 1
        value, rules = self.fun(**p)
        if all(rule <= 0 for rule in rules) and value < self.best:
            self.best = value
        return value, rules

    def penalised(self, **p: Any) -> float:
        value, rules = self(**p)
        value += WEIGHT * sum(max(rule, 0.0) for rule in rules)
        return value if math.isfinite(value) else 1e9


def run(job: str, solver: str, seed: int) -> float:
    """The best feasible value seen."""
    if job in DESIGNS:
        design = designs.DESIGNS[job]
        watched = Watched(lambda **p: (design.fun(**p), design.rules(**p)), DESIGNS[job])
    else:
        watched = Watched(lambda **p: JOBS[job][0](list(p.values())), JOBS[job][2])
    space = _space(job)
    with contextlib.suppress(Enough):
        SOLVE[solver](watched, space, seed)
    return watched.best


def _default(watched: Watched, space: dict[str, Any], seed: int) -> None:
    constrained = bool(watched.fun(**some_point(space))[1])
    if constrained:
        pso.minimize(
            lambda **p: watched(**p), space=space, constraints="returned",
            max_evals=watched.limit, seed=seed,
        )  # fmt: skip
    else:
        pso.minimize(lambda **p: watched(**p)[0], space=space, max_evals=watched.limit, seed=seed)


def some_point(space: dict[str, Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    pso.minimize(lambda **p: found.append(p) or 0.0, space=space, max_evals=1, seed=0)
    return found[0]


def _decoded(space: dict[str, Any], unit: Any) -> dict[str, Any]:
    """A point of the unit box by name, whole numbers and labels rounded."""
    return {
        name: _value(kind, float(u)) for (name, kind), u in zip(space.items(), unit, strict=True)
    }


def _value(kind: Any, u: float) -> Any:
    u = min(max(u, 0.0), 1.0)
    if isinstance(kind, tuple):
        return kind[0] + u * (kind[1] - kind[0])
    options = getattr(kind, "options", kind)
    if isinstance(options, list | tuple):
        return options[min(int(u * len(options)), len(options) - 1)]
    return min(kind.low + int(u * (kind.high - kind.low + 1)), kind.high)


def _tpe(watched: Watched, space: dict[str, Any], seed: int) -> None:
    from optuna.samplers import TPESampler

    sampled(watched, space, TPESampler(seed=seed, constraints_func=rules), watched.limit)


def _pycma(watched: Watched, space: dict[str, Any], seed: int) -> None:
    import cma

    random = np.random.default_rng(seed)
    options = {"bounds": [0, 1], "verbose": -9}
    while True:
        options["seed"] = int(random.integers(1, 2**31))
        start = random.uniform(0.2, 0.8, len(space))
        cma.fmin2(lambda u: watched.penalised(**_decoded(space, u)), start, 0.25, options)


def _de(watched: Watched, space: dict[str, Any], seed: int) -> None:
    from scipy.optimize import differential_evolution

    size = max(watched.limit // (25 * len(space)), 2)
    while True:
        differential_evolution(
            lambda u: watched.penalised(**_decoded(space, u)), [(0, 1)] * len(space), popsize=size,
            rng=seed, polish=False, maxiter=1000,
        )  # fmt: skip


def _ngopt(watched: Watched, space: dict[str, Any], seed: int) -> None:
    from pyswarmopt.interop.nevergrad import ng  # with what NumPy 2.4 needs

    where = ng.p.Array(init=np.full(len(space), 0.5), lower=0.0, upper=1.0)
    where.random_state.seed(seed)
    optimizer = ng.optimizers.NGOpt(parametrization=where, budget=watched.limit)
    optimizer.minimize(lambda u: watched.penalised(**_decoded(space, u)))


def _chance(watched: Watched, space: dict[str, Any], seed: int) -> None:
    random = np.random.default_rng(seed)
    while True:
        watched(**_decoded(space, random.random(len(space))))


SOLVE = dict(zip(SOLVERS, (_default, _tpe, _pycma, _de, _ngopt, _chance), strict=True))


if __name__ == "__main__":
    compared(__doc__, 5, {"job": (*JOBS, *DESIGNS), "solver": SOLVERS}, "best", run)
