"""Twenty problems of four kinds: the default beside optuna's TPE, pycma, SciPy's DE and NGOpt.

    python research/benchmarks/functions/twenty.py --out research/evidence/twenty.jsonl
    python research/benchmarks/functions/twenty.py --out research/evidence/twenty.jsonl --table

Worst cases, packings, orders and selections, waves and impacts: kinds that no other script has. They,
their budgets, the seeds (0 to 2) and the rivals were written down before the first run, and nothing
was chosen on them. The outcome is the best feasible value seen, lower is better. Orders, subsets and
shares are keys for the rivals, who also get a penalty for constraints, as in simulations.py. A run that
is in the file is not made again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import contextlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from resumed import compared
from simulations import SOLVE, Answer, Enough, Watched

import pyswarmopt as pso

SOLVERS = ("default", "TPE", "pycma", "SciPy's DE", "NGOpt")
Space = dict[str, Any]
Problem = tuple[Callable[..., Answer], Space, int]  # with its calls
DRAWN = np.random.default_rng(2911)


def _reals(count: int, low: float, high: float, name: str = "x") -> Space:
    return {f"{name}{i}": (low, high) for i in range(count)}


def _array(p: dict[str, Any]) -> Any:
    return np.array(list(p.values()), dtype=float)


# ---- worst cases ----

BAND = np.linspace(0, math.pi, 200)


def filter_taps(**p):
    """Largest error of a low-pass filter of 13 symmetric taps."""
    taps = _array(p)
    response = taps[0] + 2 * np.cos(np.outer(BAND, np.arange(1, 7))) @ taps[1:]
    error = np.where(BAND < 0.9, np.abs(response - 1), np.where(BAND > 1.3, np.abs(response), 0.0))
    return float(error.max()), []


def rational(**p):
    """Largest error of a quotient of two parabolas beside exp(2x) on [-1, 1]."""
    a, b, c, d, e = p.values()
    x = np.linspace(-1, 1, 101)
    below = 1 + d * x + e * x**2
    if (below <= 0).any():
        return math.nan, []
    return float(np.abs((a + b * x + c * x**2) / below - np.exp(2 * x)).max()), []


HOMES, WEIGHTS = DRAWN.random((40, 2)), DRAWN.uniform(0.5, 2, 40)


def centres(**p):
    """The longest weighted way to the nearest of three stations."""
    away = np.linalg.norm(HOMES[:, None] - _array(p).reshape(3, 2), axis=2)
    return float((WEIGHTS * away.min(axis=1)).max()), []


PLANTS = np.array(list(itertools.product([0.6, 1.0, 1.6], [0.5, 1.0, 2.0])))


def robust_loop(p, i, smooth):
    """The worst of nine plants' tracking errors under one controller with a delay."""
    y, total, kept, late = np.zeros(9), np.zeros(9), np.zeros(9), [np.zeros(9)] * 6
    loss = np.zeros(9)
    for step in range(200):
        kept = kept + 0.05 / (0.05 + smooth) * (1 - y - kept)
        total = total + 0.05 * i * kept
        late = [*late[1:], np.clip(p * kept + total, -3, 3)]
        y = y + 0.05 * (PLANTS[:, 0] * late[0] - y) / PLANTS[:, 1]
        loss += 0.05 * np.abs(1 - y) * (0.05 * step)
    return float(loss.max()), []


ANGLES = np.linspace(-1, 1, 181)


def nulls(**p):
    """Largest side lobe in dB of ten aerials by their phases, the first one fixed, main beam at 0.2."""
    phases = np.append(0.0, _array(p))
    gain = np.abs(np.exp(1j * (math.pi * np.outer(ANGLES, np.arange(10)) + phases)).sum(axis=1))
    side = np.abs(ANGLES - 0.2) > 0.25
    return float(20 * np.log10(gain[side].max() / gain[~side].max())), []


# ---- packings ----


def _distances(points: Any) -> Any:
    first, second = np.triu_indices(len(points), 1)
    return np.linalg.norm(points[first] - points[second], axis=1)


def circles(**p):
    """Minus the radius of six equal circles in a square."""
    *places, radius = p.values()
    points = np.array(places).reshape(6, 2)
    outside = np.concatenate([radius - points, points + radius - 1]).ravel()
    return -radius, [*(2 * radius - _distances(points)), *outside]


def charges(**p):
    """Energy of eight charges on a sphere."""
    up, around = _array(p).reshape(2, 8)
    level = np.sqrt(1 - up**2)
    points = np.stack([level * np.cos(around), level * np.sin(around), up], axis=1)
    return float((1 / np.maximum(_distances(points), 1e-6)).sum()), []


def cluster(**p):
    """Lennard-Jones energy of six atoms."""
    away = np.maximum(_distances(_array(p).reshape(6, 3)), 0.4)
    return float((4 * (away**-12 - away**-6)).sum()), []


ROOMS = np.array([[4.0, 2.0], [3.0, 3.0], [5.0, 1.5], [2.0, 2.5], [3.5, 1.0]])
WIRES = [(0, 1, 2.0), (1, 2, 1.0), (2, 3, 3.0), (3, 4, 1.0), (0, 4, 2.0), (1, 3, 1.0)]


def floor(**p):
    """Length of the wires between five rooms, which may be turned, and the area around them."""
    at = np.array([[p[f"x{i}"], p[f"y{i}"]] for i in range(5)])
    sizes = np.array([ROOMS[i][:: -1 if p[f"t{i}"] else 1] for i in range(5)])
    wires = sum(weight * float(np.abs(at[a] - at[b]).sum()) for a, b, weight in WIRES)
    low, high = (at - sizes / 2).min(axis=0), (at + sizes / 2).max(axis=0)
    overlaps = [
        float(((sizes[a] + sizes[b]) / 2 - np.abs(at[a] - at[b])).min())
        for a, b in itertools.combinations(range(5), 2)
    ]
    return wires + float(np.prod(high - low)), overlaps


def apart(**p):
    """Minus the least distance of eight points in a triangle."""
    u, v = _array(p).reshape(2, 8)
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return -float(_distances(np.stack([u + v / 2, v * math.sqrt(0.75)], axis=1)).min()), []


# ---- orders and selections ----

TIMES = DRAWN.integers(5, 60, (10, 5))
SETUPS, WORK, DUE = (
    DRAWN.integers(1, 30, (13, 12)),
    DRAWN.integers(10, 40, 12),
    DRAWN.integers(60, 400, 12),
)
SITES, PEOPLE = DRAWN.random((30, 2)), DRAWN.random((400, 2)) ** 2
FACTORS = DRAWN.normal(size=(15, 4)) * [0.2, 0.1, 0.1, 0.05]
RISKS, GAINS = (
    FACTORS @ FACTORS.T + np.diag(DRAWN.uniform(0.005, 0.05, 15)),
    DRAWN.uniform(0.02, 0.15, 15),
)
TASKS = DRAWN.uniform(2, 12, (14, 4)) * DRAWN.uniform(0.6, 1.4, (14, 1))


def flow_shop(jobs):
    """End of ten jobs that pass five machines in one order."""
    free = np.zeros(5)
    for job in jobs:
        end = 0.0
        for machine in range(5):
            end = max(end, free[machine]) + TIMES[job, machine]
            free[machine] = end
    return float(free[-1]), []


def tardiness(jobs):
    """How late twelve jobs are in total, with setups that depend on the one before."""
    now = late = 0.0
    before = 12
    for job in jobs:
        now += SETUPS[before, job] + WORK[job]
        late += max(now - DUE[job], 0.0)
        before = job
    return late, []


def sensors(sites):
    """Mean way to the nearest of five chosen sites of thirty, those far off more than in proportion."""
    away = np.linalg.norm(PEOPLE[:, None] - SITES[sites], axis=2).min(axis=1)
    return float((away + 4 * away**2).mean()), []


def portfolio(assets, shares):
    """Deviation of four of fifteen assets, with a return of at least 9 %."""
    weights = np.array(shares)
    return float(math.sqrt(weights @ RISKS[np.ix_(assets, assets)] @ weights)), [
        float(0.09 - weights @ GAINS[assets])
    ]


def machines(**p):
    """When the last of four machines has done its tasks of fourteen; neighbours on one cost a setup."""
    chosen = [list("ABCD").index(machine) for machine in p.values()]
    loads = np.bincount(chosen, TASKS[np.arange(14), chosen], 4)
    setups = sum(1.5 for a, b in itertools.pairwise(chosen) if a == b)
    return float(loads.max() + 0.05 * loads.sum() + setups), []


# ---- waves and impacts ----

LIGHT = np.linspace(400, 700, 40)
INDEX = {"MgF2": 1.38, "SiO2": 1.46, "TiO2": 2.4}


def coating(**p):
    """Mean reflectance of six layers on glass."""
    matrix = np.broadcast_to(np.eye(2, dtype=complex), (40, 2, 2))
    for i in range(6):
        n, phase = INDEX[p[f"m{i}"]], 2 * math.pi * INDEX[p[f"m{i}"]] * p[f"d{i}"] / LIGHT
        layer = np.array(
            [[np.cos(phase), 1j * np.sin(phase) / n], [1j * n * np.sin(phase), np.cos(phase)]]
        )
        matrix = matrix @ layer.transpose(2, 0, 1)
    field = (matrix @ np.array([1, 1.52])).T
    reflected = (field[0] - field[1]) / (field[0] + field[1])
    return float((np.abs(reflected) ** 2).mean()), []


def ball(speed, angle, spin):
    """How far from a hole at 7 m a ball stops that must clear a wall of 1.5 m at 3 m and bounces."""
    x, y = 0.0, 1.0
    along, up = speed * math.cos(angle), speed * math.sin(angle)
    bounces = 0
    for _ in range(4000):
        before = x
        x, y = x + 0.005 * along, y + 0.005 * up
        up -= 0.005 * (9.81 + 0.3 * spin * along) + 0.0002 * up * abs(up)
        if before < 3 <= x and y < 1.5:
            return 5.0 + 1.5 - y, []
        if y < 0:
            y, up, along = 0.0, -0.6 * up, 0.75 * along - 0.4 * spin
            bounces += 1
        if bounces == 3:
            break
    return abs(x - 7.0) + 0.02 * speed, []


LADDER = np.diag([0.0, 0.3, -0.2]).astype(complex)
DRIVE = np.array([[0, 1, 0], [1, 0, 1.4], [0, 1.4, 0]], dtype=complex)


def pulses(**p):
    """What twelve pulses miss of lifting a state of three by one, with their energy."""
    state = np.array([1, 0, 0], dtype=complex)
    for strength in p.values():
        levels, axes = np.linalg.eigh(LADDER + strength * DRIVE)
        state = axes @ (np.exp(-0.5j * levels) * (axes.conj().T @ state))
    return float(1 - abs(state[1]) ** 2 + 0.002 * (_array(p) ** 2).sum()), []


def _epidemic(spread, recovery, seeds, reported, delay):
    ill, immune, cases, waiting = seeds, 0.0, [], []
    for _ in range(60):
        new = spread * ill * (1 - (ill + immune) / 1e4)
        healed = recovery * ill
        ill, immune = ill + new - healed, immune + healed
        waiting.append(new)
        cases.append(round(reported * waiting[max(len(waiting) - 1 - int(delay), 0)]))
    return np.array(cases)


COUNTS = _epidemic(0.42, 0.18, 12.0, 0.35, 4)


def epidemic(**p):
    """Misfit of whole numbers of cases by spread, recovery, first cases, share reported and delay."""
    return float(np.abs(np.sqrt(_epidemic(**p)) - np.sqrt(COUNTS)).mean()), []


TARIFF = 0.2 + 0.15 * (np.arange(288) % 144 > 90) + 0.1 * (np.arange(288) % 60 < 15)


def heating(**p):
    """A day's bill and discomfort of a room that is heated in four intervals."""
    begins, lengths = _array(p).reshape(2, 4)
    hours = np.arange(288) / 12
    on = ((hours[:, None] >= begins) & (hours[:, None] < begins + lengths)).any(axis=1)
    warmth, loss = 17.0, 0.0
    for hour, lit, price in zip(hours, on, TARIFF, strict=True):
        warmth += (6.0 * lit - 0.25 * (warmth - 5 - 4 * math.sin(hour / 24 * math.pi))) / 12
        loss += price * lit / 3 + 0.04 * max(20 - warmth, 0) * (7 < hour < 22)
    return loss, []


PROBLEMS: dict[str, Problem] = {
    "filter": (filter_taps, _reals(7, -0.5, 0.5), 300),
    "rational": (rational, _reals(5, -3, 3), 250),
    "centres": (centres, _reals(6, 0, 1), 250),
    "robust loop": (robust_loop, {"p": pso.log(0.05, 20), "i": pso.log(0.01, 20), "smooth": pso.log(0.01, 2)}, 150),
    "nulls": (nulls, _reals(9, -math.pi, math.pi), 300),
    "circles": (circles, _reals(12, 0, 1) | {"radius": (0.02, 0.4)}, 500),
    "charges": (charges, _reals(8, -1, 1, "u") | _reals(8, 0, 2 * math.pi, "a"), 400),
    "cluster": (cluster, _reals(18, -1, 1), 500),
    "floor": (floor, _reals(5, 0, 12) | _reals(5, 0, 12, "y") | {f"t{i}": pso.integer(0, 1) for i in range(5)}, 500),
    "apart": (apart, _reals(16, 0, 1), 400),
    "flow shop": (flow_shop, {"jobs": pso.Permutation(list(range(10)))}, 300),
    "tardiness": (tardiness, {"jobs": pso.Permutation(list(range(12)))}, 400),
    "sensors": (sensors, {"sites": pso.Subset(list(range(30)), 5)}, 250),
    "portfolio": (portfolio, {"assets": pso.Subset(list(range(15)), 4), "shares": pso.Shares(4)}, 300),
    "machines": (machines, {f"task{i}": list("ABCD") for i in range(14)}, 300),
    "coating": (coating, _reals(6, 20, 250, "d") | {f"m{i}": list(INDEX) for i in range(6)}, 300),
    "ball": (ball, {"speed": (4.0, 14.0), "angle": (0.1, 1.4), "spin": (-2.0, 2.0)}, 150),
    "pulses": (pulses, _reals(12, -2, 2), 300),
    "epidemic": (epidemic, {
        "spread": pso.log(0.05, 2), "recovery": pso.log(0.02, 1), "seeds": pso.log(1, 200),
        "reported": (0.05, 1.0), "delay": pso.integer(0, 10),
    }, 200),
    "heating": (heating, _reals(4, 0, 22) | _reals(4, 0, 6, "l"), 250),
}  # fmt: skip


def _keys(space: Space) -> Space:
    """The space for rivals: a number from 0 to 1 for each item or share."""
    flat: Space = {}
    for name, kind in space.items():
        count = getattr(kind, "n", None) or len(getattr(kind, "items", ()))
        flat |= _reals(count, 0, 1, f"{name} ") if count else {name: kind}
    return flat


def _joined(space: Space, flat: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a rival means."""
    values = dict(flat)
    for name, kind in space.items():
        if name not in values:
            count = getattr(kind, "n", None) or len(kind.items)
            keys = np.array([values.pop(f"{name} {i}") for i in range(count)])
            values[name] = _decoded(kind, keys)
    return values


def _decoded(kind: Any, keys: Any) -> Any:
    if isinstance(kind, pso.Shares):
        parts = -np.log(np.maximum(keys, 1e-9))
        return list(parts / max(parts.sum(), 1e-9))
    ranked = np.argsort(keys, kind="stable")
    return sorted(ranked[-kind.k :].tolist()) if isinstance(kind, pso.Subset) else ranked.tolist()


def run(problem: str, solver: str, seed: int) -> float:
    """The best feasible value seen."""
    return best_of(*PROBLEMS[problem], solver, seed)


def best_of(fun: Callable[..., Answer], space: Space, calls: int, solver: str, seed: int) -> float:
    """The best feasible value that a solver sees; keys for rivals."""
    if solver == "default":
        watched = Watched(fun, calls)
        shown = space
    else:
        watched = Watched(lambda **keys: fun(**_joined(space, keys)), calls)
        shown = _keys(space)
    with contextlib.suppress(Enough):
        SOLVE[solver](watched, shown, seed)
    return watched.best


if __name__ == "__main__":
    compared(__doc__, 3, {"problem": PROBLEMS, "solver": SOLVERS}, "best", run)
